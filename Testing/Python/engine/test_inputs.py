"""Images are made fit for a network, and every change is said."""

from __future__ import annotations

import numpy as np
import pytest

from medai.engine.inputs import check_contrast, fit_inputs
from medai.errors import GeometryError, InputError
from medai.volume import Volume, corners
from small_bundles import OBLIQUE


def _image(shape=(4, 5, 6), affine=OBLIQUE, dtype="i2", name="scan"):
    return Volume((np.random.default_rng(0).random(shape) * 200).astype(dtype), affine, name)


def test_a_good_image_passes_untouched_and_silently():
    notes = []
    volume = _image()
    assert fit_inputs((volume,), 1, notes.append)[0] is volume
    assert not notes


def test_no_image_is_refused():
    with pytest.raises(InputError, match="No image"):
        fit_inputs((), 1, print)


def test_a_few_bad_voxels_take_the_lowest_value_and_it_is_said():
    notes = []
    array = _image(dtype="f4").array.copy()
    array[0, 0, :3] = np.nan, np.inf, -np.inf
    (fitted,) = fit_inputs((Volume(array, OBLIQUE),), 1, notes.append)
    assert np.isfinite(fitted.array).all()
    assert fitted.array[0, 0, 0] == array[np.isfinite(array)].min()
    assert fitted.array.dtype == np.float32
    assert "3 voxels" in notes[0]
    assert np.isnan(array[0, 0, 0]), "the caller's image must stay as it is"


def test_one_bad_voxel_is_one():
    notes = []
    array = _image(dtype="f4").array.copy()
    array[0, 0, 0] = np.nan
    fit_inputs((Volume(array, OBLIQUE, "scan"),), 1, notes.append)
    assert notes[0].startswith("1 voxel of 'scan' is infinite or not a number")


def test_an_image_without_any_valid_voxel_is_refused():
    with pytest.raises(InputError, match="no valid voxel"):
        fit_inputs((Volume(np.full((2, 3, 4), np.nan), OBLIQUE),), 1, print)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1)])
def test_an_image_without_contrast_is_refused(shape):
    with pytest.raises(InputError, match="value 7"):
        check_contrast(Volume(np.full(shape, 7, "i2"), OBLIQUE))


def test_colour_becomes_brightness_where_one_channel_is_needed():
    notes = []
    array = np.zeros((1, 2, 2, 3), "u1")
    array[0, 0, 0] = 255, 0, 0
    array[0, 0, 1] = 255, 255, 255
    (fitted,) = fit_inputs((Volume(array, OBLIQUE, "photo"),), 1, notes.append)
    assert fitted.array.tolist() == [[[76, 255], [0, 0]]]
    assert "colour" in notes[0]


def test_transparency_is_left_out_where_three_channels_are_needed():
    notes = []
    (fitted,) = fit_inputs((_image((1, 3, 3, 4), dtype="u1"),), 3, notes.append)
    assert fitted.channels == 3
    assert "transparency" in notes[0]


def test_a_vector_image_is_not_mistaken_for_colour():
    with pytest.raises(InputError, match="3 values per voxel"):
        fit_inputs((_image((2, 3, 3, 3), dtype="f4"),), 1, print)


@pytest.mark.parametrize(("given", "needed"), [(1, 2), (3, 2), (2, 1)])
def test_the_wrong_number_of_images_is_refused_with_their_names(given, needed):
    with pytest.raises(InputError, match=f"needs {needed} image.* got {given}.*'scan'"):
        fit_inputs(tuple(_image() for _ in range(given)), needed, print)


def test_components_count_as_channels():
    assert len(fit_inputs((_image((2, 3, 4, 2)),), 2, print)) == 1


def test_an_image_on_another_grid_is_resampled_in_patient_space_and_it_is_said():
    # The value of each image is the patient's R coordinate, whatever its grid.
    def ramp(affine, shape, name):
        k, j, i = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
        return Volume(
            (affine[0, 0] * i + affine[0, 1] * j + affine[0, 2] * k + affine[0, 3]).astype("f4"), affine, name
        )

    first = ramp(OBLIQUE, (6, 7, 8), "first")
    coarse = np.diag([-2.0, 3.0, 2.5, 1.0])
    box = corners(OBLIQUE, (6, 7, 8))
    coarse[:3, 3] = box.max(axis=0)[0] + 6, box.min(axis=0)[1] - 6, box.min(axis=0)[2] - 6
    second = ramp(coarse, (14, 16, 20), "second")
    notes = []
    fitted = fit_inputs((first, second), 2, notes.append)
    assert fitted[1].same_grid(first)
    np.testing.assert_allclose(fitted[1].array, first.array, atol=1e-3)
    assert "'second'" in notes[0]
    assert "resampled" in notes[0]


def test_images_of_different_places_are_refused_with_both_geometries():
    away = OBLIQUE.copy()
    away[:3, 3] += 500
    with pytest.raises(GeometryError, match=r"6 x 5 x 4 voxels.*6 x 5 x 4 voxels"):
        fit_inputs((_image(name="here"), _image(affine=away, name="there")), 2, print)


def test_rounding_differences_between_affines_are_no_different_grid():
    notes = []
    nearly = OBLIQUE.astype(np.float32).astype(np.float64)
    fitted = fit_inputs((_image(), _image(affine=nearly)), 2, notes.append)
    np.testing.assert_array_equal(fitted[1].affine, OBLIQUE)
    assert not notes
