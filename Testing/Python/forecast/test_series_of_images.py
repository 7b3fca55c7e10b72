"""A forecaster that sees images: trained on simulated series, used on a folder of dated images."""

from __future__ import annotations

import csv
import shutil

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import medai
from medai.api import run_here
from medai.api.training import prepare_training
from medai.bundles import configs, trust
from medai.bundles.verify import verify
from medai.training.data import read_data_list
from medai.training.simulation import Simulation, simulate

TARGET = "Ball (mL)"


@pytest.fixture(scope="module")
def simulated_series(tmp_path_factory):
    """Ten series of a ball in a textured block."""
    folder = tmp_path_factory.mktemp("balls") / "balls"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    k, j, i = np.meshgrid(*[np.arange(18)] * 3, indexing="ij")
    inside = (k - 9) ** 2 + (j - 9) ** 2 + (i - 9) ** 2 < 30
    for case in range(10):
        rng = np.random.default_rng(case)
        image = gaussian_filter(rng.normal(0, 1, inside.shape), 1.5) * 200 + 300 + 200 * inside
        for name, array in (("images", image.astype(np.float32)), ("labels", inside.astype(np.uint8))):
            nib.Nifti1Image(array, np.eye(4)).to_filename(folder / name / f"ball_{case}.nii.gz")
    how = Simulation(visits=(3, 4), missing=0.15)
    return simulate(read_data_list(folder), folder.parent / "series", measurement=TARGET, how=how, parts=(0.3, 0.0))


@pytest.fixture(scope="module")
def an_image_forecaster(simulated_series, tmp_path_factory):
    root = tmp_path_factory.mktemp("models") / "ball_forecaster"
    chosen = {"targets": [TARGET], "epochs": 1, "members": 1, "batch_size": 4, "patch_size": [16, 16, 16], "code": 2}
    run_here(prepare_training(simulated_series, "forecast", root, parameters=chosen))
    return root


def test_missing_images_and_values_are_ordinary(an_image_forecaster):
    assert configs.metadata(an_image_forecaster)["medai"]["images"] is True
    trust.check_config(an_image_forecaster)
    report = verify(an_image_forecaster)
    assert report.ok, report


def test_a_folder_of_dated_images_is_aligned_and_forecast(an_image_forecaster, simulated_series, tmp_path):
    rows = list(csv.DictReader(simulated_series.open(encoding="utf-8")))
    subject = next(row["Subject ID"] for row in rows if row["Image"])
    mine = [row for row in rows if row["Subject ID"] == subject and row["Image"]]
    for row in mine:
        shutil.copy(simulated_series.parent / row["Image"], tmp_path / row["Image"])
    values = {TARGET: [float(row[TARGET]) if row[TARGET] else None for row in mine]}
    result = medai.forecast(tmp_path, an_image_forecaster, values=values, at=400, in_process=True)
    assert any("the patient had moved by" in note for note in result.provenance.notes)
    names = [item.name for item in result.items]
    assert names[:2] == ["forecast", "progression"]
    assert "motion between visits" in names
    assert result.table.columns["Last measured"][0] in {row["Date"] for row in mine}
