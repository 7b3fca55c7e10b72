"""Series that never took place: they must shrink as asked, smoothly, and say what they are."""

from __future__ import annotations

import csv
from datetime import date

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medai.errors import InputError
from medai.training.data import check, read_data_list
from medai.training.data.courses import courses
from medai.training.parameters import TrainingParameters
from medai.training.recipe.courses import forecast_plan
from medai.training.recipe.forecasting import described
from medai.training.simulation import Shrinkage, Simulation, simulate
from medai.training.simulation.subjects import simulated
from medai.volume import Volume


def a_ball(spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), seed: int = 0) -> tuple[Volume, Volume]:
    """A smooth image with a labelled ball of two halves, on an oblique grid."""
    rng = np.random.default_rng(seed)
    k, j, i = np.meshgrid(np.arange(20), np.arange(24), np.arange(22), indexing="ij")
    inside = ((k - 10) / 5) ** 2 + ((j - 12) / 7) ** 2 + ((i - 11) / 6) ** 2 < 1
    image = 100 + 80 * inside + 10 * np.sin(i / 3) + rng.normal(0, 2, inside.shape)
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    label = (inside * (1 + (j > 12))).astype(np.uint8)
    return Volume(image.astype(np.float32), affine, "ball"), Volume(label, affine, "ball label")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    share=st.floats(-0.15, 0.35),
    edges=st.tuples(*[st.floats(0.6, 1.6)] * 3),
)
def test_the_structure_loses_the_share_of_its_volume_that_was_asked_for(share, edges):
    image, label = a_ball(edges)
    shrinkage = Shrinkage(image, label)
    _, _, volume = shrinkage.shrunken(share)
    assert volume == pytest.approx((1 - share) * shrinkage.volume_ml, rel=2e-3)


def test_the_label_map_shrinks_with_the_image_and_keeps_its_structures():
    image, label = a_ball()
    _, smaller, volume = Shrinkage(image, label).shrunken(0.2)
    assert set(np.unique(smaller.array)) == {0, 1, 2}
    assert (smaller.array > 0).sum() * image.voxel_volume_ml == pytest.approx(volume, rel=0.06)
    assert smaller.same_grid(image)


def test_nothing_folds():
    image, label = a_ball()
    flow, _ = Shrinkage(image, label)._flow(0.35)
    determinant = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(flow))
    assert determinant.min() > 0.2


def test_without_loss_the_image_stays_as_it_is():
    image, label = a_ball()
    same, marked, volume = Shrinkage(image, label).shrunken(0.0)
    np.testing.assert_allclose(same.array, image.array, atol=1e-2)
    np.testing.assert_array_equal(marked.array, label.array)
    assert volume == pytest.approx((label.array > 0).sum() * image.voxel_volume_ml)


def test_a_label_map_that_marks_nothing_is_refused():
    image, label = a_ball()
    with pytest.raises(InputError, match="marks nothing"):
        Shrinkage(image, Volume(np.zeros_like(label.array), label.affine))


def test_a_series_is_the_same_for_the_same_seed_and_another_for_another():
    image, label = a_ball()
    how = Simulation(visits=(3, 3))
    one, same, other = (simulated(image, label, how, seed) for seed in (1, 1, 2))
    assert [visit.day for visit in one.visits] == [visit.day for visit in same.visits]
    np.testing.assert_array_equal(one.visits[1].image.array, same.visits[1].image.array)
    assert one.rate != other.rate


def test_volumes_follow_the_subjects_own_rate_over_irregular_dates():
    image, label = a_ball()
    how = Simulation(visits=(5, 5), fast=1.0)
    series = simulated(image, label, how, 7)
    days = [(visit.day - series.visits[0].day).days for visit in series.visits]
    assert len(set(np.diff(days))) > 1
    expected = [series.visits[0].true_ml * (1 - series.rate) ** (day / 365.25) for day in days]
    assert [visit.true_ml for visit in series.visits] == pytest.approx(expected, rel=3e-3)
    assert 0.01 < series.rate < 0.1


def test_numbers_that_make_no_series_are_refused():
    with pytest.raises(InputError, match="at least two visits"):
        Simulation(visits=(1, 4))


@pytest.fixture
def labelled_balls(tmp_path):
    folder = tmp_path / "balls"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for case in range(5):
        image, label = a_ball(seed=case)
        for name, volume in (("images", image), ("labels", label)):
            array = volume.array.transpose(2, 1, 0)
            nib.Nifti1Image(array, volume.affine).to_filename(folder / name / f"ball_{case}.nii.gz")
    return read_data_list(folder)


def test_a_folder_of_series_says_everywhere_that_it_is_simulated(labelled_balls, tmp_path):
    table = simulate(labelled_balls, tmp_path / "series", how=Simulation(visits=(2, 3)), parts=(0.2, 0.2))
    assert "SIMULATED" in (table.parent / "SIMULATED.txt").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert all(row["Subject ID"].startswith("simulated_") for row in rows)
    assert all(path.name.startswith("simulated_") for path in table.parent.glob("*.nii.gz"))
    data = read_data_list(table)
    assert data.task == "forecast"
    found = courses(data)
    assert len(found) == 5
    assert all(course.start is not None and course.start > date(2014, 1, 1) for course in found)
    assert {item.split for item in data} == {"training", "validation", "test"}
    assert all(len({item.split for item in items}) == 1 for items in data.by_patient().values())


def test_a_model_that_learned_from_simulated_series_says_so_with_every_result(labelled_balls, tmp_path):
    table = simulate(labelled_balls, tmp_path / "series", how=Simulation(visits=(2, 3)), parts=(0.2, 0.2))
    chosen = TrainingParameters(targets=("Volume (mL)",))
    data = read_data_list(table)
    assert "simulated" in described(forecast_plan(data, check(data), chosen, name="of balls"))["caution"]
    (table.parent / "SIMULATED.txt").unlink()
    assert "caution" not in described(forecast_plan(data, check(data), chosen, name="of balls"))


def test_a_folder_that_holds_something_is_left_alone(labelled_balls, tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not empty"):
        simulate(labelled_balls, tmp_path / "series")
    assert [path.name for path in (tmp_path / "series").iterdir()] == ["mine.txt"]
