"""The shipped hippocampus model, on a real head and, where they are, on labelled crops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import medai
from medai.bundles.library import find
from medai.files import read
from medai.jobs import Worker
from medai.volume import Volume

ROOT = Path(__file__).resolve().parents[3]
CROPS = ROOT.parent / "shared" / "data" / "hippocampus_mr"
MODEL = "hippocampus_mr_unet"


@pytest.fixture(scope="module")
def a_worker():
    with Worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def the_mni152_head() -> Volume:
    from nilearn.datasets.struct import MNI152_FILE_PATH

    return read(MNI152_FILE_PATH)


@pytest.fixture(scope="module")
def both_hippocampi(the_mni152_head, a_worker):
    return medai.segment(the_mni152_head, model=MODEL, region="auto", worker=a_worker)


def test_both_hippocampi_of_the_mni152_head_have_a_healthy_size(both_hippocampi):
    volumes = both_hippocampi.labelmap.volumes_ml()
    assert set(volumes) == {
        f"{side} {part} hippocampus" for side in ("Left", "Right") for part in ("anterior", "posterior")
    }
    for side in ("Left", "Right"):
        # An adult hippocampus has 2.5 to 5.5 mL; the template's, drawn generously, lies inside that.
        assert 2.5 < sum(volume for name, volume in volumes.items() if name.startswith(side)) < 6.0
        assert all(volume > 0.8 for name, volume in volumes.items() if name.startswith(side))


def test_left_and_right_agree_on_the_symmetric_template(both_hippocampi):
    volumes = both_hippocampi.labelmap.volumes_ml()
    for part in ("anterior", "posterior"):
        left, right = (volumes[f"{side} {part} hippocampus"] for side in ("Left", "Right"))
        assert abs(left - right) < 0.15 * max(left, right)


def test_each_label_lies_where_anatomy_puts_it(both_hippocampi):
    labelmap = both_hippocampi.labelmap
    centers = {}
    for segment in labelmap.segments:
        kji = np.argwhere(labelmap.mask(segment)).mean(axis=0)
        centers[segment.name] = labelmap.affine[:3, :3] @ kji[::-1] + labelmap.affine[:3, 3]
    for side, sign in (("Left", -1), ("Right", 1)):
        anterior, posterior = (centers[f"{side} {part} hippocampus"] for part in ("anterior", "posterior"))
        assert anterior[1] > posterior[1] + 8  # A of RAS
        # Around (+-26, -21, -15) mm of MNI space.
        middle = (anterior + posterior) / 2
        np.testing.assert_allclose(middle, [sign * 26, -21, -15], atol=6)


def test_a_mirrored_head_gives_mirrored_labels(the_mni152_head, both_hippocampi, a_worker):
    # The same voxels, said to be the other side of the patient: left becomes right, and the volumes swap.
    affine = np.diag([-1.0, 1.0, 1.0, 1.0]) @ the_mni152_head.affine
    mirrored = medai.segment(
        Volume(the_mni152_head.array, affine, "mirrored", "MR"), model=MODEL, region="auto", worker=a_worker
    )
    before, after = both_hippocampi.labelmap.volumes_ml(), mirrored.labelmap.volumes_ml()
    for part in ("anterior", "posterior"):
        assert after[f"Left {part} hippocampus"] == pytest.approx(before[f"Right {part} hippocampus"], rel=0.1)


@pytest.mark.skipif(not CROPS.is_dir(), reason="the labelled crops are not on this machine")
def test_labelled_crops_are_segmented_well(a_worker):
    scores = []
    for path in sorted((CROPS / "images").glob("*.nii.gz"))[::26]:
        found = medai.segment(path, model=MODEL, worker=a_worker).labelmap.array
        truth = read(CROPS / "labels" / path.name).array
        scores.append(
            [2 * ((found == c) & (truth == c)).sum() / ((found == c).sum() + (truth == c).sum()) for c in (1, 2)]
        )
    anterior, posterior = np.mean(scores, axis=0)
    assert anterior > 0.85
    assert posterior > 0.83


def test_the_training_configuration_trains_what_the_inference_configuration_runs():
    configs = find(MODEL) / "configs"
    train, inference = (json.loads((configs / f"{name}.json").read_text()) for name in ("train", "inference"))
    assert train["network_def"] == inference["network_def"]
    assert train["validate"]["inferer"] == inference["inferer"]
    loading = [step for step in inference["preprocessing"]["transforms"] if step["_target_"] != "EnsureTyped"]
    names = [step["_target_"] for step in loading]
    assert names == [step["_target_"] for step in train["preprocessing"]] + ["NormalizeIntensityd"]
