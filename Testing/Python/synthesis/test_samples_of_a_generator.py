"""Images come one by one out of a generator, and each can be made again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from medai.bundles.pipeline import Pipeline
from medai.errors import InputError
from medai.tasks.synthesize.sampling import samples
from medai.volume import SYNTHETIC


@pytest.fixture
def pipeline(a_generator) -> Pipeline:
    return Pipeline(a_generator, "cpu")


@pytest.fixture
def of_classes(a_generator_of_classes) -> Pipeline:
    return Pipeline(a_generator_of_classes, "cpu")


def test_an_image_comes_with_its_labels_on_one_grid(pipeline):
    (sample,) = samples(pipeline, 1, seed=1)
    assert sample.image.shape == sample.labelmap.array.shape == (5, 6, 4)
    np.testing.assert_array_equal(sample.labelmap.array, sample.image.array > 0)
    np.testing.assert_array_equal(sample.image.affine, sample.labelmap.affine)
    assert sample.image.spacing == (1, 2, 3)
    assert [segment.name for segment in sample.labelmap.segments] == ["bright", "never"]


def test_it_says_that_it_is_synthetic(pipeline):
    (sample,) = samples(pipeline, 1)
    assert "synthetic" in sample.image.name
    assert "synthetic" in sample.labelmap.name
    assert sample.image.notes == (SYNTHETIC,)
    assert sample.image.modality == "MR"


def test_an_image_of_a_seed_is_the_same_whatever_else_is_made(pipeline):
    five = list(samples(pipeline, 5, seed=3))
    two = list(samples(pipeline, 2, seed=3, first=3))
    assert [sample.number for sample in two] == [3, 4]
    for sample, again in zip(five[3:], two, strict=True):
        np.testing.assert_array_equal(sample.image.array, again.image.array)
    assert len({sample.image.array.tobytes() for sample in five}) == 5
    (other,) = samples(pipeline, 1, seed=4)
    assert not np.array_equal(other.image.array, five[0].image.array)


def test_nothing_is_made_before_it_is_asked_for(pipeline):
    endless = samples(pipeline, 10**9)
    assert [sample.number for sample in itertools.islice(endless, 2)] == [0, 1]


def test_a_walk_ends_at_the_images_of_its_seeds(pipeline):
    walked = [sample.image.array for sample in samples(pipeline, 5, walk=(1, 2))]
    for end, seed in ((0, 1), (-1, 2)):
        (own,) = samples(pipeline, 1, seed=seed)
        np.testing.assert_array_equal(walked[end], own.image.array)


def test_a_walk_keeps_to_what_is_probable(pipeline):
    # The first voxels are the numbers of the code; half way on a straight line they would be too small.
    norms = [np.linalg.norm(sample.image.array) for sample in samples(pipeline, 9, walk=(1, 2))]
    assert min(norms) >= min(norms[0], norms[-1]) * 0.999
    steps = [sample.image.array for sample in samples(pipeline, 9, walk=(1, 2))]
    apart = [np.abs(a - b).max() for a, b in itertools.pairwise(steps)]
    assert max(apart) < 0.5 * np.abs(steps[0] - steps[-1]).max()


def test_a_condition_is_shown(of_classes):
    for place, name in enumerate(("cat", "dog")):
        for sample in samples(of_classes, 3, condition=name.upper()):
            assert sample.condition == name
            assert name in sample.image.name
            # The two numbers behind the code's own four, in the order of a picture's columns.
            assert sample.image.array.transpose(2, 1, 0).ravel()[4:6].tolist() == [place == 0, place == 1]


def test_without_a_condition_they_take_turns(of_classes):
    assert [sample.condition for sample in samples(of_classes, 4)] == ["cat", "dog", "cat", "dog"]


def test_a_condition_leaves_the_rest_of_the_code_alone(of_classes):
    one, other = (next(samples(of_classes, 1, condition=name)).image.array for name in ("cat", "dog"))
    assert np.flatnonzero((one != other).transpose(2, 1, 0)).tolist() == [4, 5]


@pytest.mark.parametrize(("given", "why"), [("cow", "images of: cat, dog"), ("", "images of: cat, dog")])
def test_an_unknown_condition_is_refused_at_once(of_classes, given, why):
    with pytest.raises(InputError, match=why):
        samples(of_classes, 1, condition=given)


def test_a_model_of_one_kind_takes_no_condition(pipeline):
    with pytest.raises(InputError, match="one kind only"):
        samples(pipeline, 1, condition="cat")
