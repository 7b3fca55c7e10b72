from __future__ import annotations

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from medai.errors import MedAIError, ReadError
from medai.training.data import ArrayReference, check, documents, read_data_list
from medai.training.data.report import UNREADABLE
from medai.training.data.voxels import read_source


class _Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle ran')",))


def test_pickled_objects_in_a_stack_are_refused_and_do_not_run(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, train_images=np.array([_Bomb()], dtype=object), train_labels=np.zeros((1, 1)))
    with pytest.raises(ReadError, match="Python objects"):
        read_data_list(path)
    with pytest.raises(ReadError, match="Python objects"):
        read_source(ArrayReference(path, "train_images", 0))


def test_a_bare_pickle_named_npz_is_refused(tmp_path):
    path = tmp_path / "evil.npz"
    path.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(ReadError, match="npz"):
        read_data_list(path)


def test_a_stack_that_claims_more_than_it_holds_is_refused_before_memory_is_asked_for(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**4, 10**4)}
    )
    path = tmp_path / "huge.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", header.getvalue() + bytes(100))
    with pytest.raises(ReadError, match="incomplete"):
        read_data_list(path)


@pytest.mark.parametrize("header", ["(((((", "{'shape': (4L, 5L", "[1, 2]"])
def test_a_header_that_is_no_header_is_refused(tmp_path, header):
    path = tmp_path / "odd.npz"
    with zipfile.ZipFile(path, "w") as archive:
        size = len(header).to_bytes(2, "little")
        archive.writestr("train_images.npy", b"\x93NUMPY\x01\x00" + size + header.encode())
    with pytest.raises(ReadError, match="npz"):
        read_data_list(path)


def test_notes_that_are_none_are_left_out(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"medai": {"notes": 5}, "training": [{"image": "a.png", "label": 0}]}))
    assert len(read_data_list(path)) == 1


def test_a_table_of_titles_alone_holds_no_cases(tmp_path):
    (tmp_path / "cases.csv").write_text("image,label\n", encoding="utf-8")
    with pytest.raises(MedAIError, match="no rows below"):
        read_data_list(tmp_path / "cases.csv")


def test_a_truncated_stack_is_refused(a_stack):
    whole = a_stack.read_bytes()
    a_stack.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReadError, match="damaged"):
        read_data_list(a_stack)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '{"training": [7]}', '{"training": 3, "test": [[]]}'])
def test_broken_json_is_refused_in_words(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(MedAIError):
        read_data_list(path)


def test_huge_text_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MOST_BYTES", 1000)
    path = tmp_path / "list.json"
    path.write_text(" " * 2000)
    with pytest.raises(ReadError, match="cannot be read as a list"):
        read_data_list(path)


def test_a_cell_that_never_ends_is_refused(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text('image,label\n"' + "x" * 200_000 + '",1\n')
    with pytest.raises(ReadError, match="CSV"):
        read_data_list(path)


@pytest.mark.parametrize("path_text", ["../outside.nii.gz", "/etc/outside.nii.gz", "a/../../outside.nii.gz"])
def test_paths_that_leave_the_folder_are_told(tmp_path, path_text):
    folder = tmp_path / "set"
    folder.mkdir()
    entries = [{"image": "inside.nii.gz", "label": 0}, {"image": path_text, "label": 1}]
    (folder / "list.json").write_text(json.dumps({"training": entries}))
    data = read_data_list(folder / "list.json")
    assert any("1 of 2 cases have files outside" in note and "outside.nii.gz" in note for note in data.notes)


def test_a_list_of_files_inside_its_folder_says_nothing_of_the_kind(volumes_with_labels):
    assert len(read_data_list(volumes_with_labels).notes) == 1


def test_an_image_without_a_name_is_not_the_whole_folder(tmp_path):
    entries = [{"image": "", "label": 0}, {"image": "a.png", "label": 0}]
    (tmp_path / "list.json").write_text(json.dumps({"training": entries}))
    report = check(read_data_list(tmp_path / "list.json"))
    assert report.problems[0].message == "The list names no image for it."
    assert report.bad == (0, 1)


@pytest.mark.parametrize(
    "values",
    [
        {"label": {"a": 1}},
        {"label": 10**400},
        {"label": 1e400},
        {"label": [[1], {"b": 2}]},
        {"label": [0], "box": [["x", 1, 2, 3]]},
        {"label": [0], "box": [[0, 0, 10**400, 1]]},
        {"label": [{}], "box": [[0, 0, 1, 1]]},
        {"label": 0, "box": 7},
    ],
)
def test_labels_of_any_kind_are_reported_and_never_break_the_check(tmp_path, values):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"labels": {"0": "no", "²": "odd"}, "training": [values, {"label": 0}]}))
    report = check(read_data_list(path))
    assert report.bad
    assert str(report)
    assert json.loads(report.as_json())["bad"]


def test_a_pipe_in_a_list_is_not_waited_for(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "list.json").write_text(json.dumps({"training": [{"image": "pipe.nii"}]}))
    assert check(read_data_list(tmp_path / "list.json")).problems[0].kind == UNREADABLE


def test_control_characters_in_names_do_not_reach_the_terminal(tmp_path):
    (tmp_path / "list.json").write_text(json.dumps({"training": [{"image": "\x1b[2Jx.nii.gz", "label": 0}]}))
    assert "\x1b" not in str(check(read_data_list(tmp_path / "list.json")))
