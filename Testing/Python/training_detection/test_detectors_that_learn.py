"""A tiny detector finds planted squares, and what it leaves is a whole bundle in the Model Zoo's shape."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

import medai
from medai.bundles import trust, verify
from medai.bundles.detections import detections_of
from medai.bundles.pipeline import Pipeline
from medai.errors import InputError, JobCancelled
from medai.files import read
from medai.progress import Progress
from medai.result import Table
from medai.training.data import DataItem, DataList, read_data_list
from monai_process import run_bundle


def column(result: medai.Result, table: str, title: str) -> tuple[float, ...]:
    found = next(item for item in result.items if isinstance(item, Table) and item.name == table)
    return found.columns[title]


def score(result: medai.Result, metric: str) -> float:
    return dict(zip(column(result, "scores", "Metric"), column(result, "scores", "Value"), strict=True))[metric]


def test_a_detector_finds_bright_squares(a_square_finder):
    _, result = a_square_finder
    losses = column(result, "training", "Loss")
    assert losses[-1] < 0.6 * losses[0]
    assert score(result, "map@0.50") > 0.8
    assert score(result, "froc") > 0.8


def test_its_bundle_passes_every_check_and_needs_nobodys_trust(a_square_finder):
    root, _ = a_square_finder
    report = verify.verify(root)
    assert report.ok, str(report)
    trust.check_config(root)


def test_its_bundle_has_the_parts_of_the_model_zoos_detectors(a_square_finder):
    root, _ = a_square_finder
    config = json.loads((root / "configs" / "inference.json").read_text(encoding="utf-8"))
    assert config["network_def"]["_target_"] == "RetinaNet"
    assert config["detector_def"]["_target_"] == "RetinaNetDetector"
    assert config["evaluator"]["_requires_"] == "@detector_ops"
    weights = torch.load(root / "models" / "model.pt", weights_only=True)
    assert {name.partition(".")[0] for name in weights} == {
        "feature_extractor",
        "classification_head",
        "regression_head",
    }


def test_the_model_card_tells_of_the_run(a_square_finder):
    root, result = a_square_finder
    card = (root / "docs" / "README.md").read_text(encoding="utf-8")
    assert "Draws boxes" in card
    assert "Anchors of" in card
    assert f"{score(result, 'map@0.50'):.3f}" in card
    assert "40 epochs" in card


def test_monai_bundle_run_writes_the_boxes_that_medai_finds(a_square_finder, bright_squares, tmp_path):
    root, _ = a_square_finder
    places = ["--bundle_root", ".", "--dataset_dir", bright_squares / "images", "--output_dir", tmp_path]
    run_bundle("--config_file", "configs/inference.json", *places, cwd=root)
    pipeline = Pipeline(root, "cpu")
    with (tmp_path / "boxes.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 24
    for row in rows[:4]:
        written = np.array(row[1:], float).reshape(-1, 6)
        written = written[written[:, 4] >= 0]
        image = read(row[0])
        sample = pipeline.infer(pipeline.preprocess((image,)))
        found = detections_of(sample)
        scale = np.divide(image.shape[:0:-1], sample["image"].shape[1:])
        centers = (found.corners[:, [0, 1]] + found.corners[:, [3, 4]] + 1) / 2 * scale
        np.testing.assert_allclose(written[:, :2], centers, atol=1e-2)
        np.testing.assert_allclose(written[:, 5], found.scores, atol=1e-4)


def test_boxes_lie_in_the_world_where_the_squares_are(a_square_finder, bright_squares):
    root, _ = a_square_finder
    pipeline = Pipeline(root, "cpu")
    data = read_data_list(bright_squares, "boxes")
    item = next(item for item in data if len(item.values["box"]) == 1)
    image = read(item.files["image"][0])
    best = detections_of(pipeline.infer(pipeline.preprocess((image,)))).regions()[0]
    i0, j0, i1, j1 = item.values["box"][0]
    middle = image.affine @ [(i0 + i1 - 1) / 2, (j0 + j1 - 1) / 2, 0, 1]
    assert np.linalg.norm(best.center - middle[:3]) < 2.5


def test_evaluating_it_gives_the_scores_of_its_card(a_square_finder, bright_squares, tmp_path):
    root, result = a_square_finder
    data = root / "runs" / "datalist.json"
    found = medai.evaluate(root, data, tmp_path / "report", split="validation", in_process=True, device="cpu")
    assert score(found, "map@0.50") == pytest.approx(score(result, "map@0.50"), abs=1e-6)
    assert (tmp_path / "report" / "report.html").is_file()
    masks = medai.evaluate(root, bright_squares, tmp_path / "all", in_process=True, device="cpu")
    assert score(masks, "map@0.50") > 0.7, "boxes are made of the masks"


def test_a_detector_of_volumes_finds_blocks_in_oblique_images(train, bright_blocks):
    chosen = {"patch_size": [24, 24, 16], "batch_size": 3, "stem": 2, "augmentation": ["flip"]}
    result = train(bright_blocks, epochs=80, validate_every=40, learning_rate=0.005, **chosen)
    losses = column(result, "training", "Loss")
    assert losses[-1] < 0.7 * losses[0]
    assert score(result, "map@0.10") > 0.3


def test_boxes_of_a_coco_file_are_learned_with_their_classes(train, bright_squares, tmp_path):
    data = read_data_list(bright_squares, "boxes")
    boxes = [(n, box) for n, item in enumerate(data) for box in item.values["box"]]
    annotations = [
        {"id": n, "image_id": image, "category_id": 1 + (x1 - x0 > 11), "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for n, (image, (x0, y0, x1, y1)) in enumerate(boxes)
    ]
    content = {
        "images": [{"id": n, "file_name": str(item.files["image"][0])} for n, item in enumerate(data)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "small"}, {"id": 2, "name": "large"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content), encoding="utf-8")
    train(tmp_path / "boxes.json", epochs=2)
    metadata = json.loads((tmp_path / "model" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    named = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert named == {"0": "small", "1": "large"}


def test_data_without_boxes_or_masks_are_refused(train, bright_squares):
    paths = sorted((bright_squares / "images").iterdir())
    images = DataList(tuple(DataItem(path.stem, {"image": (path,)}) for path in paths))
    with pytest.raises(InputError, match="nothing to find") as refused:
        train(images)
    assert "COCO" in refused.value.remedy


def test_data_in_which_nothing_is_marked_are_refused(train, bright_squares):
    data = read_data_list(bright_squares, "boxes")
    with pytest.raises(InputError, match="no box around anything"):
        train(data.with_items([item.with_values(box=(), label=()) for item in data]))


@pytest.mark.usefixtures("one_thread")
def test_a_stopped_training_goes_on_to_the_same_weights(train, bright_squares, tmp_path):
    chosen = {"epochs": 3, "ema": 0.1, "schedule": "cosine", "patch_size": [40, 40]}

    def stop(progress: Progress) -> None:
        if progress.note.startswith("Epoch 2 "):
            raise JobCancelled("Stopped.")

    train(bright_squares, "whole", **chosen)
    with pytest.raises(JobCancelled):
        train(bright_squares, "parts", stop, **chosen)
    train(bright_squares, "parts", **chosen)
    whole, parts = (torch.load(tmp_path / n / "models" / "model.pt", weights_only=True) for n in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
