"""Images in memory look to MONAI exactly like files."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.image_reader import NibabelReader
from monai.transforms import Compose, LoadImaged, SaveImaged

from medai.bundles import memory_io
from medai.volume import Volume
from small_bundles import OBLIQUE


def _from_file(volume, path, *, planar=False, **options):
    array = np.moveaxis(volume.array, (0, 1, 2), (2, 1, 0))
    array = array[:, :, 0] if planar else array
    nibabel.save(nibabel.Nifti1Image(np.asfortranarray(array), volume.affine, dtype=array.dtype), path)
    reader = NibabelReader(**options)
    return reader.get_data(reader.read(path))


def _from_memory(volume, *, planar=False, **options):
    reader = memory_io.MemoryReader(
        {"x": volume}, planar=planar, options_of=NibabelReader(**options), loader_dtype=np.float32
    )
    return reader.get_data(reader.read("x"))


def _assert_same(one, other):
    (array, meta), (expected, expected_meta) = one, other
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == expected.dtype
    assert set(meta) == set(expected_meta)
    for key, value in expected_meta.items():
        np.testing.assert_array_equal(meta[key], value, err_msg=key)
        assert np.asarray(meta[key]).dtype == np.asarray(value).dtype, key


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize(
    ("shape", "planar"), [((3, 5, 4), False), ((1, 5, 4), False), ((1, 5, 4), True), ((3, 5, 4, 2), False)]
)
def test_an_image_in_memory_is_read_like_a_nifti_file(dtype, shape, planar, tmp_path):
    rng = np.random.default_rng(0)
    volume = Volume((rng.random(shape) * 100).astype(dtype), OBLIQUE)
    _assert_same(_from_memory(volume, planar=planar), _from_file(volume, tmp_path / "x.nii", planar=planar))


def test_the_readers_own_options_are_honoured(tmp_path):
    volume = Volume(np.random.default_rng(0).random((3, 5, 4)).astype("f4"), OBLIQUE)
    found = _from_memory(volume, as_closest_canonical=True)
    _assert_same(found, _from_file(volume, tmp_path / "x.nii", as_closest_canonical=True))
    assert not np.array_equal(found[1]["affine"], found[1]["original_affine"])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-1, 1), min_size=9, max_size=9).filter(
        lambda m: abs(np.linalg.det(np.reshape(m, (3, 3)) + 2 * np.eye(3))) > 0.5
    ),
    st.lists(st.floats(-500, 500), min_size=3, max_size=3),
)
def test_any_affine_is_rounded_like_in_a_file(tmp_path_factory, matrix, origin):
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(matrix, (3, 3)) + 2 * np.eye(3)
    affine[:3, 3] = origin
    volume = Volume(np.arange(24, dtype="i2").reshape(2, 3, 4), affine)
    _assert_same(_from_memory(volume), _from_file(volume, tmp_path_factory.mktemp("affine") / "x.nii"))


def test_integers_are_handed_over_without_a_copy():
    volume = Volume(np.zeros((3, 5, 4), "i2"), np.eye(4))
    assert np.shares_memory(_from_memory(volume)[0], volume.array)


def test_floats_are_copied_because_transforms_may_work_in_place():
    volume = Volume(np.zeros((3, 5, 4), "f4"), np.eye(4))
    assert not np.shares_memory(_from_memory(volume)[0], volume.array)


@pytest.mark.parametrize("dtype", ["bool", "f2", ">i2"])
def test_types_that_nifti_lacks_are_converted(dtype):
    volume = Volume((np.arange(24).reshape(2, 3, 4) % 2).astype(dtype), np.eye(4))
    array, _ = _from_memory(volume)
    np.testing.assert_array_equal(array, volume.array.transpose(2, 1, 0).astype("f4"))
    assert array.dtype.isnative


def test_a_colour_picture_keeps_its_components_last():
    volume = Volume(np.arange(60, dtype="u1").reshape(1, 5, 4, 3), np.eye(4))
    array, meta = _from_memory(volume, planar=True)
    assert array.shape == (4, 5, 3)
    np.testing.assert_array_equal(meta["spatial_shape"], [4, 5])
    assert meta["original_channel_dim"] == -1


def test_an_image_too_wide_for_nifti_1_is_read():
    volume = Volume(np.zeros((1, 1, 40000), "u1"), np.eye(4))
    assert _from_memory(volume)[0].shape == (40000, 1, 1)


def test_a_loader_that_names_another_reader_still_reads_from_memory():
    shelf = {"scan": Volume(np.arange(24, dtype="i2").reshape(2, 3, 4), OBLIQUE)}
    loader = Compose([LoadImaged(keys="image", reader="NibabelReader", ensure_channel_first=True)])
    assert memory_io.read_from_memory(loader, shelf, planar=False) == ("image",)
    np.testing.assert_array_equal(loader({"image": "scan"})["image"][0], shelf["scan"].array.transpose(2, 1, 0))


def test_saving_keeps_type_order_and_keys_and_writes_no_file(tmp_path):
    shelf = {"scan": Volume(np.arange(24, dtype="i2").reshape(2, 3, 4), OBLIQUE)}
    saved: list[memory_io.Saved] = []
    save = SaveImaged(keys=["pred", "image"], output_dir=tmp_path / "out", output_dtype=np.uint8, print_log=False)
    chain = Compose([LoadImaged(keys=["image", "pred"], ensure_channel_first=True), Compose([save])])
    memory_io.read_from_memory(chain, shelf, planar=False)
    assert memory_io.write_to_memory(chain, saved)
    chain({"image": "scan", "pred": "scan"})
    assert [item.key for item in saved] == ["pred", "image"]
    assert saved[0].array.dtype == np.uint8
    np.testing.assert_array_equal(saved[0].array[..., 0], shelf["scan"].array.transpose(2, 1, 0))
    np.testing.assert_allclose(saved[0].affine, OBLIQUE, atol=1e-5)
    assert not list(tmp_path.iterdir())
