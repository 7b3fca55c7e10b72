from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("torch")

from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import LoadImage
from PIL import Image

from medai.errors import MedAIError
from medai.files import read
from medai.training.data import DataItem, DataList, read_data_list
from medai.training.data.images import load_item, loader


def test_a_nifti_file_is_loaded_as_monai_loads_it(volumes_with_labels):
    loaded = load_item(read_data_list(volumes_with_labels)[0])
    for key, folder in (("image", "imagesTr"), ("label", "labelsTr")):
        theirs = LoadImage(image_only=True, ensure_channel_first=True)(volumes_with_labels / folder / "case_0.nii.gz")
        assert isinstance(loaded[key], MetaTensor)
        np.testing.assert_array_equal(loaded[key].numpy(), theirs.numpy())
        np.testing.assert_array_equal(loaded[key].affine.numpy(), theirs.affine.numpy())


def test_a_picture_has_columns_first_as_in_monai(pictures_with_masks):
    item = read_data_list(pictures_with_masks)[0]
    loaded = load_item(item)["image"]
    theirs = LoadImage(image_only=True, ensure_channel_first=True)(item.files["image"][0])
    assert loaded.shape == (1, 16, 12)
    np.testing.assert_array_equal(loaded.numpy(), theirs.numpy())


def test_a_colour_picture_has_three_channels(save_picture, rng):
    array = rng.integers(0, 255, (12, 16, 3), np.uint8)
    path = save_picture("colour.png", array)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), array)
    loaded = load_item(DataItem("a", {"image": (path,)}))["image"]
    np.testing.assert_array_equal(loaded.numpy(), np.moveaxis(array, (0, 1, 2), (2, 1, 0)))


@pytest.mark.parametrize(
    ("shape", "expected"), [((2, 5, 7), (1, 7, 5)), ((2, 5, 7, 3), (3, 7, 5)), ((2, 4, 5, 7), (1, 7, 5, 4))]
)
def test_images_of_a_stack_are_grey_colour_or_volumes(tmp_path, rng, shape, expected):
    images = rng.integers(0, 255, shape, np.uint8)
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=np.zeros((2, 1)))
    loaded = load_item(read_data_list(tmp_path / "a.npz")[1])["image"]
    assert loaded.shape == expected
    np.testing.assert_array_equal(loaded.numpy().squeeze(), images[1].T)


def test_an_image_of_a_stack_lies_as_the_same_picture_in_a_file(a_stack, save_picture):
    with np.load(a_stack) as arrays:
        path = save_picture("same.png", arrays["train_images"][3])
    from_stack = load_item(read_data_list(a_stack)[3])["image"]
    from_file = load_item(DataItem("a", {"image": (path,)}))["image"]
    np.testing.assert_array_equal(from_stack.numpy(), from_file.numpy())
    np.testing.assert_array_equal(from_stack.affine.numpy(), from_file.affine.numpy())
    np.testing.assert_allclose(np.diag(from_stack.affine), np.diag(read(path).affine))


def test_several_files_become_channels(volumes_with_labels):
    files = tuple(volumes_with_labels / "imagesTr" / f"case_{n}.nii.gz" for n in (0, 1))
    assert load_item(DataItem("a", {"image": files}))["image"].shape == (2, 6, 5, 4)


def test_frames_in_one_file_become_channels(save_nifti, rng):
    array = rng.normal(size=(6, 5, 4, 3)).astype(np.float32)
    path = save_nifti("four.nii.gz", array)
    loaded = load_item(DataItem("a", {"image": (path,)}))["image"]
    np.testing.assert_array_equal(loaded.numpy(), np.moveaxis(array, 3, 0))


def test_the_transform_works_in_other_processes_of_a_data_loader(a_stack):
    data = read_data_list(a_stack)
    transform = pickle.loads(pickle.dumps(loader(data)))
    batches = list(DataLoader(Dataset(data.dicts("validation"), transform), batch_size=4))
    assert batches[0]["image"].shape == (4, 1, 7, 5)
    assert batches[0]["label"].tolist() == [0, 1, 0, 0]


def test_missing_labels_reach_the_network_as_nan(a_stack):
    data = read_data_list(a_stack)
    hidden = data.with_items([item.with_values(label=(0, None)) for item in data])
    assert np.isnan(hidden.dicts()[0]["label"][1])


def test_a_damaged_file_is_told_in_words(tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"nothing of the kind")
    data = DataList((DataItem("a", {"image": (tmp_path / "broken.nii.gz",)}),))
    with pytest.raises(MedAIError, match=r"broken\.nii\.gz"):
        loader(data)(data.dicts()[0])
