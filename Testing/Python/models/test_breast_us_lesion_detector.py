"""The shipped detector of lesions in breast ultrasound: on a picture made up, and on real ones where there are some."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import medai
from medai.bundles.description import describe
from medai.volume import Volume
from monai_process import run_bundle

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "models" / "breast_us_lesion_detector"
DATA = ROOT.parent / "shared" / "data" / "breast_us"

pytestmark = pytest.mark.skipif(not MODEL.is_dir(), reason="the model is not there")


@pytest.fixture
def a_cyst() -> Volume:
    """Speckled tissue in layers with a dark ellipse that is bright below, (i, j) from (130, 95) to (210, 155)."""
    rng = np.random.default_rng(7)
    j, i = np.mgrid[0:260, 0:320].astype(float)
    tissue = 90 + 25 * np.sin(j / 9 + gaussian_filter(rng.normal(0, 60, j.shape), 12))
    inside = ((i - 170) / 40) ** 2 + ((j - 125) / 30) ** 2
    below = (np.abs(i - 170) < 32) & (j > 150)
    tissue = np.where(inside < 1, 8, np.where(below, 1.5 * tissue, tissue))
    speckle = gaussian_filter(rng.rayleigh(1, j.shape), 1.0)
    picture = np.clip(gaussian_filter(tissue, 1.2) * speckle * np.exp(-j / 400), 0, 255)
    return Volume(picture[np.newaxis].astype(np.uint8), np.diag([-1.0, -1, 1, 1]), "cyst", "US")


def test_the_most_certain_box_of_a_picture_with_a_cyst_is_around_it(a_cyst):
    boxes = medai.detect(a_cyst, MODEL, threshold=0.02, in_process=True, device="cpu").boxes
    best = boxes.regions[0]
    center = np.linalg.inv(a_cyst.affine) @ [*best.center, 1]
    assert abs(center[0] - 170) < 20
    assert abs(center[1] - 125) < 20
    assert 50 < best.size[0] < 120
    assert 40 < best.size[1] < 90


def test_it_says_from_which_score_on_something_is_a_lesion(a_cyst):
    (point,) = describe(MODEL).operating_points
    assert point.name == "lesion"
    shown = medai.detect(a_cyst, MODEL, in_process=True, device="cpu").boxes
    assert all(score >= point.threshold for score in shown.scores)


@pytest.mark.skipif(not DATA.is_dir(), reason="the pictures are not there")
def test_it_finds_the_lesions_of_real_pictures(tmp_path):
    from medai.training.data import read_data_list

    data = read_data_list(DATA)
    some = data.with_items(data.items[::25])
    result = medai.evaluate(MODEL, some, tmp_path / "report", in_process=True, device="cpu")
    found = dict(zip(result.table.columns["Metric"], result.table.columns["Value"], strict=True))
    # It has learned from these pictures, so this is no measure of what it can do; see its card for that.
    assert found["map@0.50"] > 0.6


@pytest.mark.skipif(not DATA.is_dir(), reason="the pictures are not there")
def test_monai_bundle_run_finds_what_medai_finds(tmp_path):
    picture = DATA / "images" / "benign_002.png"
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / picture.name).write_bytes(picture.read_bytes())
    places = ["--bundle_root", ".", "--dataset_dir", folder, "--output_dir", tmp_path]
    run_bundle("--config_file", "configs/inference.json", *places, cwd=MODEL)
    (row,) = csv.reader((tmp_path / "boxes.csv").open(encoding="utf-8"))
    i, j, width, height, _, score = np.array(row[1:], float).reshape(-1, 6)[0]
    boxes = medai.detect(picture, MODEL, threshold=0.02, in_process=True, device="cpu").boxes
    assert boxes.scores[0] == pytest.approx(score, abs=1e-3)
    np.testing.assert_allclose(boxes.regions[0].size[:2], [width, height], atol=0.05)
    # A picture's own axes run to the left and to the back; its first pixel reaches from -0.5 to 0.5.
    np.testing.assert_allclose(np.abs(boxes.regions[0].center[:2]), [i - 0.5, j - 0.5], atol=0.05)
