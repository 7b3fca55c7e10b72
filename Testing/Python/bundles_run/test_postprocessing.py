"""A bundle's own postprocessing, told apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    EnsureTyped,
    Invertd,
    KeepLargestConnectedComponentd,
    Lambdad,
    SaveImaged,
)

from medai.bundles.postprocessing import keep_labels_whole, undecided, values_of_channels

SIGMOID = Activationsd("pred", sigmoid=True)
SURE = AsDiscreted("pred", threshold=0.5)
ARGMAX = AsDiscreted("pred", argmax=True)


def _inverted() -> Invertd:
    return Invertd("pred", transform=Compose([EnsureTyped("image")]), orig_keys="image", nearest_interp=False)


def _saved(dtype: object) -> SaveImaged:
    return SaveImaged("pred", output_dir="nowhere", output_dtype=dtype)


@pytest.mark.parametrize(
    ("post", "values"),
    [
        (
            [SIGMOID, SURE, Lambdad("pred", lambda x: (x * torch.tensor([4, 1, 2]).reshape(3, 1, 1, 1)).amax(0)[None])],
            (4, 1, 2),
        ),
        (
            [SIGMOID, SURE, _inverted(), Lambdad("pred", lambda x: (3 * x[:1]).maximum(x[1:2]).maximum(9 * x[2:]))],
            (3, 1, 9),
        ),
        ([SIGMOID, SURE], ()),  # the channels stay apart
        ([Activationsd("pred", softmax=True), ARGMAX], ()),  # labels are the numbers of channels
        ([SIGMOID, SURE, Lambdad("pred", lambda x: x.amax(0)[None])], ()),  # all become one
        ([SIGMOID, SURE, Lambdad("other", lambda x: x)], ()),  # needs what is not there
    ],
)
def test_merged_channels_are_known_by_the_label_they_become(post, values):
    assert values_of_channels(Compose(post), 3) == values


@pytest.mark.parametrize(
    ("post", "changed"),
    [
        ([ARGMAX, _inverted(), _saved(np.float32)], True),
        ([ARGMAX, _inverted(), EnsureTyped("pred")], True),
        ([_inverted(), ARGMAX, _saved(np.float32)], False),  # probabilities are interpolated, as they should be
        ([ARGMAX, _inverted(), _saved(np.uint8)], False),  # the bundle rounds, in a way of its own
        ([AsDiscreted("pred", to_onehot=3), _inverted(), ARGMAX], False),  # smooth borders on purpose
        ([ARGMAX, _inverted(), Lambdad("pred", torch.round)], False),
    ],
)
def test_labels_are_only_interpolated_where_they_would_stay_labels(post, changed):
    assert keep_labels_whole(Compose(post)) is changed
    (inversion,) = (part for part in post if isinstance(part, Invertd))
    assert inversion.nearest_interp == (changed,)


def test_what_is_undecided_has_no_decision_in_it():
    left = undecided(Compose([SIGMOID, Compose([SURE, KeepLargestConnectedComponentd("pred")]), _saved(np.uint8)]))
    assert [type(part).__name__ for part in left.transforms] == ["Activationsd", "KeepLargestConnectedComponentd"]
