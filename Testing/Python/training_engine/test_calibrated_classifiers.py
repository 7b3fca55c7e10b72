"""A trained classifier's probabilities mean what they say, and it knows from where on it says yes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_curve

import medai
from medai.bundles import integrity, trust
from medai.bundles.description import describe
from medai.engine.loaded import LoadedModels
from medai.errors import InputError
from medai.training import folder
from medai.training.calibrating import calibrate
from medai.training.data import check, read_data_list
from medai.training.data.voxels import read_source
from medai.training.evaluation.calibration import fit_temperature
from medai.training.parameters import TrainingParameters
from medai.training.recipe import plan
from monai_process import run_bundle

QUICK = {"epochs": 3, "batch_size": 8, "augmentation": [], "schedule": "constant", "learning_rate": 0.003}


@pytest.fixture(scope="session")
def faint_spots(tmp_path_factory) -> Path:
    """Folders of pictures with a spot that is often too faint to be sure of: "spot" comes before "still"."""
    import SimpleITK as sitk

    rng = np.random.default_rng(4)
    folder = tmp_path_factory.mktemp("faint")
    for n in range(72):
        picture = rng.integers(0, 120, (16, 16))
        if n % 2:
            picture[5:10, 5:10] += rng.integers(0, 60)
        name = folder / ("train" if n < 32 else "val") / ("spot" if n % 2 else "still") / f"p{n}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(picture.astype(np.uint8)), str(name))
    return folder


@pytest.fixture(scope="session")
def an_unsure_classifier(faint_spots, tmp_path_factory) -> Path:
    """A model that has learned to tell faint spots, in which "spot" is the finding."""
    root = tmp_path_factory.mktemp("unsure") / "unsure"
    chosen = {**QUICK, "epochs": 12, "width": 4}
    medai.train(
        faint_spots, "classify", root, parameters=chosen, positive="spot", in_process=True, device="cpu", modality="US"
    )
    return root


@pytest.fixture(scope="session")
def a_classifier_from_all_sides(faint_spots, tmp_path_factory) -> Path:
    """A model that has learned from turned pictures, and looks at each from several sides."""
    root = tmp_path_factory.mktemp("sides") / "sides"
    chosen = {**QUICK, "augmentation": ["turn"], "width": 4}
    medai.train(faint_spots, "classify", root, parameters=chosen, positive="spot", in_process=True, device="cpu")
    return root


@pytest.fixture(params=["an_unsure_classifier", "a_classifier_from_all_sides"])
def a_classifier(request) -> Path:
    return request.getfixturevalue(request.param)


def validation(root: Path):
    return read_data_list(root / "runs" / "datalist.json").part("validation")


def output(root: Path, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Of every validation case "logits" or "probabilities", and the class."""
    pipeline = LoadedModels().get(root, "cpu")
    said = []
    for item in validation(root):
        sample = pipeline.infer(pipeline.preprocess(tuple(read_source(s) for s in item.files["image"])))
        said.append(sample["pred"].double().numpy() if what == "logits" else pipeline.probabilities(sample))
    return np.stack(said), np.array([item.label for item in validation(root)])


def content(root: Path, name: str) -> dict:
    return json.loads((root / "configs" / name).read_text(encoding="utf-8"))


def test_the_bundle_divides_its_logits_by_the_fitted_temperature(an_unsure_classifier):
    logits, truth = output(an_unsure_classifier, "logits")
    temperature = content(an_unsure_classifier, "inference.json")["temperature"]
    assert temperature == pytest.approx(fit_temperature(logits, truth), rel=1e-4)
    assert abs(temperature - 1) > 0.02
    expected = torch.as_tensor(logits / temperature).softmax(1).numpy()
    assert output(an_unsure_classifier, "probabilities")[0] == pytest.approx(expected, abs=1e-6)


def test_nobody_needs_to_trust_it_and_its_pins_are_those_of_the_calibrated_files(an_unsure_classifier):
    trust.check_config(an_unsure_classifier)
    assert integrity.check_pins(an_unsure_classifier)
    assert "configs/inference.json" in integrity.read_pins(an_unsure_classifier)


def test_the_operating_point_is_where_youdens_j_is_highest(an_unsure_classifier):
    probability, truth = output(an_unsure_classifier, "probabilities")
    (point,) = describe(an_unsure_classifier).operating_points
    assert point.name == "spot"
    assert point.cases == 40
    positive = truth == describe(an_unsure_classifier).classes.index("spot")
    score = probability[:, describe(an_unsure_classifier).classes.index("spot")]
    fpr, tpr, _ = roc_curve(positive, score)
    said = score >= point.threshold
    assert said[positive].mean() == pytest.approx(point.sensitivity)
    assert (~said[~positive]).mean() == pytest.approx(point.specificity)
    assert point.sensitivity + point.specificity - 1 == pytest.approx((tpr - fpr).max())
    # Between two cases, not on one.
    assert np.abs(score - point.threshold).min() > 1e-9


