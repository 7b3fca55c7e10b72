"""Where in a larger image the structures are that a model knows from crops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from medai.engine.locate import locate
from medai.engine.region_template import RegionTemplate, Side, read_template
from medai.errors import BundleFormatError, InputError
from medai.training.region_template import region_template
from medai.volume import Volume

SPACING = 2.0


def smooth_noise(seed: int, shape: tuple[int, int, int], sigma: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    smooth = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(noise), sigma))
    return (smooth - smooth.mean()) / smooth.std()


@pytest.fixture(scope="module")
def a_template() -> RegionTemplate:
    pattern = smooth_noise(1, (16, 20, 16), 1.5)
    sides = (Side("Left", mirrored=False), Side("Right", mirrored=True))
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    mask = np.ones(pattern.shape, dtype=np.bool_)
    return RegionTemplate(Volume(pattern, affine), mask, (32, 40, 32), sides, (30, 80))


def head_with(template: RegionTemplate, left: tuple[int, int, int], right: tuple[int, int, int]) -> Volume:
    """Tissue at 2 mm on RAS axes with the pattern around two (i, j, k) voxels, the right one mirrored."""
    array = 100 + 4 * smooth_noise(2, (60, 60, 70), 1.5)
    pattern = template.image.array
    for (i, j, k), one in ((left, pattern), (right, pattern[:, :, ::-1])):
        array[k - 8 : k + 8, j - 10 : j + 10, i - 8 : i + 8] = 100 + 15 * one
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = (-70, -60, -55)
    return Volume(array, affine, "head", "MR")


@settings(max_examples=6, deadline=None)
@given(
    st.tuples(st.integers(12, 20), st.integers(20, 40), st.integers(20, 40)),
    st.integers(22, 30),
    st.lists(st.sampled_from([0, 1, 2]), min_size=0, max_size=3, unique=True),
)
def test_both_sides_are_found_wherever_they_are_and_however_the_image_is_stored(a_template, left, step, flips):
    right = (left[0] + step, left[1], left[2])
    volume = head_with(a_template, left, right)
    for axis in flips:
        # Storing an image the other way round moves no tissue.
        affine = volume.affine.copy()
        affine[:3, 3] += affine[:3, axis] * (volume.shape[2 - axis] - 1)
        affine[:3, axis] *= -1
        volume = Volume(np.flip(volume.array, 2 - axis), affine, "head", "MR")
    regions = locate(volume, a_template)
    assert [region.name for region in regions] == ["Left", "Right"]
    for region, at in zip(regions, (left, right), strict=True):
        expected = np.array([-70, -60, -55]) + SPACING * (np.array(at) - 0.5)
        np.testing.assert_allclose(region.center, expected, atol=SPACING)
        np.testing.assert_allclose(region.size, (32, 40, 32))


def test_an_image_without_the_structure_says_so_instead_of_guessing(a_template):
    empty = Volume(100 + 4 * smooth_noise(3, (60, 60, 70), 1.5), np.diag([SPACING, SPACING, SPACING, 1.0]), "chest")
    with pytest.raises(InputError, match="could not be found in 'chest'"):
        locate(empty, a_template)


def test_places_at_an_implausible_distance_are_not_taken_for_a_pair(a_template):
    volume = head_with(a_template, (16, 30, 30), (44, 30, 30))
    with pytest.raises(InputError, match=r"no match is plausible|best match"):
        locate(volume, replace(a_template, distance_mm=(5, 20)))


def test_the_mean_of_crops_is_centred_on_their_structure():
    rng = np.random.default_rng(0)
    images, labels = [], []
    for shift in (0, 1, 2, 3):
        label = np.zeros((20, 22, 20), np.uint8)
        label[6 + shift : 12 + shift, 8:14, 7:13] = 1
        images.append(label * 50.0 + rng.normal(size=label.shape))
        labels.append(label)
    mean, mask = region_template(images, labels, (16, 16, 16))
    bright = np.argwhere(mean > mean.max() / 2).mean(axis=0)
    np.testing.assert_allclose(bright, 7.5, atol=1.0)
    assert mask[8, 8, 8]
    assert (mean[~mask] == 0).all()


def test_a_bundle_without_a_template_cannot_find_its_region(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleFormatError, match="cannot find its region"):
        read_template(tmp_path)


def test_a_template_outside_its_bundle_is_refused(tmp_path):
    bundle = tmp_path / "bundle"
    (bundle / "configs").mkdir(parents=True)
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkVectorFloat32, 2), str(tmp_path / "elsewhere.mha"))
    sides = '"sides": [{"name": "", "mirrored": false}]'
    entry = f'{{"template": "../elsewhere.mha", "size_mm": [8, 8, 8], {sides}, "min_score": 0.5}}'
    (bundle / "configs" / "metadata.json").write_text(f'{{"medai": {{"region": {entry}}}}}', encoding="utf-8")
    with pytest.raises(BundleFormatError):
        read_template(bundle)
