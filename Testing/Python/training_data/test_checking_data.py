from __future__ import annotations

import dataclasses
import json
import time

import numpy as np
import pytest

from medai.errors import JobCancelled
from medai.training.data import DataItem, DataList, check, read_data_list, split, without_bad_items
from medai.training.data import report as kinds
from medai.training.data.report import with_digests


def _kinds(report) -> dict[str, str]:
    return {problem.name: problem.kind for problem in report.problems}


def test_sound_cases_pass_and_are_summed_up(volumes_with_labels):
    report = check(read_data_list(volumes_with_labels))
    assert report.passed
    assert _kinds(report) == {"case_9": kinds.MISSING_LABEL}  # the task's own test case
    assert report.cases == {"training": 4, "test": 1}
    assert report.classes["training"] == {"background": 4, "Anterior": 4, "Posterior": 4}
    assert report.voxels == {"background": 4 * (120 - 9), "Anterior": 32, "Posterior": 4}
    image = report.images["image"]
    assert (image.count, image.size[0].low, image.spacing[2].high) == (5, 6, 2.0)
    assert "Every case can be used." in str(report)
    assert json.loads(report.as_json())["voxels"]["Posterior"] == 4


def test_missing_empty_and_truncated_files_are_told_apart(volumes_with_labels):
    images = volumes_with_labels / "imagesTr"
    (images / "case_0.nii.gz").unlink()
    (images / "case_1.nii.gz").write_bytes(b"")
    whole = (images / "case_2.nii.gz").read_bytes()
    (images / "case_2.nii.gz").write_bytes(whole[: len(whole) // 2])
    data = read_data_list(volumes_with_labels)
    report = check(data)
    assert report.bad == (0, 1, 2)
    assert _kinds(report) == {
        "case_0": kinds.MISSING_FILE,
        "case_1": kinds.UNREADABLE,
        "case_2": kinds.UNREADABLE,
        "case_9": kinds.MISSING_LABEL,
    }
    kept = without_bad_items(data, report)
    assert [item.name for item in kept] == ["case_3", "case_9"]
    assert "3 of 5 cases were left out" in kept.notes[-1]


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((6, 5, 3), np.diag([1.0, 1.5, 2.0, 1.0])),
        ((6, 5, 4), np.diag([1.0, 1.5, 2.5, 1.0])),
        ((6, 5, 4), np.diag([-1.0, 1.5, 2.0, 1.0])),
        ((5, 6, 4), np.diag([1.0, 1.5, 2.0, 1.0])),
    ],
    ids=["fewer slices", "other spacing", "flipped", "rows for columns"],
)
def test_a_label_map_that_lies_elsewhere_is_bad(volumes_with_labels, save_nifti, shape, affine):
    save_nifti("task/labelsTr/case_1.nii.gz", np.ones(shape, np.uint8), affine)
    report = check(read_data_list(volumes_with_labels))
    (problem,) = report.of_kind(kinds.GEOMETRY)
    assert problem.name == "case_1"
    assert report.bad == (1,)
    assert "mm" in problem.message


def test_a_rounded_header_is_no_other_place(volumes_with_labels, save_nifti):
    label = np.ones((6, 5, 4), np.uint8)
    save_nifti("task/labelsTr/case_1.nii.gz", label, np.diag([1.0, 1.5, 2.0004, 1.0]))
    assert check(read_data_list(volumes_with_labels)).passed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_with_numbers_that_are_none_are_bad(volumes_with_labels, save_nifti, value):
    array = np.ones((6, 5, 4), np.float32)
    array[0, 0, 0] = value
    save_nifti("task/imagesTr/case_0.nii.gz", array, np.diag([1.0, 1.5, 2.0, 1.0]))
    assert _kinds(check(read_data_list(volumes_with_labels)))["case_0"] == kinds.NOT_FINITE


