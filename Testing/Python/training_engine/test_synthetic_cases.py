"""Images of a generator are more cases to train with, and never cases to judge by."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import medai
from medai.api import prepare_training
from medai.errors import InputError, MedAIError
from medai.training import folder
from medai.training.data import assign_folds, read_data_list, split
from medai.training.synthetic import Synthesis
from small_generators import write_dreamer, write_generator

SIZE = 8


@pytest.fixture(scope="module")
def a_generator(tmp_path_factory) -> Path:
    """Random pictures of 8 pixels along an edge."""
    return write_dreamer(tmp_path_factory.mktemp("generators") / "dreamer", strides=(2, 1))


@pytest.fixture
def trained(train, bright_spots, a_generator):
    def run(**choices):
        wanted = {"synthetic": [f"{a_generator}:6:1"], **choices}
        return train(bright_spots, "classify", parameters={"epochs": 1, "batch_size": 4}, **wanted)

    return run


def test_they_are_training_cases_and_marked(trained, tmp_path):
    result = trained()
    data = read_data_list(tmp_path / "model" / folder.DATALIST)
    made = [item for item in data if item.values.get("synthetic")]
    assert len(made) == 6
    assert {item.split for item in made} == {"training"}
    assert {item.label for item in made} == {1}
    assert len(data.part("validation")) == 20
    assert all(path.is_file() for item in made for path in item.files["image"])
    assert "6 of the training cases are synthetic" in (tmp_path / "model" / "docs" / "README.md").read_text("utf-8")
    assert result.items


def test_the_same_seed_makes_the_same_images(trained, tmp_path):
    trained(name="one")
    trained(name="two")
    kept = [sorted((tmp_path / name / "runs" / "synthetic").iterdir()) for name in ("one", "two")]
    images = [[medai.files.read(path).array for path in paths] for paths in kept]
    assert len(images[0]) == 6
    assert all(np.array_equal(a, b) for a, b in zip(*images, strict=True))
    assert not np.array_equal(images[0][0], images[0][1])


def test_an_interrupted_training_goes_on_with_the_images_it_has(trained, tmp_path, train, bright_spots, a_generator):
    from medai.errors import JobCancelled

    def stop(progress) -> None:
        if progress.stage == "Training" and progress.done >= 3:
            raise JobCancelled("Stopped.", "", "")

    chosen = {"parameters": {"epochs": 2, "batch_size": 4}, "synthetic": [f"{a_generator}:6:1"]}
    with pytest.raises(JobCancelled):
        train(bright_spots, "classify", on_progress=stop, **chosen)
    made = sorted((tmp_path / "model" / "runs" / "synthetic").iterdir())
    before = [path.stat().st_mtime_ns for path in made]
    train(bright_spots, "classify", **chosen)
    assert [path.stat().st_mtime_ns for path in made] == before


def test_nobody_is_judged_by_them_however_the_data_are_divided(trained, tmp_path):
    import dataclasses

    trained()
    data = read_data_list(tmp_path / "model" / folder.DATALIST)
    anew = data.with_items([dataclasses.replace(item, split="") for item in data])
    divided = split(anew, validation=0.4, test=0.3)
    assert {item.split for item in divided if item.values.get("synthetic")} == {"training"}
    assert all(item.fold is None for item in assign_folds(anew, 3) if item.values.get("synthetic"))


def test_the_command_line_makes_them_too(bright_spots, a_generator, tmp_path):
    from typer.testing import CliRunner

    from medai.cli import app

    command = ["train", str(bright_spots), "--task", "classify", "-o", str(tmp_path / "cli"), "--device", "cpu"]
    command += ["--synthetic", f"{a_generator}:3:0", "--synthetic", f"{a_generator}:2:1", "--set", "epochs=1"]
    done = CliRunner().invoke(app, [*command, "--set", "width=4", "--quiet"])
    assert done.exit_code == 0, done.output
    listed = json.loads((tmp_path / "cli" / folder.DATALIST).read_text(encoding="utf-8"))
    labels = [case["label"] for case in listed["training"] if case.get("synthetic")]
    assert labels == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("task", "synthetic", "message"),
    [
        ("segment", "{}:3", "cannot be used for a segmentation"),
        ("classify", "{}:3:purple", "'purple' is not what"),
        ("classify", "{}:3", "is not what the synthetic images"),
        ("classify", "{}:0:1", "does not say which"),
        ("classify", "{}", "does not say which"),
        ("classify", "nowhere_to_be_found:3:1", "no model 'nowhere_to_be_found'"),
        ("denoise", "{}:3", "cannot be used together"),
    ],
)
def test_what_cannot_be_is_refused(train, request, a_generator, *, task, synthetic, message):
    data = {"segment": "bright_balls", "classify": "bright_spots", "denoise": "smooth_volumes"}[task]
    wanted = [synthetic.format(a_generator)]
    with pytest.raises(MedAIError, match=message):
        train(request.getfixturevalue(data), task, synthetic=wanted, parameters={"epochs": 1})


def test_a_generator_of_labels_teaches_a_segmentation(train, bright_balls, tmp_path):
    dreamer = write_generator(tmp_path / "dreamer")
    train(bright_balls, "segment", synthetic=[f"{dreamer}:3"], parameters={"epochs": 1})
    data = read_data_list(tmp_path / "model" / folder.DATALIST)
    made = [item for item in data if item.values.get("synthetic")]
    assert len(made) == 3
    for item in made:
        image, label = (medai.files.read(item.files[key][0]) for key in ("image", "label"))
        np.testing.assert_array_equal(label.array, image.array > 0)
        assert image.same_grid(label)
        assert image.spacing == (1, 2, 3), "it knows the size of its voxels itself"


def test_structures_get_the_values_that_the_data_have_for_them(train, bright_balls, tmp_path):
    from medai.training.data import read_data_list as read_list

    dreamer = write_generator(tmp_path / "dreamer")
    named = read_list(bright_balls)
    for item in named:
        path = item.files["label"][0]
        label = medai.files.read(path)
        medai.files.write(medai.Volume(label.array * 7, label.affine), tmp_path / path.name)
    moved = [
        replace(item, files={**item.files, "label": (tmp_path / item.files["label"][0].name,)}) for item in named.items
    ]
    train(
        replace(named, items=tuple(moved), label_names={7: "Bright"}),
        "segment",
        synthetic=[f"{dreamer}:1"],
        parameters={"epochs": 1},
    )
    (label,) = (tmp_path / "model" / "runs" / "synthetic").glob("*_seg.nii.gz")
    assert set(np.unique(medai.files.read(label).array)) == {0, 7}


def test_a_generator_that_can_be_asked_tells_the_class_itself(train, bright_spots, tmp_path):
    painter = write_generator(tmp_path / "painter", labels=False, conditions=("spot", "none"), planar=True)
    data = replace(read_data_list(bright_spots), label_names={0: "none", 1: "spot"})
    chosen = {"parameters": {"epochs": 1, "batch_size": 4}}
    train(data, "classify", "turns", synthetic=[f"{painter}:4"], **chosen)
    train(data, "classify", "asked", synthetic=[f"{painter}:2:spot"], **chosen)
    for name, labels in (("turns", [1, 0, 1, 0]), ("asked", [1, 1])):
        listed = read_data_list(tmp_path / name / folder.DATALIST)
        made = [item for item in listed if item.values.get("synthetic")]
        assert [item.label for item in made] == labels
        for item in made:  # the two numbers behind the code's own four say what was asked for
            picture = medai.files.read(item.files["image"][0]).array.transpose(2, 1, 0).ravel()
            assert picture[4:6].tolist() == [item.label == 1, item.label == 0]


def test_a_model_that_generates_nothing_is_refused(train, bright_spots, a_trained_ball_finder):
    with pytest.raises(InputError, match="makes no synthetic images"):
        train(bright_spots, "classify", synthetic=[f"{a_trained_ball_finder[0]}:3:1"])


def test_a_folder_of_windows_is_no_number():
    assert Synthesis.of(r"C:\models\gan:20:benign tumour") == Synthesis(r"C:\models\gan", 20, "benign tumour")


def test_data_of_two_sources_are_one_training(train, bright_spots, tmp_path):
    second = tmp_path / "more.npz"
    second.write_bytes(bright_spots.read_bytes())
    (tmp_path / "few").mkdir()
    content = np.load(bright_spots)
    np.savez(second, **{key: value[:8] + (1 if "images" in key else 0) for key, value in content.items()})
    train([bright_spots, second], "classify", parameters={"epochs": 1, "batch_size": 4})
    data = read_data_list(tmp_path / "model" / folder.DATALIST)
    assert len(data.part("training")) == 44 + 8


def test_a_generator_is_found_from_where_the_person_is(bright_spots, a_generator, tmp_path, monkeypatch):
    monkeypatch.chdir(a_generator.parent)
    job = prepare_training(bright_spots, "classify", tmp_path / "m", synthetic=[f"./{a_generator.name}:3:spot"])
    assert job.parameters["synthetic"] == (f"{a_generator.resolve()}:3:spot",)