def test_the_card_tells_temperature_calibration_and_operating_point(an_unsure_classifier):
    card = (an_unsure_classifier / "docs" / "README.md").read_text(encoding="utf-8")
    temperature = content(an_unsure_classifier, "inference.json")["temperature"]
    assert f"Temperature {temperature:.4g}" in card
    assert re.search(r"calibration error 0\.\d{3} before, 0\.\d{3} after", card)
    assert str(describe(an_unsure_classifier).operating_points[0]) in card
    assert "medai classify image.png --model unsure" in card


def test_an_evaluation_decides_at_the_operating_point_and_shows_the_likelier_class_beside(
    an_unsure_classifier, tmp_path
):
    data = an_unsure_classifier / "runs" / "datalist.json"
    found = medai.evaluate(an_unsure_classifier, data, tmp_path, split="validation", in_process=True, device="cpu")
    columns = found.table.columns
    scores = {
        (metric, label): value
        for metric, label, value in zip(columns["Metric"], columns["Label"], columns["Value"], strict=True)
    }
    (point,) = describe(an_unsure_classifier).operating_points
    assert scores["recall", ""] == pytest.approx(point.sensitivity)
    assert scores["specificity", ""] == pytest.approx(point.specificity)
    probability, truth = output(an_unsure_classifier, "probabilities")
    assert scores["accuracy", "at 0.5"] == pytest.approx((probability.argmax(1) == truth).mean())
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["settings"]["threshold"] == f"{point.threshold:.6g}"
    assert "Positive is spot from" in summary["notes"][0]


