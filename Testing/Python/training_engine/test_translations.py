"""A translation learns from pairs of images, against a discriminator."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

import medai
from medai.errors import InputError, JobCancelled
from medai.training import folder
from medai.training.components.translation import Translation
from medai.training.judge_images import matched
from small_bundles import OBLIQUE

PAIRED = {"epochs": 25, "width": 4, "levels": 2, "patch_size": [8, 8, 8], "patches": 4, "learning_rate": 0.01}
PAIRED |= {"spacing": [1.0, 1.0, 1.0], "augmentation": ["flip"], "validate_every": 25}


@pytest.fixture(scope="session")
def a_translator(pairs, tmp_path_factory) -> tuple[Path, medai.Result]:
    root = tmp_path_factory.mktemp("translator") / "negative"
    result = medai.train(pairs, "translate", root, parameters=PAIRED, in_process=True, device="cpu")
    return root, result


def test_a_planted_contrast_is_learned(a_translator):
    _, result = a_translator
    scores = dict(zip(result.items[2].columns["Metric"], result.items[2].columns["Value"], strict=True))
    # Keeping ranks is no help where contrast is turned over.
    assert scores["psnr_before_db"] < 15
    assert scores["psnr_gain_db"] > 5
    rows = folder.history(a_translator[0])
    assert rows[-1]["generator_loss"] < rows[0]["generator_loss"] / 2
    assert all(row["discriminator_loss"] > 0 for row in rows)


def test_what_it_makes_has_the_scale_of_what_it_was_shown(a_translator, pairs):
    made = medai.translate(pairs.parent / "image_7.nii.gz", a_translator[0], in_process=True, device="cpu").volume
    real = medai.files.read(pairs.parent / "target_7.nii.gz")
    assert made.name.endswith("synthetic")
    assert made.same_grid(real)
    assert np.corrcoef(made.array.ravel(), real.array.ravel())[0, 1] > 0.9
    assert abs(np.median(made.array) - np.median(real.array)) < 0.35 * np.ptp(real.array)


def test_an_oblique_image_gives_an_image_where_it_is(a_translator):
    array = np.random.default_rng(0).normal(100, 20, (9, 12, 10)).astype(np.float32)
    image = medai.Volume(array, OBLIQUE, "oblique")
    made = medai.translate(image, a_translator[0], in_process=True, device="cpu").volume
    assert made.same_grid(image)
    assert np.isfinite(made.array).all()


def test_monai_itself_runs_the_bundle(a_translator, pairs, tmp_path):
    from monai.bundle import run

    images = tmp_path / "input"
    images.mkdir()
    (images / "one.nii.gz").write_bytes((pairs.parent / "image_6.nii.gz").read_bytes())
    root, _ = a_translator
    run(
        config_file=str(root / "configs" / "inference.json"),
        bundle_root=str(root),
        dataset_dir=str(images),
        output_dir=str(tmp_path / "out"),
    )
    theirs = np.asanyarray(nib.load(tmp_path / "out" / "one_synthetic.nii.gz").dataobj)
    ours = medai.translate(images / "one.nii.gz", root, in_process=True, device="cpu", backend="torch").volume
    np.testing.assert_allclose(ours.array, theirs.T, atol=1e-2)


def test_the_card_says_that_nothing_was_measured(a_translator):
    card = (a_translator[0] / "docs" / "README.md").read_text(encoding="utf-8")
    assert "**synthetic**" in card
    assert "PatchDiscriminator" in card
    assert "medai translate" in card


def test_an_interrupted_training_goes_on_to_the_same_weights(pairs, train, tmp_path):
    short = {**PAIRED, "epochs": 4, "validate_every": 2}
    train(pairs, "translate", "whole", parameters=short)
    seen = []

    def stop(progress):
        if seen:
            raise JobCancelled("The job was cancelled.")
        if progress.note.startswith("Epoch 2 "):
            seen.append(progress)

    with pytest.raises(JobCancelled):
        train(pairs, "translate", "parts", parameters=short, on_progress=stop)
    train(pairs, "translate", "parts", parameters=short)
    one, two = (torch.load(tmp_path / name / "models" / "model.pt", weights_only=True) for name in ("whole", "parts"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_both_networks_are_judged_by_the_same_pair():
    """With a discriminator that says how bright the result is: 1 is real, 0 is not (least squares)."""

    class Brightness(torch.nn.Module):
        def forward(self, both):
            return [both, both[:, 1:]]

    contest = Translation(Brightness(), torch.nn.L1Loss(), adversarial=0.5)
    image, target = torch.full((2, 1, 4, 4), 0.25), torch.full((2, 1, 4, 4), 0.8)
    batch = {"image": image, "label": target}
    assert contest.targets(batch, torch.device("cpu")) is target
    made = contest(contest.source(), torch.nn.Identity())
    assert contest(contest.source(), lambda _: pytest.fail("asked twice")) is made
    assert float(contest.of_both(made, target)) == pytest.approx((0.25**2 + 0.2**2) / 2, abs=1e-6)
    assert float(contest.of_made(made)) == pytest.approx(0.55 + 0.5 * 0.75**2, abs=1e-6)
    alone = Translation(Brightness(), torch.nn.L1Loss(), adversarial=0.0)
    alone.targets(batch, torch.device("cpu"))
    assert float(alone.of_made(image)) == pytest.approx(0.55, abs=1e-6)


def test_data_without_pairs_are_refused(smooth_volumes, pairs, train):
    with pytest.raises(InputError, match="no images to make the others into"):
        train(smooth_volumes, "translate")
    with pytest.raises(InputError, match="two networks in turns"):
        train(pairs, "translate", parameters={**PAIRED, "gradient_clip": 1.0})


def test_the_baseline_keeps_ranks_and_takes_the_references_intensities():
    rng = np.random.default_rng(4)
    reference = rng.normal(500, 80, (6, 7, 8)).astype(np.float32)
    same = matched(np.argsort(np.argsort(reference.ravel())).reshape(reference.shape), reference)
    np.testing.assert_allclose(same, reference, atol=1e-3)
    constant = matched(np.zeros((6, 7, 8)), reference)
    assert np.ptp(constant) == 0
