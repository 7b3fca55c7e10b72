"""The counts that the README of the shared data states; skipped where these are absent."""

from __future__ import annotations

from collections import Counter

import pytest

from medai.training.data import check, read_data_list, split
from medai.training.data import report as kinds
from medai.training.data.images import load_item


def test_hippocampus_has_208_cases_and_sound_ones(shared_data):
    data = read_data_list(shared_data / "hippocampus_mr", label_names={1: "anterior", 2: "posterior"})
    assert len(data) == 208
    assert all("label" in item.files for item in data)
    report = check(data.with_items(data.items[:12]))
    assert report.passed
    assert set(report.voxels) == {"0", "anterior", "posterior"}
    assert Counter(item.split for item in split(data)) == {"training": 166, "validation": 42}


def test_breast_ultrasound_has_three_classes_and_one_image_twice(shared_data):
    data = read_data_list(shared_data / "breast_us", "pairs", task="classify")
    assert Counter(data.label_names[item.label] for item in data) == {"benign": 349, "malignant": 168, "normal": 106}
    few = [i for n, i in enumerate(data) if n % 40 == 0 or i.name in ("benign_433", "malignant_145")]
    report = check(data.with_items(few))
    assert [{few[n].name for n in group} for group in report.duplicates] == [{"benign_433", "malignant_145"}]
    assert len(report.of_kind(kinds.CONFLICT)) == 2  # benign in one place, malignant in the other


@pytest.mark.parametrize(
    ("name", "counts", "twice"), [("breastmnist", (546, 78), 0), ("pneumoniamnist", (4708, 524), 8)]
)
def test_medmnist_has_its_official_parts_and_their_common_images(shared_data, name, counts, twice):
    data = read_data_list(shared_data / "medmnist" / f"{name}_train_val.npz")
    assert (len(data.part("training")), len(data.part("validation"))) == counts
    report = check(data)
    across = {report.digests[problem.index]["image"] for problem in report.of_kind(kinds.DUPLICATE_ACROSS_SPLITS)}
    assert len(across) == twice


def test_vessels_are_volumes(shared_data):
    data = read_data_list(shared_data / "medmnist" / "vesselmnist3d_train_val.npz")
    assert len(data) == 1335 + 191
    assert load_item(data[0])["image"].shape == (1, 28, 28, 28)


def test_oasis_has_150_subjects_and_373_visits(shared_data):
    data = read_data_list(shared_data / "oasis2" / "oasis_longitudinal.csv")
    visits = data.by_patient()
    assert (len(visits), len(data)) == (150, 373)
    assert {len(each) for each in visits.values()} <= {2, 3, 4, 5}
    assert any(item.values["SES"] is None for item in data)
    assert set(data.label_names.values()) == {"Nondemented", "Demented", "Converted"}


def test_a_dicom_folder_is_an_image(shared_data):
    from medai.training.data import DataItem, DataList

    folder = shared_data / "brain_mr_dicom" / "patient1" / "12-T1post-05670"
    item = DataItem("T1 post", {"image": (folder,)}, patient="1")
    assert check(DataList((item,))).images["image"].size[2].low == 22
    assert load_item(item)["image"].shape == (1, 512, 512, 22)
