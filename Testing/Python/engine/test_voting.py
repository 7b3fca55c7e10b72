"""Several segmentations of one image vote, voxel by voxel."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medai.engine.voting import vote
from medai.result import Labelmap, Segment

SEGMENTS = (Segment("grey", 1), Segment("white", 2), Segment("lesion", 5))


def _labelmap(array, segments=SEGMENTS):
    return Labelmap(np.asarray(array, np.uint8), np.eye(4), segments)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 40))
def test_every_voxel_gets_the_label_that_most_gave_it_and_the_share_that_did_not(seed, voters, depth):
    arrays = np.random.default_rng(seed).choice([0, 1, 2, 5], (voters, depth, 3, 2))
    winner, disagreement = vote([_labelmap(array) for array in arrays])
    for place in np.ndindex(depth, 3, 2):
        cast = Counter(int(array[place]) for array in arrays)
        best = max(cast.values())
        assert cast[int(winner.array[place])] == best
        np.testing.assert_allclose(disagreement[place], 1 - best / voters, atol=1e-6)


def test_of_two_that_disagree_the_first_wins():
    winner, disagreement = vote([_labelmap([[[1, 2]]]), _labelmap([[[2, 2]]])])
    np.testing.assert_array_equal(winner.array, [[[1, 2]]])
    np.testing.assert_array_equal(disagreement, np.float32([[[0.5, 0]]]))


def test_where_two_stand_against_each_other_the_casting_vote_decides():
    two = [_labelmap([[[1, 2, 1, 0]]]), _labelmap([[[2, 2, 2, 1]]])]
    winner, disagreement = vote(two, casting=_labelmap([[[2, 1, 5, 1]]]))
    # It can neither outvote two that agree nor bring in a label of its own.
    np.testing.assert_array_equal(winner.array, [[[2, 2, 1, 1]]])
    np.testing.assert_array_equal(disagreement, np.float32([[[0.5, 0, 0.5, 0.5]]]))


def test_segments_are_the_same_when_their_names_are_whatever_their_values():
    other = (Segment("White", 1), Segment("Grey", 2), Segment("lesion", 5))
    first = _labelmap([[[0, 1, 2, 5]]])
    winner, disagreement = vote([first, _labelmap([[[0, 2, 1, 5]]], other)])
    np.testing.assert_array_equal(winner.array, first.array)
    assert winner.segments == first.segments
    assert not disagreement.any()


def test_a_segment_only_one_model_names_is_kept_under_a_value_of_its_own():
    other = (Segment("grey", 1), Segment("Label 2", 2))
    winner, _ = vote([_labelmap([[[1, 2]]], SEGMENTS[:2]), _labelmap([[[1, 2]]], other)])
    assert [segment.name for segment in winner.segments] == ["grey", "white", "Label 2"]
    assert len({segment.value for segment in winner.segments}) == 3


def test_overlapping_structures_are_voted_on_one_by_one():
    layers = (Segment("whole", 1, layer=0), Segment("core", 1, layer=1))
    a, b, c = (
        Labelmap(np.array(array, np.uint8), np.eye(4), layers)
        for array in ([[[[1, 1]]], [[[0, 1]]]], [[[[1, 0]]], [[[0, 1]]]], [[[[1, 1]]], [[[1, 0]]]])
    )
    winner, disagreement = vote([a, b, c])
    np.testing.assert_array_equal(winner.array, [[[[1, 1]]], [[[0, 1]]]])
    np.testing.assert_allclose(disagreement, [[[1 / 3, 1 / 3]]], atol=1e-6)
    assert [(s.name, s.value, s.layer) for s in winner.segments] == [("whole", 1, 0), ("core", 1, 1)]
