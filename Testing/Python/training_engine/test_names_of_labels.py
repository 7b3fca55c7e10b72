"""Labels and columns as a person names them on the command line, for `medai train` and `medai evaluate` alike."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from medai.cli import app
from medai.errors import InputError
from medai.training.data import DataItem, DataList, read_data_list, renamed
from small_classifiers import Classifier


@pytest.fixture
def a_finder(tmp_path) -> Path:
    """Tells "normal" from "lesion", which is what is bright."""
    return Classifier(dimensions=2).write(tmp_path / "finder")


@pytest.fixture
def three_classes(tmp_path) -> Path:
    """Pictures with masks, as BUSI has them: their names say benign and malignant, which are bright, or normal."""
    place = tmp_path / "pictures"
    for folder in ("images", "masks"):
        (place / folder).mkdir(parents=True)
    for number, kind in enumerate(["benign", "malignant", "normal"] * 2):
        picture = np.random.default_rng(number).integers(0, 40, (16, 16)).astype(np.uint8)
        picture[0, 0] = 220
        picture[5:11, 5:11] += np.uint8(0 if kind == "normal" else 180)
        for folder, array in (("images", picture), ("masks", (picture > 150).astype(np.uint8))):
            sitk.WriteImage(sitk.GetImageFromArray(array), str(place / folder / f"{kind}_{number}.png"))
    return place


@pytest.fixture
def evaluate(a_finder, tmp_path, monkeypatch):
    """Scores of the finder, by the command."""
    monkeypatch.setenv("NO_COLOR", "1")

    def run(data: Path, *more: str) -> dict[str, tuple[float, int]]:
        command = ["evaluate", a_finder, data, "-o", tmp_path / "report", "--device", "cpu", "--json", *more]
        done = CliRunner().invoke(app, [str(word) for word in command])
        assert done.exit_code == 0, done.output
        scores = json.loads(done.stdout.strip().splitlines()[-1])["scores"]
        return {row["Metric"]: (row["Value"], row["Cases"]) for row in scores if not row["Label"]}

    return run


def test_a_model_of_two_classes_is_judged_by_data_of_three(evaluate, three_classes):
    assert evaluate(three_classes, "--label", "benign=lesion", "--label", "Malignant=lesion")["accuracy"] == (1.0, 6)


def test_a_class_that_does_not_count_is_left_out(evaluate, three_classes):
    assert evaluate(three_classes, "--label", "benign=", "--label", "malignant=lesion")["accuracy"] == (1.0, 4)


def test_the_column_of_the_labels_is_chosen(evaluate, three_classes, tmp_path):
    with (tmp_path / "table.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "label", "second reader"])
        for path in sorted((three_classes / "images").iterdir()):
            rows.writerow([path, "lesion", "normal" if path.name.startswith("normal") else "lesion"])
    assert evaluate(tmp_path / "table.csv", "--column", "label=second reader")["accuracy"] == (1.0, 6)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (("--label", "cyst=lesion"), "no label 'cyst'"),
        (("--label", "benign"), "does not name a label"),
        (("--label", "benign=", "--label", "malignant=", "--label", "normal="), "No case is left"),
        (("--column", "=x"), "does not name a column"),
    ],
)
def test_what_is_not_there_is_told(a_finder, three_classes, tmp_path, choice, said):
    command = ["evaluate", a_finder, three_classes, "-o", tmp_path / "report", *choice]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 3
    assert said in done.output
    assert not (tmp_path / "report").exists()


def test_labels_of_voxels_keep_a_name_each(three_classes):
    data = read_data_list(three_classes, label_names={1: "cyst", 2: "mass"})
    assert renamed(data, {1: "fluid", 7: "air"}).label_names == {1: "fluid", 2: "mass", 7: "air"}
    with pytest.raises(InputError, match="Two labels cannot be one"):
        renamed(data, {1: "mass"})


def test_unnamed_and_unknown_classes_stay_what_they_are():
    data = DataList(tuple(DataItem(str(n), values={"label": n if n < 3 else None}) for n in range(4)), "classify")
    fewer = renamed(data, {1: "found", 2: "found"})
    assert [item.label for item in fewer] == [0, 1, 1, None]
    assert fewer.label_names == {0: "0", 1: "found"}
