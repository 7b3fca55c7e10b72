"""Data as people have them: named from where they are, classes in an order of their own, names of any kind."""

from __future__ import annotations

import contextlib
import csv
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from ignite.engine import Engine

import medai
from medai.api import prepare_training
from medai.bundles.description import describe
from medai.errors import InputError, JobError, ReadError, WriteError
from medai.training import folder
from medai.training.class_order import in_order_of, names_in
from medai.training.components.checkpoint import Checkpoint
from medai.training.data import DataItem, DataList, check, fitting, read_data_list, split
from medai.training.parameters import TrainingParameters
from medai.training.recipe import bundle_configs, plan
from medai.training.sheet import write_sheet
from small_classifiers import Classifier

NONE = TrainingParameters()


class Epochs(list):
    """Cases that come again and again."""

    def __getitem__(self, place):
        return super().__getitem__(place % len(self))


@pytest.fixture
def a_finder(tmp_path) -> Path:
    """A model of pictures whose first class is "normal", whose second is "lesion": what is bright."""
    return Classifier(dimensions=2).write(tmp_path / "finder")


@pytest.fixture
def a_table(tmp_path) -> Path:
    """Six pictures and their classes by name, of which "lesion" comes first in the alphabet."""
    rows = ["image,label"]
    for n in range(6):
        picture = np.random.default_rng(n).integers(0, 40, (16, 16)).astype(np.uint8)
        picture[0, 0] = 220
        if n % 2:
            picture[5:11, 5:11] = 220
        sitk.WriteImage(sitk.GetImageFromArray(picture), str(tmp_path / f"p{n}.png"))
        rows.append(f"p{n}.png,{'lesion' if n % 2 else 'normal'}")
    (tmp_path / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "table.csv"


def test_relative_paths_mean_what_they_mean_where_they_are_written(bright_balls, a_finder, tmp_path, monkeypatch):
    monkeypatch.chdir(bright_balls.parent)
    job = prepare_training("balls", "segment", "model")
    listed = prepare_training(read_data_list("balls"), "segment", "model")
    monkeypatch.chdir(a_finder.parent)
    models = {"start_from": "./finder", "measured_by": "./finder"}
    begun = prepare_training(bright_balls, "segment", "model", parameters=models)
    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path / "worker")  # a worker runs in a folder of its own
    assert not check(job.parameters["data"]).bad
    assert not check(listed.parameters["data"]).bad
    for name in models:
        assert Path(getattr(begun.parameters["parameters"], name)).samefile(a_finder)


@pytest.mark.parametrize("data", [None, 7, [], {"training": []}])
def test_what_is_no_data_is_refused_in_words(data, tmp_path):
    with pytest.raises(InputError, match="nothing to learn from"):
        prepare_training(data, "segment", tmp_path / "model")


def test_parameters_of_another_kind_are_refused_in_words(bright_balls, tmp_path):
    with pytest.raises(InputError, match="cannot be used for 'parameters'"):
        prepare_training(bright_balls, "segment", tmp_path / "model", parameters=5)


@pytest.mark.parametrize(
    "choice", [{"validation": "x"}, {"validation": 1}, {"overwrite": "no"}, {"licence": None}, {"modality": 5}]
)
def test_choices_of_another_kind_are_refused_before_anything_begins(bright_balls, tmp_path, choice):
    with pytest.raises(InputError, match=f"cannot be used for '{next(iter(choice))}'"):
        prepare_training(bright_balls, "segment", tmp_path / "model", **choice)


def test_a_finder_is_judged_by_the_names_of_classes_not_by_their_numbers(a_finder, a_table, tmp_path):
    scores, _ = medai.evaluate(a_finder, a_table, tmp_path / "report", in_process=True, device="cpu").items
    found = dict(zip(scores.columns["Metric"], scores.columns["Value"], strict=True))
    assert found["accuracy"] == 1.0


def test_classes_that_a_model_does_not_know_are_told(a_finder, a_table, tmp_path):
    a_table.write_text(a_table.read_text().replace("lesion", "fracture"), encoding="utf-8")
    with pytest.raises(InputError, match="does not know the class 'fracture'"):
        medai.evaluate(a_finder, a_table, tmp_path / "report", in_process=True, device="cpu")


