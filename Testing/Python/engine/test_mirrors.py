"""Test-time augmentation by mirroring."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medai.engine.mirrors import Mirrored, left_right_axis, mirrors, tells_sides_apart
from medai.result import Code, Segment


def test_three_axes_have_eight_mirrors_and_the_image_as_it_is_comes_first():
    chosen = mirrors(range(3))
    assert chosen[0] == ()
    assert len(set(chosen)) == 8


@pytest.mark.parametrize("axes", mirrors(range(3)))
def test_a_network_that_knows_no_direction_gives_the_same_in_every_mirror(axes):
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 3, 1)
    image = torch.rand(2, 1, 4, 5, 6)
    torch.testing.assert_close(Mirrored(network, (axes,))(image), network(image))


def _shift():
    """Takes what lies before it along the first axis."""
    network = torch.nn.Conv2d(1, 1, (3, 1), padding=(1, 0), bias=False)
    network.weight.data[:] = torch.tensor([1.0, 0, 0])[:, None]
    return network


def test_a_network_that_knows_a_direction_sees_the_mirrored_image():
    image = torch.arange(12.0).reshape(1, 1, 4, 3)
    after = Mirrored(_shift(), ((0,),))(image)
    torch.testing.assert_close(after[..., :-1, :], image[..., 1:, :])
    assert (after[..., -1, :] == 0).all()


def test_of_several_mirrors_the_mean_is_taken():
    image = torch.arange(12.0).reshape(1, 1, 4, 3)
    both = Mirrored(_shift(), ((), (0,)))(image)
    torch.testing.assert_close(both, (_shift()(image) + Mirrored(_shift(), ((0,),))(image)) / 2)


@pytest.mark.parametrize(
    ("segments", "answer"),
    [
        ([Segment("left kidney", 1)], True),
        ([Segment("kidney_right", 1)], True),
        ([Segment("Hippocampus-L", 1)], True),
        ([Segment("spleen", 1), Segment("liver", 2)], False),
        ([Segment("bright spot", 1)], False),
        ([Segment("kidney", 1, modifier=Code("SCT", "7771000", "Left"))], True),
    ],
)
def test_models_that_tell_left_from_right_are_known_by_their_segments(segments, answer):
    assert tells_sides_apart(segments) is answer


def test_the_axis_between_left_and_right_is_found_in_any_orientation():
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0.1, -2], [0.9, 0, 0.1], [0, -3, 0]]
    assert left_right_axis(affine) == 2
