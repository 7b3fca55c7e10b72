from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from medai.errors import InputError, WriteError
from medai.training.data import DataItem, DataList, assign_folds, check, read_data_list, split, write_monai_list
from medai.training.data.report import with_digests


def _same(a: DataList, b: DataList) -> bool:
    return (sorted(map(repr, a.items)), a.task, a.label_names, a.multi_label) == (
        sorted(map(repr, b.items)),
        b.task,
        b.label_names,
        b.multi_label,
    )


@pytest.mark.parametrize("kind", ["pairs", "boxes"])
def test_a_saved_list_is_read_back_as_it_was(pictures_with_masks, kind):
    data = read_data_list(pictures_with_masks, kind)
    assert _same(read_data_list(write_monai_list(data, pictures_with_masks / "list.json")), data)


def test_a_saved_split_of_a_stack_is_read_back_with_folds_and_hashes(a_stack):
    data = read_data_list(a_stack)
    data = assign_folds(with_digests(data, check(data)), 3)
    saved = read_data_list(write_monai_list(data, a_stack.parent / "list.json"))
    assert _same(saved, data)
    assert all(len(item.digests["image"]) == 64 for item in saved)


def test_missing_findings_survive(make_list, tmp_path):
    data = make_list([((0, None, 1), "P1"), (None, "P2")], multi_label=True, label_names={0: "a", 1: "b", 2: "c"})
    assert _same(read_data_list(write_monai_list(data, tmp_path / "list.json")), data)


def test_undecided_cases_stay_undecided(pictures_with_masks):
    data = read_data_list(pictures_with_masks)
    saved = read_data_list(write_monai_list(data, pictures_with_masks / "list.json"))
    assert not saved.is_split
    divided = read_data_list(write_monai_list(split(data, validation=0.3), pictures_with_masks / "split.json"))
    assert len(divided.part("training")) == 5


def test_monai_reads_the_saved_list(volumes_with_labels):
    pytest.importorskip("torch")
    from monai.data import load_decathlon_datalist
    from monai.transforms import LoadImaged

    data = split(read_data_list(volumes_with_labels), validation=0.25)
    path = write_monai_list(data, volumes_with_labels / "list.json")
    for part, count in (("training", 3), ("validation", 1), ("test", 1)):
        entries = load_decathlon_datalist(path, True, part)
        assert len(entries) == count
    entry = load_decathlon_datalist(path, True, "training")[0]
    assert LoadImaged(keys=["image", "label"])(entry)["label"].shape == (6, 5, 4)


def test_the_data_can_be_moved_with_their_list(volumes_with_labels, tmp_path):
    path = write_monai_list(read_data_list(volumes_with_labels), volumes_with_labels / "list.json")
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    moved = shutil.move(volumes_with_labels, tmp_path / "elsewhere")
    assert check(read_data_list(f"{moved}/list.json")).passed


def test_the_file_is_plain_json_without_nan(make_list, tmp_path):
    path = write_monai_list(make_list([(float("nan"), "")]), tmp_path / "list.json")
    assert json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)["training"][0]["label"] is None


def test_values_of_numpy_are_saved_as_plain_ones(make_list, tmp_path):
    (item,) = make_list([(np.int64(3), "")]).items
    data = DataList((item.with_values(box=np.eye(2, 4), age=np.float32(np.nan)),), "detect")
    (read,) = read_data_list(write_monai_list(data, tmp_path / "list.json"))
    assert read.values == {"label": 3, "box": ((1, 0, 0, 0), (0, 1, 0, 0)), "age": None}


def test_what_json_cannot_hold_is_told(make_list, tmp_path):
    with pytest.raises(WriteError, match="infinite"):
        write_monai_list(make_list([(float("inf"), "")]), tmp_path / "list.json")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_told(make_list, tmp_path):
    with pytest.raises(WriteError, match="could not be saved"):
        write_monai_list(make_list([(0, "")]), tmp_path / "absent" / "list.json")


def test_unknown_tasks_and_parts_are_refused():
    with pytest.raises(InputError, match="no task 'paint'"):
        DataList((), "paint")
    with pytest.raises(InputError, match="part named 'holdout'"):
        DataList((DataItem("a", split="holdout"),))