def test_findings_in_another_order_are_the_same_findings(tmp_path):
    root = Classifier(classes=("mass", "pleural_fluid"), gains=(1.0, 2.0), offsets=(0.0, 0.0)).write(tmp_path / "both")
    items = (DataItem("a", values={"label": (1, None)}), DataItem("b", values={"label": None}))
    data = DataList(items, "classify", {0: "Pleural_Fluid", 1: "Mass"}, multi_label=True)
    assert [item.label for item in in_order_of(data, describe(root))] == [(None, 1), None]


def test_boxes_are_compared_by_the_names_of_their_classes(tmp_path):
    root = Classifier(classes=("solid_mass", "cyst"), task="detect").write(tmp_path / "boxes")
    items = (DataItem("a", values={"label": (0, 1), "box": ((0, 0, 1, 1), (2, 2, 3, 3))}),)
    data = DataList(items, "detect", {0: "cyst", 1: "solid_mass"})
    assert names_in(data, describe(root)) == {0: "cyst", 1: "solid mass"}


def test_a_folder_of_images_with_masks_also_serves_a_classifier(tmp_path):
    for number, kind in enumerate(["benign", "benign", "malignant", "malignant"]):
        for place in ("images", "masks"):
            (tmp_path / place).mkdir(exist_ok=True)
            sitk.WriteImage(sitk.Image(8, 8, sitk.sitkUInt8), str(tmp_path / place / f"{kind}_{number}.png"))
    data = fitting(read_data_list(tmp_path), "classify")
    assert data.task == "classify"
    assert data.label_names == {0: "benign", 1: "malignant"}
    assert [item.label for item in data] == [0, 0, 1, 1]
    assert data.file_keys == ("image", "mask")


def test_a_label_that_numbers_no_class_is_refused_at_once(tmp_path):
    rng = np.random.default_rng(0)
    entries = []
    for number in range(4):
        picture = rng.integers(0, 255, (16, 16)).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(picture), str(tmp_path / f"{number}.png"))
        entries.append({"image": f"{number}.png", "label": 10**15 * number})
    (tmp_path / "list.json").write_text(json.dumps({"training": entries}), encoding="utf-8")
    data = read_data_list(tmp_path / "list.json")
    with pytest.raises(InputError, match="no numbers of classes"):
        plan(data, check(data), "classify", NONE, name="m")


def test_a_class_whose_name_would_be_code_is_refused_before_the_training(a_table):
    a_table.write_text(a_table.read_text().replace("lesion", "% stenosis"), encoding="utf-8")
    data = split(read_data_list(a_table), validation=0.3)
    with pytest.raises(InputError, match="'% stenosis' cannot be a name in a model"):
        bundle_configs(plan(data, check(data), "classify", NONE, name="m"), data_source="d", licence="l")


def test_dollars_in_a_name_are_no_formula(tmp_path):
    (tmp_path / "runs").mkdir()
    sample = {"image": np.random.default_rng(0).random((1, 8, 8)), "name": r"$\patient{$", "label": np.array([1.0])}
    assert write_sheet(tmp_path, Epochs([sample]), count=1).is_file()


def test_two_trainings_do_not_share_a_folder(tmp_path):
    with folder.alone(tmp_path / "model"):
        with pytest.raises(InputError, match="Another training is at work"), folder.alone(tmp_path / "model"):
            pass
        with folder.alone(tmp_path / "other"):
            pass
    with folder.alone(tmp_path / "model"):
        pass


