"""Boxes in patient space, on grids of any orientation."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medai.engine.regions import Canvas, inside, keep, prefixes
from medai.result import Labelmap, Segment
from medai.volume import Region, Volume, apply_affine, crop
from small_bundles import OBLIQUE


def _turn(angles):
    turned = np.eye(3)
    for axis, angle in enumerate(angles):
        one = np.eye(3)
        a, b = (n for n in range(3) if n != axis)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turned = turned @ one
    return turned


def _center(volume):
    k, j, i = volume.shape
    return apply_affine(volume.affine, np.array([[(i - 1) / 2, (j - 1) / 2, (k - 1) / 2]]))[0]


@settings(max_examples=40, deadline=None)
@given(
    angles=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    size=st.lists(st.floats(0.5, 20), min_size=3, max_size=3),
    shift=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
)
def test_voxels_inside_are_those_whose_centres_lie_in_the_box(angles, size, shift):
    volume = Volume(np.zeros((5, 7, 6)), OBLIQUE)
    region = Region(_center(volume) + shift, size, _turn(angles))
    k, j, i = np.meshgrid(*(np.arange(n) for n in volume.shape), indexing="ij")
    points = apply_affine(OBLIQUE, np.column_stack([i.ravel(), j.ravel(), k.ravel()]).astype(float))
    np.testing.assert_array_equal(inside(region, volume).ravel(), region.contains(points))


def _labels(volume, region, values, *names):
    part = crop(volume, region.slices(volume))
    array = np.full(part.shape, values, np.uint8)
    return Labelmap(array, part.affine, tuple(Segment(name, n) for n, name in enumerate(names, 1)))


def _box(name, low, high):
    """Voxels low to high along i, all of j and k, on a grid of 1 mm."""
    return Region([(low + high) / 2, 1.5, 1.5], [high - low, 3, 3], name=name)


def test_several_regions_get_segments_of_their_own():
    volume = Volume(np.zeros((4, 4, 10)), np.eye(4))
    regions = (_box("Left", 0, 3), _box("Right", 6, 9))
    canvas = Canvas(volume, regions)
    canvas.paste(_labels(volume, regions[0], 2, "a", "b"), regions[0], 0)
    canvas.paste(_labels(volume, regions[1], 1, "a", "b"), regions[1], 1)
    labelmap = canvas.labelmap("both")
    assert [(s.name, s.value) for s in labelmap.segments] == [
        ("Left a", 1),
        ("Left b", 2),
        ("Right a", 3),
        ("Right b", 4),
    ]
    assert labelmap.array[0, 0].tolist() == [2, 2, 2, 2, 0, 0, 3, 3, 3, 3]
    assert labelmap.array.dtype == np.uint8
    assert labelmap.segments[0].modifier.meaning == "Left"
    assert labelmap.segments[3].modifier.meaning == "Right"


def test_where_regions_overlap_the_first_wins():
    volume = Volume(np.zeros((4, 4, 10)), np.eye(4))
    regions = (_box("one", 0, 5), _box("two", 3, 9))
    canvas = Canvas(volume, regions)
    for number, region in enumerate(regions):
        canvas.paste(_labels(volume, region, 1, "a"), region, number)
    assert canvas.labelmap("x").array[0, 0].tolist() == [1] * 6 + [2] * 4


def test_one_region_leaves_names_and_values_alone_and_nothing_outside():
    volume = Volume(np.zeros((9, 9, 9)), OBLIQUE)
    region = Region(_center(volume), [4, 4, 6], _turn([0.3, 0.4, 0.5]), name="ROI")
    canvas = Canvas(volume, (region,))
    canvas.paste(_labels(volume, region, 1, "a"), region, 0)
    labelmap = canvas.labelmap("x")
    assert labelmap.segments == (Segment("a", 1),)
    np.testing.assert_array_equal(labelmap.array == 1, inside(region, volume))
    assert labelmap.array.any()


def test_layers_of_overlapping_segments_are_pasted_layer_by_layer():
    volume = Volume(np.zeros((4, 4, 10)), np.eye(4))
    region = _box("", 2, 4)
    part = crop(volume, region.slices(volume))
    array = np.stack([np.ones(part.shape, np.uint8), np.zeros(part.shape, np.uint8)])
    canvas = Canvas(volume, (region,))
    canvas.paste(Labelmap(array, part.affine, (Segment("a", 1), Segment("b", 1, layer=1))), region, 0)
    labelmap = canvas.labelmap("x")
    assert labelmap.array.shape == (2, 4, 4, 10)
    assert labelmap.array[0].sum() == 3 * 16
    assert labelmap.array[1].sum() == 0


def test_many_regions_outgrow_one_byte_without_wrapping():
    volume = Volume(np.zeros((1, 1, 300)), np.eye(4))
    regions = tuple(Region([n, 0, 0], [0.5, 1, 1]) for n in range(300))
    canvas = Canvas(volume, regions)
    for number, region in enumerate(regions):
        canvas.paste(_labels(volume, region, 1, "a"), region, number)
    labelmap = canvas.labelmap("x")
    assert labelmap.array.dtype == np.uint16
    assert labelmap.array.ravel().tolist() == list(range(1, 301))


def test_regions_without_or_with_equal_names_are_numbered():
    assert prefixes((_box("", 0, 1), _box("Left", 0, 1))) == ("Region 1", "Left")
    assert prefixes((_box("L", 0, 1), _box("L", 0, 1))) == ("L 1", "L 2")
    assert prefixes((_box("Left", 0, 1),)) == ("",)


def test_segments_that_are_not_kept_become_background():
    segments = (Segment("a", 1), Segment("b", 2))
    kept = keep(Labelmap(np.array([[[0, 1, 2]]], np.uint8), np.eye(4), segments), {"b"})
    assert kept.array.tolist() == [[[0, 0, 2]]]
    assert kept.segments == segments[1:]


def test_layers_that_are_not_kept_are_dropped():
    segments = (Segment("a", 1), Segment("b", 1, layer=1))
    labelmap = Labelmap(np.array([[[[1, 1]]], [[[0, 1]]]], np.uint8), np.eye(4), segments)
    kept = keep(labelmap, {"b"})
    assert kept.array.tolist() == [[[[0, 1]]]]
    assert kept.mask(kept.segments[0]).tolist() == [[[False, True]]]
    assert keep(labelmap, ()).array.tolist() == [[[0, 0]]]
