"""Steps of the preprocessing that a person chooses are the same in training, in use and in MONAI's own hands."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import medai
from medai.bundles import integrity, trust, verify
from medai.bundles.pipeline import Pipeline
from medai.engine.streaming.predict import predict, why_not
from medai.errors import BundleFormatError, BundleNotFoundError, InputError
from medai.files import read
from monai_process import run_bundle
from small_bundles import write_bundle
from small_restorers import denoiser

EVERY_STEP = ["denoise", "bias_field", "align", "crop_foreground"]


@pytest.fixture(scope="module")
def turned_heads(tmp_path_factory) -> Path:
    """Six bright ellipsoids with a brighter ball at one end, each turned and moved otherwise, on an oblique grid."""
    folder = tmp_path_factory.mktemp("heads")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), axis=-1)
    for case in range(6):
        turn = Rotation.from_rotvec(rng.uniform(-0.25, 0.25, 3)).as_matrix()
        affine = np.diag([-2.0, 2.0, 2.2, 1.0])
        affine[:3, 3] = rng.uniform(-10, 10, 3) + np.array([24, -24, -26])
        places = ((grid - 11.5) @ np.diag([-2.0, 2.0, 2.2])) @ turn
        head = ((places / (18, 14, 12)) ** 2).sum(axis=-1) < 1
        ball = ((places - (8, 0, 0)) ** 2).sum(axis=-1) < 5.5**2
        image = 20 + 100 * head + 90 * ball + rng.normal(0, 4, head.shape)
        image = image * np.exp(0.2 * (grid[..., 0] / 12 - 1))
        nib.Nifti1Image(image.astype(np.float32), affine).to_filename(folder / "images" / f"head_{case}.nii.gz")
        nib.Nifti1Image(ball.astype(np.uint8), affine).to_filename(folder / "labels" / f"head_{case}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def a_denoiser(tmp_path_factory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("denoising") / "halver", denoiser())


@pytest.fixture(scope="module")
def a_model_of_every_step(turned_heads, a_denoiser, tmp_path_factory) -> tuple[Path, medai.Result]:
    root = tmp_path_factory.mktemp("steps") / "ball_in_head"
    chosen = {"epochs": 16, "width": 4, "patch_size": [16, 16, 16], "learning_rate": 0.02, "validate_every": 4}
    chosen |= {"preprocessing": EVERY_STEP, "denoiser": str(a_denoiser), "augmentation": ["flip"]}
    return root, medai.train(turned_heads, "segment", root, parameters=chosen, in_process=True, device="cpu")


def overlap(found, truth) -> float:
    return float(2 * ((found > 0) & (truth > 0)).sum() / ((found > 0).sum() + (truth > 0).sum()))


def test_it_learns_and_the_bundle_holds_all_it_needs(a_model_of_every_step):
    root, result = a_model_of_every_step
    pins = integrity.read_pins(root)
    assert {"models/template.nii.gz", "models/denoiser/models/model.pt"} <= set(pins)
    assert all("halver" not in (root / name).read_text(encoding="utf-8") for name in pins if "train.json" in name)
    trust.check_config(root)
    assert verify.verify(root).ok
    notes = " ".join(result.provenance.notes)
    assert "denoised by 'halver'" in notes
    assert "template" in notes
    table = next(item for item in result.items if item.name == "scores")
    dice = dict(zip(table.columns["Metric"], table.columns["Value"], strict=True))["dice"]
    assert dice > 0.6
    card = (root / "docs" / "README.md").read_text(encoding="utf-8")
    assert "freed of its bias field (N4), aligned with a template" in card


def test_monai_bundle_run_gives_the_labels_of_medai(a_model_of_every_step, turned_heads, tmp_path):
    root, _ = a_model_of_every_step
    image = turned_heads / "images" / "head_0.nii.gz"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / image.name).write_bytes(image.read_bytes())
    places = ["--bundle_root", ".", "--dataset_dir", tmp_path / "in", "--output_dir", tmp_path / "out"]
    run_bundle("--config_file", "configs/inference.json", *places, cwd=root)
    written = np.asarray(nib.load(tmp_path / "out" / "head_0_seg.nii.gz").dataobj).transpose()
    found = medai.segment(image, root, in_process=True, backend="torch", device="cpu").labelmap
    truth = np.asarray(nib.load(turned_heads / "labels" / image.name).dataobj).transpose()
    np.testing.assert_array_equal(found.array, written)
    assert overlap(found.array, truth) > 0.6


def test_what_cannot_be_streamed_gives_the_same_labels_in_one_piece(a_model_of_every_step, turned_heads):
    root, _ = a_model_of_every_step
    pipeline = Pipeline(root, "cpu")
    image = read(turned_heads / "images" / "head_1.nii.gz")
    batch = pipeline.preprocess((image,))
    whole = pipeline.postprocess(pipeline.infer(batch), image)
    assert "turns the image" in why_not(pipeline, batch)
    streamed = predict(pipeline, batch, image)
    np.testing.assert_array_equal(streamed.array, whole.array)
    assert whole.array.any()


def test_cropping_alone_is_streamed_with_the_same_labels(turned_heads, tmp_path):
    root = tmp_path / "cropped"
    chosen = {"epochs": 2, "width": 4, "patch_size": [16, 16, 16], "preprocessing": ["crop_foreground", "bias_field"]}
    medai.train(turned_heads, "segment", root, parameters=chosen, in_process=True, device="cpu", validation=0)
    pipeline = Pipeline(root, "cpu")
    image = read(turned_heads / "images" / "head_2.nii.gz")
    batch = pipeline.preprocess((image,))
    assert not why_not(pipeline, batch)
    assert batch["image"].shape[2:] < image.shape
    whole = pipeline.postprocess(pipeline.infer(batch), image)
    np.testing.assert_array_equal(predict(pipeline, batch, image).array, whole.array)


def test_without_its_denoiser_the_model_says_what_is_missing(a_model_of_every_step, turned_heads, tmp_path):
    import shutil

    root = tmp_path / "incomplete"
    shutil.copytree(a_model_of_every_step[0], root)
    shutil.rmtree(root / "models" / "denoiser")
    with pytest.raises(BundleFormatError, match="denoised before"):
        Pipeline(root, "cpu").preprocess((read(turned_heads / "images" / "head_0.nii.gz"),))


def test_the_template_is_the_same_for_the_same_data(turned_heads, tmp_path):
    chosen = {"epochs": 1, "width": 4, "patch_size": [16, 16, 16], "preprocessing": ["align"], "augmentation": []}
    for name in ("one", "two"):
        medai.train(turned_heads, "segment", tmp_path / name, parameters=chosen, in_process=True, device="cpu")
    one, two = (integrity.file_hash(tmp_path / name / "models" / "template.nii.gz") for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("task", "chosen", "message"),
    [
        ("denoise", {"preprocessing": ["bias_field"]}, "'bias_field' cannot be used for the task 'denoise'"),
        ("segment", {"preprocessing": ["denoise"], "denoiser": "nowhere_to_be_found"}, "nowhere_to_be_found"),
        ("segment", {"start_from": "nowhere_to_be_found"}, "nowhere_to_be_found"),
        ("denoise", {"ignore_label": 255}, "'ignore_label'"),
    ],
)
def test_what_cannot_be_done_is_refused(train, turned_heads, task, chosen, message):
    with pytest.raises((InputError, BundleNotFoundError), match=message):
        train(turned_heads, task, parameters=chosen)


def test_pictures_are_cropped_but_not_aligned(train, bright_spots):
    with pytest.raises(InputError, match="Pictures cannot be aligned"):
        train(bright_spots, "classify", parameters={"preprocessing": ["align"]})
    result = train(bright_spots, "classify", parameters={"epochs": 1, "preprocessing": ["crop_foreground"]})
    assert result.items


def test_a_model_that_does_not_denoise_is_refused_for_it(train, turned_heads, a_model_of_every_step):
    chosen = {"preprocessing": ["denoise"], "denoiser": str(a_model_of_every_step[0])}
    with pytest.raises(InputError, match="made for another task"):
        train(turned_heads, "segment", parameters=chosen)