def test_of_many_trainings_that_want_a_folder_one_has_it_and_none_leaves_anything(tmp_path):
    inside, most, began = set(), [0], []

    def train_again_and_again(who: int) -> None:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            with contextlib.suppress(InputError), folder.alone(tmp_path / "model"):
                inside.add(who)
                most[0] = max(most[0], len(inside))
                began.append(who)
                time.sleep(0.001)
                inside.remove(who)

    threads = [threading.Thread(target=train_again_and_again, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert len(began) > 20
    assert not list(tmp_path.iterdir())


def test_a_name_is_no_formula_in_a_table_of_cases(a_finder, a_table, tmp_path):
    (tmp_path / "p1.png").rename(tmp_path / "=1+1.png")
    a_table.write_text(a_table.read_text().replace("p1.png", "=1+1.png"), encoding="utf-8")
    medai.evaluate(a_finder, a_table, tmp_path / "report", in_process=True, device="cpu")
    with (tmp_path / "report" / "cases.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith("=")]


def test_a_report_that_cannot_be_written_is_told_before_anything_is_judged(a_finder, a_table, tmp_path):
    (tmp_path / "report").write_text("a file", encoding="utf-8")
    heard = []
    with pytest.raises(WriteError, match="cannot be made"):
        medai.evaluate(a_finder, a_table, tmp_path / "report", in_process=True, device="cpu", on_progress=heard.append)
    if Path("/sys/kernel").is_dir():
        with pytest.raises(WriteError, match="read-only"):
            medai.evaluate(a_finder, a_table, "/sys/kernel", in_process=True, device="cpu", on_progress=heard.append)
    assert not [each for each in heard if each.stage == "Evaluating"]


def test_a_folder_that_is_no_model_is_not_overwritten(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "thesis.txt").write_text("ten years", encoding="utf-8")
    with pytest.raises(InputError, match="is not overwritten"):
        prepare(tmp_path, overwrite=True)
    assert (tmp_path / "docs" / "thesis.txt").read_text(encoding="utf-8") == "ten years"


def test_a_folder_with_damaged_configurations_is_not_this_training(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not this training"):
        prepare(tmp_path)
    assert not prepare(tmp_path, overwrite=True)


def prepare(root, error: Exception | None = None, **choices) -> bool:
    """As a training does that needs nothing, or fails to get it."""
    with folder.prepared(root, {"train.json": {}}, DataList(()), **choices) as goes_on:
        if error is not None:
            assert not (root / "models" / "model.pt").exists()
            raise error
        return goes_on


def contents(root) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("killed_before", [False, True])
def test_what_was_to_be_overwritten_is_there_again_when_nothing_came_of_it(tmp_path, killed_before):
    prepare(tmp_path)
    (tmp_path / "models" / "model.pt").write_bytes(b"trained for weeks")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    before = contents(tmp_path)
    if killed_before:
        (tmp_path / ".replaced").mkdir()
        for name in ("configs", "models", "docs", "runs"):
            (tmp_path / name).rename(tmp_path / ".replaced" / name)
        (tmp_path / "configs").mkdir()
    with pytest.raises(InputError, match="no such weights"):
        prepare(tmp_path, InputError("no such weights", "", ""), overwrite=True)
    assert contents(tmp_path) == before
    prepare(tmp_path, overwrite=True)
    assert not [name for name in contents(tmp_path) if "model.pt" in name or ".replaced" in name]
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_checkpoint_of_a_few_bytes_is_told(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"junk")
    with pytest.raises(ReadError, match="cannot go on"):
        Checkpoint(str(tmp_path / "checkpoint.pt"), {}).resume(Engine(lambda *_: None))


def test_a_training_that_goes_astray_ends_and_keeps_what_was_saved(tmp_path):
    network = torch.nn.Linear(1, 1)
    engine = Engine(lambda engine, _: engine.state.epoch > 1 and torch.nn.init.constant_(network.weight, float("nan")))
    Checkpoint(str(tmp_path / "checkpoint.pt"), {"network": network}).attach(engine)
    with pytest.raises(JobError, match="went astray in epoch 2"):
        engine.run([0, 1], max_epochs=3)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == 1


def test_a_model_of_pictures_is_not_judged_by_volumes(a_finder, bright_balls, tmp_path):
    items = [item.with_values(label=n % 2) for n, item in enumerate(read_data_list(bright_balls))]
    images = [DataItem(item.name, {"image": item.files["image"]}, {"label": item.label}) for item in items]
    with pytest.raises(InputError, match=r"has \d+ slices, and the model looks at single ones"):
        medai.evaluate(
            a_finder, DataList(tuple(images), "classify"), tmp_path / "report", in_process=True, device="cpu"
        )


def test_a_list_that_names_no_image_is_nothing_to_learn_from_or_be_judged_by(train, a_finder, tmp_path):
    entries = [{"volume": f"{n}.nii.gz", "label": n % 2} for n in range(4)]
    (tmp_path / "list.json").write_text(json.dumps({"training": entries}), encoding="utf-8")
    with pytest.raises(InputError, match="'list' names no images"):
        train(tmp_path / "list.json", "classify")
    with pytest.raises(InputError, match="'list' names no images"):
        medai.evaluate(a_finder, tmp_path / "list.json", tmp_path / "report", in_process=True, device="cpu")