def test_monai_bundle_run_gives_the_same_calibrated_probabilities(a_classifier, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    items = list(validation(a_classifier))[:3]
    for item in items:
        shutil.copy(item.files["image"][0], data / f"{item.name.replace('/', '_')}.png")
    run(a_classifier, data, tmp_path / "out", "configs/inference.json")
    rows = (tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8").splitlines()
    told = {Path(row.split(",")[0]).stem: [float(n) for n in row.split(",")[1:]] for row in rows}
    for item in items:
        found = medai.classify(item.files["image"][0], a_classifier, in_process=True, device="cpu")
        expected = found.table.columns["Probability"]
        assert told[item.name.replace("/", "_")] == pytest.approx(expected, abs=1e-5)


def test_a_turned_picture_gets_the_same_probabilities(a_classifier_from_all_sides, an_unsure_classifier):
    rng = np.random.default_rng(8)
    picture = rng.integers(0, 120, (1, 16, 16)).astype(np.uint8)
    picture[:, 3:8, 9:14] += 60

    def said(root: Path, seen: np.ndarray) -> list[float]:
        image = medai.Volume(np.ascontiguousarray(seen), np.eye(4), "picture")
        return medai.classify(image, root, in_process=True, device="cpu").table.columns["Probability"]

    turned = (np.rot90(picture, 2, axes=(1, 2)), picture.swapaxes(1, 2))
    for seen in turned:
        assert said(a_classifier_from_all_sides, seen) == pytest.approx(
            said(a_classifier_from_all_sides, picture), abs=1e-6
        )
    assert said(an_unsure_classifier, turned[0]) != pytest.approx(said(an_unsure_classifier, picture), abs=1e-6)
    card = (a_classifier_from_all_sides / "docs" / "README.md").read_text(encoding="utf-8")
    assert "from 4 sides" in card


def test_monai_bundle_run_evaluates_it(an_unsure_classifier, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    listed = json.loads((an_unsure_classifier / "runs" / "datalist.json").read_text(encoding="utf-8"))
    for case in listed["validation"]:
        case["image"] = str((an_unsure_classifier / "runs" / case["image"]).resolve())
    (data / "datalist.json").write_text(json.dumps(listed), encoding="utf-8")
    run(an_unsure_classifier, data, tmp_path / "out", "['configs/inference.json','configs/evaluate.json']")
    probability, truth = output(an_unsure_classifier, "probabilities")
    fpr, tpr, _ = roc_curve(truth == 1, probability[:, 1])
    told = (tmp_path / "out" / "metrics.csv").read_text(encoding="utf-8")
    assert float(told.split(",")[-1]) == pytest.approx(np.trapezoid(tpr, fpr), abs=1e-4)


def test_monai_bundle_run_evaluates_a_denoiser(train, smooth_volumes, tmp_path):
    # Of noise so weak that the network's own faults decide: how strong it happens to be is another matter each time.
    train(smooth_volumes, "denoise", parameters={"epochs": 2, "network": "unet", "noise": 0.001})
    data = tmp_path / "data"
    data.mkdir()
    for number in (6, 7):
        shutil.copy(smooth_volumes.parent / f"hills_{number}.nii.gz", data)
    run(tmp_path / "model", data, tmp_path / "out", "['configs/inference.json','configs/evaluate.json']")
    told = (tmp_path / "out" / "metrics.csv").read_text(encoding="utf-8")
    # The same images as in the training's own validation, of which the best epoch was kept.
    best = max(row["psnr"] for row in folder.history(tmp_path / "model"))
    assert float(told.split(",")[-1]) == pytest.approx(best, abs=0.1)


def run(root: Path, data: Path, out: Path, config: str) -> None:
    places = ["--bundle_root", ".", "--dataset_dir", data, "--output_dir", out]
    run_bundle("--config_file", config, *places, cwd=root)


def test_a_wanted_sensitivity_is_found_by_finishing_a_finished_model_again(an_unsure_classifier, faint_spots, tmp_path):
    root = tmp_path / "unsure"
    shutil.copytree(an_unsure_classifier, root)
    before = (root / "models" / "model.pt").read_bytes()
    chosen = {**QUICK, "epochs": 12, "width": 4}
    asked = {"positive": "spot", "modality": "US", "in_process": True, "device": "cpu", "finish": True}
    medai.train(faint_spots, "classify", root, parameters=chosen, sensitivity=1.0, **asked)
    (point,) = describe(root).operating_points
    assert point.sensitivity == 1
    assert point.rule == "sensitivity of at least 1"
    assert point.threshold < describe(an_unsure_classifier).operating_points[0].threshold
    assert (root / "models" / "model.pt").read_bytes() == before
    assert integrity.check_pins(root)
    with pytest.raises(InputError, match="not this training"):
        medai.train(faint_spots, "classify", root, parameters={**chosen, "epochs": 5}, **asked)


def test_an_interrupted_calibration_is_made_up_for(train, bright_spots, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(folder.Path, "unlink", fails)
        with pytest.raises(medai.MedAIError):
            train(bright_spots, "classify", parameters=QUICK)
    assert not integrity.is_pinned(tmp_path / "model")
    result = train(bright_spots, "classify", parameters=QUICK)
    assert any("goes on" in note for note in result.provenance.notes)
    assert integrity.check_pins(tmp_path / "model")
    assert len(folder.history(tmp_path / "model")) == 3


def test_findings_have_an_operating_point_each(train, tmp_path):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, (60, 2))
    labels[40:, 1] = 0
    images = rng.integers(0, 90, (60, 16, 16)).astype(np.uint8)
    images[labels[:, 0] == 1, :5, :5] += 50
    parts = {"train": slice(0, 40), "val": slice(40, 60)}
    arrays = {f"{name}_images": images[part] for name, part in parts.items()}
    np.savez(tmp_path / "f.npz", **arrays, **{f"{name}_labels": labels[part] for name, part in parts.items()})
    data = read_data_list(tmp_path / "f.npz", label_names={0: "corner", 1: "never seen"})
    train(data, "classify", parameters=QUICK)
    # Nobody can choose a point for a finding that no validation case has.
    assert [point.name for point in describe(tmp_path / "model").operating_points] == ["corner"]
    found = medai.evaluate(
        tmp_path / "model", data, tmp_path / "report", split="validation", in_process=True, device="cpu"
    )
    columns = found.table.columns
    keys = zip(columns["Metric"], columns["Label"], strict=True)
    recall = dict(zip(keys, columns["Value"], strict=True))["recall", "corner"]
    assert recall == pytest.approx(describe(tmp_path / "model").operating_points[0].sensitivity)


def test_a_model_without_mistakes_keeps_its_temperature(an_unsure_classifier, tmp_path):
    root = tmp_path / "unsure"
    shutil.copytree(an_unsure_classifier, root)
    (root / integrity.PINS).unlink()
    data, said = validation(root), output(root, "logits")[0].argmax(1)
    flawless = data.with_items([item.with_values(label=int(n)) for item, n in zip(data, said, strict=True)])
    whole = read_data_list(root / "runs" / "datalist.json")
    made = plan(whole, check(whole), "classify", TrainingParameters(), name="unsure")
    found = calibrate(root, flawless, made, lambda _: None, LoadedModels(), positive="spot")
    assert content(root, "inference.json")["temperature"] == found.temperature == 1.0
    assert "makes no mistake" in found.note
    assert (found.points[0].sensitivity, found.points[0].specificity) == (1, 1)
    few = calibrate(root, flawless.with_items(list(flawless)[:6]), made, lambda _: None, LoadedModels())
    assert "6 cases are too few" in few.note


def test_a_class_that_is_not_there_cannot_be_positive(train, bright_spots, bright_balls, tmp_path):
    with pytest.raises(InputError, match="'tumour' cannot be the positive class") as refused:
        train(bright_spots, "classify", parameters=QUICK, positive="tumour")
    assert "class 0, class 1" in refused.value.why
    with pytest.raises(InputError, match="cannot be the positive class"):
        train(bright_balls, "segment", positive="ball")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("wrong", [0, 1.5, "all", True])
def test_a_sensitivity_that_nobody_can_reach_is_refused(train, bright_spots, wrong):
    with pytest.raises(InputError, match="'sensitivity'"):
        train(bright_spots, "classify", parameters=QUICK, sensitivity=wrong)
