"""A generator of seconds learns what one of hours learns: how bright, where, with which label, for which class."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import medai
from medai.bundles.pipeline import Pipeline
from medai.errors import InputError, JobCancelled, MedAIError
from medai.tasks.synthesize.sampling import samples
from medai.training import folder

SMALL = {"epochs": 40, "batch_size": 8, "width": 4, "code": 4, "learning_rate": 0.004, "ema": 0.05}
SMALL |= {"validate_every": 10}


@pytest.fixture(scope="session")
def labelled_blobs(tmp_path_factory) -> Path:
    """Volumes of 8 voxels along an edge: dark, with a bright blob in one half, which is the label 5."""
    root = tmp_path_factory.mktemp("blobs") / "blobs"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), axis=-1)
    for case in range(24):
        center = np.array([2, 4, 4]) + rng.uniform(-0.5, 0.5, 3)
        label = (((grid - center) / 2.2) ** 2).sum(axis=-1) < 1
        image = (200 + 500 * label + rng.normal(0, 15, label.shape)).astype(np.int16)
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        nib.Nifti1Image(image, affine).to_filename(root / "images" / f"case_{case:02d}.nii.gz")
        nib.Nifti1Image(5 * label.astype(np.uint8), affine).to_filename(root / "labels" / f"case_{case:02d}.nii.gz")
    return root


@pytest.fixture(scope="session")
def dark_and_bright(tmp_path_factory) -> Path:
    """A MedMNIST file of pictures of 8 pixels along an edge: class 0 is bright at the left, class 1 at the right."""
    rng = np.random.default_rng(1)
    labels = (np.arange(48) % 2).astype(np.uint8)
    images = rng.integers(10, 50, (48, 8, 8)).astype(np.uint8)
    for n, label in enumerate(labels):
        images[n, :, 4 * label : 4 * label + 4] += 180
    path = tmp_path_factory.mktemp("halves") / "halves.npz"
    parts = {"train": slice(0, 40), "val": slice(40, 48)}
    np.savez(
        path,
        **{f"{part}_images": images[where] for part, where in parts.items()},
        **{f"{part}_labels": labels[where, np.newaxis] for part, where in parts.items()},
    )
    return path


@pytest.fixture
def train(tmp_path):
    """Trains a generator in this process."""

    def run(data: Path, name: str = "model", on_progress=None, validation=0.0, **parameters) -> Path:
        medai.train(
            data,
            "synthesize",
            tmp_path / name,
            parameters={**SMALL, **parameters},
            in_process=True,
            device="cpu",
            modality="MR",
            validation=validation,
            on_progress=on_progress,
        )
        return tmp_path / name

    return run


def test_a_blob_is_made_where_it_belongs_and_with_its_label(train, labelled_blobs):
    root = train(labelled_blobs)
    made = list(samples(Pipeline(root, "cpu"), 12))
    blob = np.mean([sample.labelmap.array == 1 for sample in made], axis=0).transpose(2, 1, 0)
    assert blob[1:4, 3:6, 3:6].mean() > 0.5
    assert blob[6:].mean() < 0.2
    inside = np.mean([sample.image.array[sample.labelmap.array == 1].mean() for sample in made])
    outside = np.mean([sample.image.array[sample.labelmap.array == 0].mean() for sample in made])
    assert inside - outside > 200
    first = made[0]
    assert first.image.array.dtype == np.int16
    assert first.image.shape == (8, 8, 8)
    assert first.image.spacing == (2, 2, 2)
    assert [segment.name for segment in first.labelmap.segments] == ["label 5"]


def test_it_is_asked_for_a_class_and_makes_it(train, dark_and_bright):
    root = train(dark_and_bright, epochs=60)
    pipeline = Pipeline(root, "cpu")
    for place, name in enumerate(pipeline.latents.conditions):
        pictures = np.mean([s.image.array[0] for s in samples(pipeline, 8, condition=name)], axis=0)
        halves = pictures[:, :4].mean(), pictures[:, 4:].mean()
        assert halves[place] > halves[1 - place] + 60, name
    assert pictures.shape == (8, 8)


def test_a_training_that_was_interrupted_ends_with_the_same_weights(train, labelled_blobs, tmp_path):
    import torch

    def stop(progress) -> None:
        if progress.stage == "Training" and progress.done >= 5:
            raise JobCancelled("Stopped.", "", "")

    chosen = {"epochs": 4, "validate_every": 2, "augmentation": ["flip"]}
    whole = train(labelled_blobs, "whole", **chosen)
    with pytest.raises(JobCancelled):
        train(labelled_blobs, "broken", on_progress=stop, **chosen)
    assert (tmp_path / "broken" / folder.CHECKPOINT).is_file()
    broken = train(labelled_blobs, "broken", **chosen)
    one, other = (torch.load(root / folder.WEIGHTS, weights_only=True) for root in (whole, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert folder.history(whole) == folder.history(broken)


def test_what_was_best_until_a_stop_is_kept(train, labelled_blobs, tmp_path):
    def stop(progress) -> None:
        if progress.stage == "Training" and progress.done >= 9:
            raise JobCancelled("Stopped.", "", "")

    with pytest.raises(JobCancelled):
        train(labelled_blobs, on_progress=stop, validate_every=1)
    assert next(samples(Pipeline(tmp_path / "model", "cpu"), 1)).labelmap is not None


def test_its_history_tells_of_both_networks(train, labelled_blobs):
    root = train(labelled_blobs, epochs=2, validate_every=1, validation=0.25)
    rows = folder.history(root)
    assert {"epoch", "generator_loss", "discriminator_loss", "learning_rate", "likeness"} == set(rows[-1])
    card = (root / "docs" / "README.md").read_text(encoding="utf-8")
    assert "shows no patient" in card
    assert "GanTrainer" in card
    assert json.loads((root / folder.METADATA).read_text(encoding="utf-8"))["medai"]["task"] == "synthesize"


def test_steps_that_are_too_large_end_in_words(train, labelled_blobs):
    with pytest.raises(MedAIError, match="failed") as error:
        train(labelled_blobs, epochs=30, learning_rate=10.0, optimizer="sgd", loss="least_squares", validate_every=30)
    assert "learning_rate" in error.value.remedy


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"normalization": "zscore"}, "lowest to a highest"),
        ({"loss": "dice"}, "cannot be used for 'loss'"),
        ({"network": "unet"}, "not made for the task"),
    ],
)
def test_what_a_generator_cannot_learn_with_is_refused(train, labelled_blobs, parameters, message):
    with pytest.raises(InputError) as error:
        train(labelled_blobs, **parameters)
    assert message in str(error.value) + error.value.what + error.value.why


def test_monai_makes_the_same_kind_of_files(train, labelled_blobs, tmp_path):
    from monai.bundle import run

    root = train(labelled_blobs, epochs=1)
    config = str(root / "configs" / "inference.json")
    run(config_file=config, bundle_root=str(root), output_dir=str(tmp_path / "out"), count=2)
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(files) == 4
    image, label = (nib.load(tmp_path / "out" / name) for name in files[:2])
    np.testing.assert_allclose(image.affine, label.affine)
    np.testing.assert_allclose(image.affine, np.array([[2, 0, 0, -7], [0, 2, 0, -7], [0, 0, 2, -7], [0, 0, 0, 1]]))


def test_nobody_has_to_trust_it(train, dark_and_bright):
    from medai.bundles import trust

    assert trust.concerns(train(dark_and_bright, epochs=1)) == ()
