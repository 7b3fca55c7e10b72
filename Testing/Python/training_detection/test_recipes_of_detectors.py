"""From boxes to anchors, strides, losses and an operating point."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
from monai.bundle import ConfigParser
from monai.data.box_utils import box_iou

from medai.bundles.description import describe
from medai.errors import InputError
from medai.training.components.detector import Prepare, SumOfLosses, TrainedDetector
from medai.training.data import check, read_data_list, split
from medai.training.parameters import TrainingParameters
from medai.training.recipe import bundle_configs, plan
from medai.training.recipe.anchors import anchor_shapes, fitting_stem
from medai.training.recipe.detection import network_def, strides


@pytest.fixture
def a_detector():
    """A detector of one anchor of 8 pixels per place, over a network that gives what it is told to."""

    class Told(torch.nn.Module):
        spatial_dims, num_classes, num_anchors, size_divisible = 2, 1, 1, 4
        cls_key, box_reg_key = "classification", "box_regression"

        def __init__(self) -> None:
            super().__init__()
            self.logits = torch.nn.Parameter(torch.full((1, 1, 8, 8), -5.0))
            self.moves = torch.nn.Parameter(torch.zeros(1, 4, 8, 8))

        def forward(self, images):
            many = len(images)
            return {
                self.cls_key: [self.logits.expand(many, -1, -1, -1)],
                self.box_reg_key: [self.moves.expand(many, -1, -1, -1)],
            }

    def make(**chosen) -> TrainedDetector:
        anchors = AnchorGeneratorWithAnchorShape(feature_map_scales=[1], base_anchor_shapes=[[8, 8]])
        return TrainedDetector(Told(), anchors, **chosen).train()

    return make


def target(*boxes: tuple[float, ...]) -> dict[str, torch.Tensor]:
    return {
        "box": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "label": torch.zeros(len(boxes), dtype=torch.long),
    }


def test_anchors_are_the_middles_of_the_boxes_clusters(bright_squares):
    data = split(read_data_list(bright_squares, "boxes"), validation=0)
    sizes = [(4.0, 4.0), (5.0, 4.0), (20.0, 10.0), (22.0, 11.0)]
    items = [
        item.with_values(box=tuple((1.0, 1.0, 1 + w, 1 + h) for w, h in sizes), label=(0,) * len(sizes))
        for item in data
    ]
    shapes = anchor_shapes(data.with_items(items), check(data), (52, 52), None)
    assert shapes == ((4, 4), (6, 4), (20, 10), (22, 12)), "even edges, for halves of them are rounded"
    assert fitting_stem(shapes) == 4
    larger = anchor_shapes(data.with_items(items), check(data), (104, 104), None)
    assert larger[0][0] == pytest.approx(2 * shapes[0][0], abs=2), "pictures are brought to twice their size"


@pytest.mark.parametrize(
    ("patch", "stem", "expected"),
    [
        ((160, 160), 8, [[8, 8], [2, 2], [2, 2]]),
        ((256, 256), 8, [[8, 8], [2, 2], [2, 2], [2, 2]]),
        ((96, 96, 16), 4, [[4, 4, 4], [2, 2, 1], [2, 2, 1]]),
        ((16, 16), 8, [[4, 4], [1, 1], [1, 1]]),
    ],
)
def test_a_network_halves_an_image_as_often_as_something_is_left_of_it(patch, stem, expected):
    assert strides(patch, stem) == expected


@pytest.mark.parametrize("stem", [2, 4, 8])
def test_the_network_gives_a_guess_per_anchor_for_every_cell(plan_for, stem):
    made = plan_for(patch_size=[64, 64], stem=stem)
    network = ConfigParser({"network": network_def(made)}).get_parsed_content("network").eval()
    with torch.inference_mode():
        found = network(torch.zeros(1, 1, 64, 64))
    assert found["classification"][0].shape == (1, len(made.anchors), 64 // stem, 64 // stem)
    assert found["box_regression"][0].shape == (1, 4 * len(made.anchors), 64 // stem, 64 // stem)


def test_pictures_are_brought_to_one_size_alike_in_training_and_use(plan_for):
    configs = bundle_configs(plan_for(patch_size=[64, 64]), data_source="", licence="")
    both = [configs["train.json"]["preprocessing"], configs["inference.json"]["preprocessing"]["transforms"]]
    resized = [[step for step in steps if step["_target_"] == "Resized"] for steps in both]
    assert resized[0] == resized[1]
    assert resized[0][0]["spatial_size"] == 64


def test_a_guess_that_fits_costs_nothing(a_detector):
    detector = a_detector(loss="focal")
    truth = [target((8, 8, 16, 16))]
    before = detector([torch.zeros(1, 32, 32)], truth)
    with torch.no_grad():
        detector.network.logits[0, 0, 2, 2] = 8.0  # the cell whose anchor is this very box, as anchors stand
    anchors = detector.anchors[0]
    overlaps = box_iou(anchors, truth[0]["box"])[:, 0]
    place = divmod(int(overlaps.argmax()), 8)
    with torch.no_grad():
        detector.network.logits.fill_(-8.0)
        matched = detector.compute_anchor_matched_idxs([anchors], truth, [64])[0]
        detector.network.logits.reshape(-1)[matched >= 0] = torch.logit(overlaps[matched >= 0].clamp(0.01, 0.999))
    after = detector([torch.zeros(1, 32, 32)], truth)
    assert after["classification"] < 0.05 < before["classification"]
    assert place[0] >= 0


def test_of_two_guesses_at_a_box_the_better_one_is_to_score_higher(a_detector):
    detector = a_detector(loss="focal")
    truth = [target((7, 5, 15, 14))]
    detector([torch.zeros(1, 32, 32)], truth)["classification"].backward()
    overlaps = box_iou(detector.anchors[0], truth[0]["box"])[:, 0]
    pushed_up = -detector.network.logits.grad.reshape(-1)
    matched = pushed_up > 0
    order = overlaps[matched].argsort()
    assert int(matched.sum()) >= 1
    assert (pushed_up[matched][order].diff() >= 0).all()
    assert (pushed_up[~matched] <= 0).all()


@pytest.mark.parametrize("loss", ["focal", "cross_entropy"])
def test_images_without_anything_to_find_teach_what_is_nothing(a_detector, loss):
    detector = a_detector(loss=loss)
    losses = detector([torch.zeros(1, 32, 32), torch.zeros(1, 32, 32)], [target(), target()])
    assert losses["box_regression"] == 0
    total = SumOfLosses()(losses, None)
    total.backward()
    assert torch.isfinite(total)
    assert (detector.network.logits.grad >= 0).all()


def test_images_of_different_sizes_go_into_one_batch():
    cases = [{"image": torch.zeros(1, 8, size), "box": torch.zeros(0, 4), "label": torch.zeros(0)} for size in (8, 12)]
    images, targets, args, kwargs = Prepare(training=True)([cases[0], [cases[1]]], torch.device("cpu"))
    assert [image.shape[2] for image in images] == [8, 12]
    assert args == (targets,)
    assert kwargs == {}
    assert Prepare(training=False, windows=True)(cases, torch.device("cpu"))[2:] == ((), {"use_inferer": True})


def test_an_elastic_change_that_no_box_can_follow_is_refused(plan_for):
    with pytest.raises(InputError, match="elastic"):
        plan_for(augmentation=["elastic"])


def test_the_operating_point_is_where_the_validation_cases_were_found_best(a_square_finder):
    root, _ = a_square_finder
    (point,) = describe(root).operating_points
    assert point.name == "lesion"
    assert 0 < point.threshold < 1
    assert "highest F1" in point.rule
    metadata = json.loads((root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert "NaN" not in json.dumps(metadata)


def test_a_person_may_choose_the_operating_point(train, bright_squares, tmp_path):
    train(bright_squares, epochs=1, threshold=0.35)
    (point,) = describe(tmp_path / "model").operating_points
    assert point.threshold == 0.35


def test_a_plan_knows_its_classes_by_their_boxes(bright_squares):
    data = split(read_data_list(bright_squares, "boxes"))
    named = dataclasses.replace(data, label_names={0: "cyst", 1: "tumour"})
    items = [item.with_values(label=tuple(n % 2 for n in range(len(item.values["box"])))) for item in named]
    made = plan(named.with_items(items), check(data), "detect", TrainingParameters(), name="a_model")
    assert made.classes == {0: "cyst", 1: "tumour"}
    assert made.outputs == 2
    assert np.prod(made.anchors[0]) <= np.prod(made.anchors[-1])
