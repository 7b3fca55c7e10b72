"""From cases to files: the table, the summary, what is refused."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medai.errors import GeometryError, InputError, WriteError
from medai.result import Labelmap, Segment
from medai.training.evaluation import (
    About,
    Bootstrap,
    BoxArray,
    ClassificationCase,
    DetectionCase,
    Options,
    RestorationCase,
    SegmentationCase,
    Undefined,
    evaluate,
)
from medai.training.evaluation.segmentation import segmentation_metrics

pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy.*:FutureWarning")


def read_rows(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def some_classified(rng):
    y = np.arange(24) % 2
    p = np.clip(rng.normal(0.35 + 0.3 * y, 0.2), 0, 1)
    return [
        ClassificationCase(name=f"image {n}", patient=f"p{n // 2}", truth=int(a), probability=float(b))
        for n, (a, b) in enumerate(zip(y, p, strict=True))
    ]


def test_a_classifier_is_written_as_table_summary_and_report(tmp_path, some_classified, few_draws):
    found = evaluate(
        "classify", some_classified, labels=("benign", "malignant"), about=About(model="m 1"), options=few_draws,
        folder=tmp_path / "new" / "folder",
    )  # fmt: skip
    summary = json.loads((tmp_path / "new" / "folder" / "summary.json").read_text(encoding="utf-8"))
    rows = read_rows(tmp_path / "new" / "folder" / "cases.csv")
    truth, said = [int(r["reference"]) for r in rows], [float(r["probability"]) for r in rows]
    auroc = summary["metrics"]["auroc"]
    assert auroc["value"] == pytest.approx(roc_auc_score(truth, said), abs=1e-4)
    assert auroc["low"] <= auroc["value"] <= auroc["high"]
    assert (summary["cases"], summary["patients"], summary["model"]) == (24, 12, "m 1")
    assert rows[0]["label"] == "malignant"
    assert [path.name for path in found.files] == ["cases.csv", "summary.json", "report.html"]
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == sorted(p.name for p in found.files)


def test_the_same_cases_give_the_same_files(tmp_path, some_classified, few_draws):
    for name in ("one", "two"):
        evaluate("classify", some_classified, options=few_draws, folder=tmp_path / name)
    for file in ("cases.csv", "summary.json", "report.html"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_two_competing_classes_are_a_yes_or_no_question(some_classified, few_draws):
    pairs = [dataclasses.replace(c, probability=[1 - c.probability, c.probability]) for c in some_classified]
    single, double = (evaluate("classify", cases, options=few_draws) for cases in (some_classified, pairs))
    assert single.summary.as_json() == double.summary.as_json()


def test_several_classes_have_a_row_and_metrics_each(rng, few_draws):
    cases = [ClassificationCase(name=str(n), truth=n % 3, probability=np.eye(3)[(n * n) % 3]) for n in range(9)]
    found = evaluate("classify", cases, labels=("a", "b", "c"), options=few_draws)
    assert len(found.rows) == 27
    assert found.summary["accuracy"].value == pytest.approx(sum(n % 3 == n * n % 3 for n in range(9)) / 9)
    assert found.summary["recall[b]"].value == 1
    assert [w.case.name for w in found.worst] == ["2", "5"]
    assert "0\u00a0% c" in found.worst[0].caption


def test_findings_nobody_looked_for_are_empty_in_table_and_null_in_summary(tmp_path, few_draws):
    cases = [
        ClassificationCase(name=str(n), truth=[n % 2, np.nan], probability=[0.2 + 0.6 * (n % 2), 0.4]) for n in range(4)
    ]
    evaluate("classify", cases, labels=("mass", "fracture"), options=few_draws, folder=tmp_path)
    metric = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["metrics"]["auroc[fracture]"]
    assert metric == {"value": None, "low": None, "high": None, "n": 0, "reason": "no positive case"}
    assert {row["reference"] for row in read_rows(tmp_path / "cases.csv") if row["label"] == "fracture"} == {""}


def test_a_threshold_chosen_on_these_cases_is_said_aloud(some_classified, few_draws):
    chosen = evaluate("classify", some_classified, options=dataclasses.replace(few_draws, operating_point=0.8))
    assert chosen.summary["recall"].value >= 0.8
    assert "chosen on these same cases" in chosen.summary.notes[0]
    alone = [c for c in some_classified if c.truth == 1]
    nothing = evaluate("classify", alone, options=dataclasses.replace(few_draws, operating_point="youden"))
    assert "one class only" in nothing.summary.notes[0]


def test_a_segmentation_has_a_row_per_case_and_structure(tmp_path, a_segmentation_case, few_draws):
    cases = [a_segmentation_case("good", 0), a_segmentation_case("bad", 3), a_segmentation_case("fair", 1)]
    found = evaluate("segment", iter(cases), labels={"liver": 1}, options=few_draws, folder=tmp_path)
    rows = read_rows(tmp_path / "cases.csv")
    assert [(row["case"], row["label"]) for row in rows] == [("good", "liver"), ("bad", "liver"), ("fair", "liver")]
    expected = [segmentation_metrics(c.reference.array > 0, c.prediction.array > 0, (1, 1, 1))["dice"] for c in cases]
    assert [float(row["dice"]) for row in rows] == pytest.approx(expected, abs=1e-5)
    assert found.summary["dice[liver]"].value == pytest.approx(np.mean(expected))
    assert [w.case.name for w in found.worst] == ["bad", "fair"]


def test_spacing_is_taken_along_the_right_axes(a_volume, few_draws):
    y, p = np.zeros((2, 8, 8, 8), np.uint8)
    y[2:6, 2:6, 2:6], p[3:7, 2:6, 2:6] = 1, 1  # moved along k
    spacing = (0.5, 0.7, 3.0)
    case = SegmentationCase(name="c", reference=a_volume(y, spacing), prediction=a_volume(p, spacing))
    row = evaluate("segment", [case], labels=["x"], options=few_draws).rows[0]
    assert row["hd95_mm"] == pytest.approx(3.0)
    assert row["volume_reference_ml"] == pytest.approx(64 * 0.5 * 0.7 * 3 / 1000)


def test_structures_of_labelmaps_are_matched_by_name_even_when_they_overlap(a_cube, few_draws):
    layers = np.stack([a_cube(2, 9), a_cube(5, 12)])
    segments = tuple(Segment(n, 1, layer=i) for i, n in enumerate(("whole", "core")))
    reference = Labelmap(layers, np.eye(4), segments)
    swapped = Labelmap(layers[::-1], np.eye(4), tuple(Segment(n, 1, layer=i) for i, n in enumerate(("core", "whole"))))
    found = evaluate(
        "segment", [SegmentationCase(name="c", reference=reference, prediction=swapped)], options=few_draws
    )
    assert [row["dice"] for row in found.rows] == [1, 1]


def test_a_missed_structure_is_counted_and_said(tmp_path, a_segmentation_case, a_volume, few_draws):
    good = a_segmentation_case("good")
    missed = dataclasses.replace(good, name="missed", prediction=a_volume(np.zeros((16, 16, 16), np.uint8)))
    found = evaluate("segment", [good, missed], labels={"liver": 1}, options=few_draws, folder=tmp_path)
    assert found.summary["dice[liver]"].value == 0.5
    assert found.summary["hd95_mm[liver]"].n == 1
    assert "missed in 1 of 2 cases" in found.summary.notes[0]
    assert read_rows(tmp_path / "cases.csv")[1]["hd95_mm"] == ""


def test_a_prediction_somewhere_else_is_refused(a_segmentation_case, a_volume, a_cube):
    case = a_segmentation_case()
    elsewhere = dataclasses.replace(case, prediction=a_volume(a_cube(), (1.0, 1.0, 1.2)))
    with pytest.raises(GeometryError, match=r"up to 3.00 mm apart"):
        evaluate("segment", [elsewhere], labels={"liver": 1})


def test_a_detector_is_counted_per_image_and_class(tmp_path, boxes, few_draws):
    cases = [
        DetectionCase(name="hit", reference=boxes((0, 0, 9, 9)), prediction=boxes((0, 0, 9, 9), scores=(0.9,))),
        DetectionCase(name="miss", reference=boxes((0, 0, 9, 9)), prediction=boxes((20, 0, 29, 9), scores=(0.6,))),
        DetectionCase(name="normal", reference=boxes(), prediction=boxes((1, 1, 3, 3), scores=(0.2,))),
    ]
    found = evaluate("detect", cases, options=few_draws, folder=tmp_path)
    rows = read_rows(tmp_path / "cases.csv")
    counted = {row["case"]: tuple(row[k] for k in ("true_positives", "false_positives", "missed")) for row in rows}
    assert counted == {"hit": ("1", "0", "0"), "miss": ("0", "1", "1"), "normal": ("0", "0", "0")}
    # Half of the lesions found at full precision: recall values 0 to 0.5 of 101.
    assert found.summary["map@0.50"].value == pytest.approx(51 / 101)
    assert found.summary["sensitivity@1fp"].value == 0.5
    assert [w.case.name for w in found.worst] == ["miss"]


def test_a_denoiser_says_what_it_gained(tmp_path, a_volume, rng, few_draws):
    clean = rng.random((6, 14, 14))
    cases = [
        RestorationCase(
            name=str(n),
            reference=a_volume(clean),
            degraded=a_volume(clean + 0.2),
            restored=a_volume(clean + 0.02 * n),
            data_range=(0, 1),
        )
        for n in range(3)
    ]
    found = evaluate("denoise", cases, options=few_draws, folder=tmp_path)
    gains = [20 * math.log10(0.2 / (0.02 * n)) for n in (1, 2)]
    assert found.summary["psnr_gain_db"].value == pytest.approx(np.mean(gains))
    assert "1 of 3 images are restored exactly" in found.summary.notes[0]
    assert read_rows(tmp_path / "cases.csv")[0]["psnr_db"] == "inf"
    assert "Infinity" not in (tmp_path / "summary.json").read_text(encoding="utf-8")


def test_one_case_has_values_but_no_intervals(some_classified, few_draws):
    found = evaluate("classify", some_classified[:1], options=few_draws).summary["accuracy"]
    assert math.isfinite(found.value)
    assert math.isnan(found.low)
    assert found.reason == "one patient only"


def test_of_many_cases_only_the_worst_are_kept(a_segmentation_case):
    found = evaluate(
        "segment",
        (a_segmentation_case(f"shift {n}", n % 6) for n in range(18)),
        labels={"liver": 1},
        options=Options(how=Bootstrap(5), worst=3),
    )
    assert [w.case.name for w in found.worst] == ["shift 5", "shift 11", "shift 17"]


@pytest.mark.parametrize("kind", ["classify", "segment", "detect", "denoise"])
def test_no_case_at_all_is_explained(kind):
    with pytest.raises(InputError, match="no case"):
        evaluate(kind, [], labels={"liver": 1} if kind == "segment" else ())


@pytest.mark.parametrize(
    ("kind", "cases", "labels", "said"),
    [
        ("guess", [], (), "no evaluation for 'guess'"),
        ("detect", [ClassificationCase(name="a", truth=0, probability=0.5)], (), "DetectionCase is needed"),
        ("classify", [ClassificationCase(name="a", truth=0, probability=math.nan)], (), "probabilities of 'a'"),
        ("classify", [ClassificationCase(name="a", truth=0, probability=1.5)], (), "0 to 1 is possible"),
        ("classify", [ClassificationCase(name="a", truth=[0, 1], probability=[0.5])], (), "2 reference labels but 1"),
        (
            "classify",
            [
                ClassificationCase(name="a", truth=0, probability=[0.5, 0.2, 0.3]),
                ClassificationCase(name="b", truth=0, probability=0.5),
            ],
            (),
            "same number of classes",
        ),
        ("classify", [ClassificationCase(name="a", truth=0, probability=0.5)], ("only",), "class names"),
        ("classify", [ClassificationCase(name="a", truth=3, probability=[0.5, 0.2, 0.3])], (), "classes 0 to 2"),
    ],
)
def test_cases_that_do_not_fit_are_explained(kind, cases, labels, said):
    with pytest.raises(InputError, match=said):
        evaluate(kind, cases, labels=labels)


def test_label_values_without_names_are_refused(a_segmentation_case):
    with pytest.raises(InputError, match="Give the labels"):
        evaluate("segment", [a_segmentation_case()])


def test_images_and_boxes_without_a_grid_in_common_are_refused(a_volume, rng):
    wide, narrow = (a_volume(rng.random((3, 12, n))) for n in (13, 12))
    with pytest.raises(GeometryError, match="same grid"):
        evaluate("denoise", [RestorationCase(name="x", reference=wide, restored=narrow)])
    flat, deep = BoxArray(np.ones((1, 4)), ("a",)), BoxArray(np.ones((1, 6)), ("a",))
    with pytest.raises(InputError, match="Some are 2D"):
        evaluate("detect", [DetectionCase(name="a", reference=flat, prediction=deep)])


def test_two_cases_of_the_same_name_are_two_patients(some_classified, few_draws):
    cases = [dataclasses.replace(case, name="scan", patient="") for case in some_classified]
    assert evaluate("classify", cases, options=few_draws).summary.patients == 24


def test_older_files_stay_when_new_ones_cannot_be_written(tmp_path, some_classified, few_draws, monkeypatch):
    evaluate("classify", some_classified, options=few_draws, folder=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medai.training.evaluation.run.write_summary", full_disk)
    with pytest.raises(WriteError, match="disk is full"):
        evaluate("classify", some_classified[:6], options=few_draws, folder=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_explained(tmp_path, some_classified, few_draws):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(WriteError, match="cannot be made"):
        evaluate("classify", some_classified, options=few_draws, folder=tmp_path / "file" / "folder")


def test_a_reason_survives_the_way_between_processes():
    again = pickle.loads(pickle.dumps(Undefined("no positive case")))
    assert math.isnan(again)
    assert again.reason == "no positive case"
