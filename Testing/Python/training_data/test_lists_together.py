"""Several data lists as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medai.errors import InputError
from medai.training.data import DataItem, DataList, read_data_list, together


def listed(name: str, *cases: str, **more) -> DataList:
    items = tuple(DataItem(case, {"image": (Path(name, f"{case}.png"),)}, {"label": 1}, f"p{case}") for case in cases)
    return DataList(items, **{"task": "classify", "label_names": {0: "no", 1: "yes"}, "name": name, **more})


def test_cases_keep_their_names_unless_two_have_the_same():
    both = together([listed("a", "1", "2"), listed("b", "2", "3")])
    assert [item.name for item in both] == ["1", "a: 2", "b: 2", "3"]
    assert both.name == "a + b"
    assert both.label_names == {0: "no", 1: "yes"}


def test_a_patient_in_two_lists_is_one_patient():
    both = together([listed("a", "1", "2"), listed("b", "2")])
    assert len(both.by_patient()["p2"]) == 2


def test_two_sizes_of_the_same_pictures_keep_their_official_parts(tmp_path):
    for size in (8, 16):
        labels = np.array([[0], [1]], np.uint8)
        images = np.zeros((2, size, size), np.uint8)
        parts = {"train_images": images, "train_labels": labels, "val_images": images, "val_labels": labels}
        np.savez(tmp_path / f"pictures_{size}.npz", **parts)
    both = together([read_data_list(tmp_path / f"pictures_{size}.npz") for size in (8, 16)])
    assert len(both.part("training")) == len(both.part("validation")) == 4
    assert both.root == tmp_path
    assert len({item.name for item in both}) == 8


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"task": "segment"}, "different tasks"),
        ({"multi_label": True}, "different tasks"),
        ({"label_names": {1: "no", 0: "yes"}}, "The label"),
    ],
)
def test_lists_that_mean_something_else_are_refused(other, why):
    with pytest.raises(InputError, match="'a' and 'b' cannot be learned from together") as refused:
        together([listed("a", "1"), listed("b", "2", **other)])
    assert why in refused.value.why
