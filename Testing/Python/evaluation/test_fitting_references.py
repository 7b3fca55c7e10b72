"""A model is judged by references of its own kind, and others are refused before it has looked at any image."""

from __future__ import annotations

import pytest

from medai.engine.loaded import LoadedModels
from medai.errors import InputError
from medai.training.data import DataItem, DataList
from medai.training.judge import judge
from small_bundles import TINY, write_bundle


def test_classes_are_no_references_for_a_segmentation(tmp_path):
    root = write_bundle(tmp_path / "tiny", TINY)
    data = DataList((DataItem("a", {"image": (tmp_path / "a.nii",)}, {"label": 1}),), "classify", {0: "no", 1: "yes"})
    with pytest.raises(InputError, match="No case has a reference to compare with"):
        judge(root, data, lambda _: None, LoadedModels())
