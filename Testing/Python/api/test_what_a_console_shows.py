"""What a person at a console or in a notebook sees of results, and may make images of."""

from __future__ import annotations

import numpy as np
import pytest

import medai
from medai.errors import InputError
from medai.result import Labelmap, Provenance, Result, Segment, Table


def test_a_result_is_shown_in_a_line():
    labels = Labelmap(np.zeros((2, 2, 2), np.uint8), np.eye(4), (Segment("liver", 1, (1, 0, 0)),), "scan labels")
    made = (labels, Table({"Segment": ("liver",)}, "volumes"))
    result = Result(made, Provenance("segment", "organs"))
    assert repr(result) == "<Result of segment by organs: Labelmap 'scan labels', Table 'volumes'>"
    assert repr(Result((), Provenance("segment", "organs"), (result, result))).endswith("organs: 2 frames>")
    assert repr(labels) == "<Labelmap 'scan labels': liver>"


def test_nested_lists_are_an_image():
    assert medai.Volume([[[1, 2, 3], [4, 5, 6]]], np.eye(4)).shape == (1, 2, 3)
    with pytest.raises(InputError, match="shape"):
        medai.Volume([1, 2, 3], np.eye(4))