def test_constant_images_are_bad(volumes_with_labels, save_nifti):
    save_nifti("task/imagesTr/case_0.nii.gz", np.full((6, 5, 4), 7, np.int16), np.diag([1.0, 1.5, 2.0, 1.0]))
    assert _kinds(check(read_data_list(volumes_with_labels)))["case_0"] == kinds.CONSTANT


@pytest.mark.parametrize(("value", "dtype"), [(3, np.uint8), (-1, np.int16), (0.5, np.float32)])
def test_label_values_out_of_range_are_bad(volumes_with_labels, save_nifti, value, dtype):
    array = np.zeros((6, 5, 4), dtype)
    array[0, 0, 0] = value
    save_nifti("task/labelsTr/case_0.nii.gz", array, np.diag([1.0, 1.5, 2.0, 1.0]))
    assert _kinds(check(read_data_list(volumes_with_labels)))["case_0"] == kinds.LABEL_VALUES


def test_whole_numbers_stored_as_floats_are_label_values(volumes_with_labels, save_nifti):
    array = np.zeros((6, 5, 4), np.float32)
    array[0, 0, 0] = 2
    save_nifti("task/labelsTr/case_0.nii.gz", array, np.diag([1.0, 1.5, 2.0, 1.0]))
    assert check(read_data_list(volumes_with_labels)).passed


def test_empty_masks_are_worth_knowing_but_not_bad(pictures_with_masks):
    report = check(read_data_list(pictures_with_masks))
    assert [problem.name for problem in report.of_kind(kinds.EMPTY_LABEL)] == ["normal_000", "normal_001"]
    assert report.passed
    assert any("255" in note for note in report.notes)


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        (2, kinds.LABEL_VALUES),
        (-1, kinds.LABEL_VALUES),
        ("x", kinds.LABEL_VALUES),
        (0.5, kinds.LABEL_VALUES),
        (None, kinds.MISSING_LABEL),
    ],
)
def test_labels_that_are_no_class_are_bad_and_missing_ones_are_told(make_list, label, kind):
    report = check(make_list([(0, ""), (1, ""), (label, "")], label_names={0: "no", 1: "yes"}))
    (problem,) = report.problems
    assert (problem.index, problem.kind) == (2, kind)
    assert problem.blocking == (kind == kinds.LABEL_VALUES)


@pytest.mark.parametrize("label", [(0, 1), (0, 1, 2), (0, 1, 0.5), 1])
def test_findings_that_do_not_fit_are_bad(make_list, label):
    names = {0: "a", 1: "b", 2: "c"}
    report = check(make_list([((0, 1, None), ""), (label, "")], multi_label=True, label_names=names))
    assert report.bad == (1,)


@pytest.mark.parametrize("label", [None, (None, None, None)])
def test_findings_that_nobody_knows_are_told_and_the_known_ones_counted(make_list, label):
    names = {0: "a", 1: "b", 2: "c"}
    report = check(make_list([((0, 1, None), ""), (label, "")], multi_label=True, label_names=names))
    assert _kinds(report) == {"case 1": kinds.MISSING_LABEL}
    assert report.passed
    assert report.classes[""] == {"b": 1}


@pytest.mark.parametrize("box", [(2, 2, 2, 5), (5, 2, 3, 4), (-3, 0, 4, 4), (0, 0, 17, 4), (0, 0, 4, 13), (1, 2, 3)])
def test_boxes_without_extent_or_outside_are_bad(pictures_with_masks, box):
    picture = pictures_with_masks / "images" / "benign_000.png"
    item = DataItem("one", {"image": (picture,)}, {"box": [(0, 0, 16, 12), box], "label": [0, 0]})
    (problem,) = check(DataList((item,), "detect", {0: "lesion"})).problems
    assert problem.kind == kinds.BOX


def test_the_same_image_in_two_parts_is_bad_in_the_training_part_only(a_stack):
    data = read_data_list(a_stack)
    report = check(data)
    (problem,) = report.problems
    assert (problem.kind, problem.name) == (kinds.DUPLICATE_ACROSS_SPLITS, "train 0")
    assert report.duplicates == ((0, 11),)
    assert len(without_bad_items(data, report)) == 11


def test_the_same_voxels_in_another_format_are_the_same_image(save_nifti, tmp_path, rng):
    array = rng.integers(0, 200, (4, 5, 6))
    a = save_nifti("a.nii.gz", array.astype(np.uint8))
    b = save_nifti("b.nii", array.astype(np.float32), np.diag([2.0, 2, 2, 1]))
    c = save_nifti("c.nii", array.astype(np.float32) + 1)
    items = tuple(DataItem(path.name, {"image": (path,)}) for path in (a, b, c))
    report = check(DataList(items))
    assert report.duplicates == ((0, 1),)
    assert report.passed  # no parts yet: a split keeps them together
    divided = split(with_digests(DataList(items), report), validation=0.5)
    assert divided[0].split == divided[1].split != divided[2].split


def test_the_same_image_with_two_classes_is_bad_twice(save_nifti, rng):
    array = rng.integers(0, 200, (4, 5, 6), np.uint8)
    paths = [save_nifti(name, array) for name in ("a.nii", "b.nii")]
    items = tuple(DataItem(path.name, {"image": (path,)}, {"label": n}) for n, path in enumerate(paths))
    report = check(DataList(items, "classify", {0: "benign", 1: "malignant"}))
    assert report.bad == (0, 1)
    assert "benign and malignant" in report.of_kind(kinds.CONFLICT)[0].message


def test_a_patient_in_two_parts_is_bad_in_the_training_part_only(make_list):
    report = check(make_list([(0, "A", "training"), (0, "A", "test"), (1, "B", "training"), (1, "A", "validation")]))
    assert report.bad == (0, 3)
    assert {problem.kind for problem in report.problems} == {kinds.PATIENT_ACROSS_SPLITS}


def test_an_image_that_changed_since_it_was_checked_is_told(volumes_with_labels, save_nifti, rng):
    data = read_data_list(volumes_with_labels)
    checked = with_digests(data, check(data))
    assert not check(checked).of_kind(kinds.CHANGED)
    save_nifti("task/imagesTr/case_2.nii.gz", rng.normal(size=(6, 5, 4)), np.diag([1.0, 1.5, 2.0, 1.0]))
    (problem,) = check(checked).of_kind(kinds.CHANGED)
    assert problem.name == "case_2"


def test_progress_counts_every_case(pictures_with_masks):
    told = []
    check(read_data_list(pictures_with_masks), report=told.append)
    assert told[-1].done == told[-1].total == 7
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)


def test_cancel_ends_the_check_with_the_cases_at_hand(make_list, monkeypatch):
    from medai.training.data import examine

    looked_at = []

    def label(*given):
        looked_at.append(given)
        time.sleep(0.05)

    monkeypatch.setattr(examine.Examination, "_label", label)
    data = make_list([(0, "") for _ in range(1000)])

    def cancel(_progress) -> None:
        raise JobCancelled("Cancelled.")

    with pytest.raises(JobCancelled):
        check(data, report=cancel)
    assert len(looked_at) < 500


def test_a_text_for_people_spells_the_first_of_many_and_the_json_all(make_list):
    report = check(make_list([(7, "") for _ in range(50)], label_names={0: "no", 1: "yes"}))
    assert "50 x label values" in str(report)
    assert "case 19: " in str(report)
    assert "case 20: " not in str(report)
    assert "and 30 more" in str(report)
    assert len(json.loads(report.as_json())["problems"]) == 50


def test_a_report_of_another_list_is_not_used(make_list):
    report = check(make_list([(0, "")]))
    with pytest.raises(ValueError, match="1 cases"):
        without_bad_items(make_list([(0, ""), (1, "")]), report)


def test_the_number_of_threads_does_not_change_the_report(pictures_with_masks):
    data = read_data_list(pictures_with_masks)
    assert check(data, workers=1) == check(dataclasses.replace(data), workers=5)
