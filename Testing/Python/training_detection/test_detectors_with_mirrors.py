"""A detector of pictures looks at each in a mirror as well, where it has learned to."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
from monai.bundle import ConfigParser

from medai.bundles import trust
from medai.errors import MedAIError
from medai.networks import MirroredRetinaNet
from medai.training.recipe import bundle_configs
from medai.training.recipe.detection import network_def


@pytest.fixture
def configs_for(plan_for):
    """The configurations of a detector that is to be trained."""
    return lambda **chosen: bundle_configs(plan_for(**chosen), data_source="Tests", licence="None")


@pytest.fixture
def a_network(plan_for):
    """A RetinaNet with random weights, so that it sees an image and its mirror image as two."""
    torch.manual_seed(0)
    network = ConfigParser({"network_def": network_def(plan_for())}).get_parsed_content("network_def").eval()
    for part in network.modules():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.normal_(part.weight, std=0.05)
    return network


def boxes_of(network, image, anchors):
    """What a detector makes of an image, (n, 4), and its scores, both in the order of the scores."""
    generator = AnchorGeneratorWithAnchorShape(feature_map_scales=[1], base_anchor_shapes=anchors)
    detector = RetinaNetDetector(network, generator).eval()
    detector.set_target_keys("box", "label")
    detector.set_box_selector_parameters(score_thresh=0.0, nms_thresh=1.0, detections_per_img=20)
    with torch.inference_mode():
        found = detector(image)[0]
    return found["box"], found["label_scores"]


def test_it_finds_in_a_mirror_what_it_finds_without(bright_squares, a_network):
    image = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(1))
    anchors = tuple((8 + 2 * n, 6 + 4 * n) for n in range(a_network.num_anchors))
    mirrored = MirroredRetinaNet(a_network, [0], anchors)
    for network, same in ((mirrored, True), (a_network, False)):
        boxes, scores = boxes_of(network, image, anchors)
        others, other_scores = boxes_of(network, image.flip(2), anchors)
        back = torch.stack([47 - others[:, 2], others[:, 1], 47 - others[:, 0], others[:, 3]], 1)
        assert bool(torch.allclose(scores, other_scores, atol=1e-5)) is same
        # Equal scores may come in any order, and what leaves the image is cut off at its edge.
        apart = torch.cdist(boxes, back).amin(1)[(boxes > 1).all(1) & (boxes < 46).all(1)]
        assert len(apart) > 5
        assert bool(torch.all(apart < 1e-2)) is same


@settings(max_examples=15, deadline=None)
@given(
    axes=st.sampled_from([(0,), (1,), (0, 1), (2,), (0, 2), (0, 1, 2)]),
    dimensions=st.sampled_from([2, 3]),
    seed=st.integers(0, 999),
)
def test_what_it_says_turns_round_with_the_image(axes, dimensions, seed):
    """Maps of the mirrored image are the mirrored maps, with moves along the mirrored axes turned round."""
    axes = [axis for axis in axes if axis < dimensions] or [0]

    class Random(torch.nn.Module):
        spatial_dims, num_classes, num_anchors, size_divisible = dimensions, 2, 3, 1
        cls_key, box_reg_key = "classification", "box_regression"

        def __init__(self) -> None:
            super().__init__()
            kind = torch.nn.Conv2d if dimensions == 2 else torch.nn.Conv3d
            self.scores, self.boxes = kind(1, 6, 3, padding=1), kind(1, 6 * dimensions, 3, padding=1)

        def forward(self, images):
            return {self.cls_key: [self.scores(images)], self.box_reg_key: [self.boxes(images)]}

    torch.manual_seed(seed)
    edges = torch.randint(2, 9, (3, dimensions)).tolist()
    network = MirroredRetinaNet(Random(), axes, edges)
    image = torch.rand(2, 1, *(6, 5, 4)[:dimensions])
    with torch.inference_mode():
        here, there = network(image), network(image.flip(axes[0] + 2))
    (scores,), (other_scores,) = here["classification"], there["classification"]
    assert torch.allclose(scores, other_scores.flip(axes[0] + 2), atol=1e-5)
    (moves,), (other_moves,) = here["box_regression"], there["box_regression"]
    other_moves = other_moves.flip(axes[0] + 2).unflatten(1, (3, 2 * dimensions)).clone()
    voxel = 1 / torch.tensor(edges, dtype=torch.float32)[:, axes[0]].reshape(-1, *[1] * dimensions)
    other_moves[:, :, axes[0]] = -other_moves[:, :, axes[0]] - voxel
    assert torch.allclose(moves, other_moves.flatten(1, 2), atol=1e-5)


def test_a_detector_of_pictures_that_learned_them_mirrored_looks_into_mirrors(configs_for):
    configs = configs_for()
    assert configs["inference.json"]["mirrored"]["axes"] == [0]
    assert configs["inference.json"]["detector_def"]["network"] == "@mirrored"
    assert "mirrored" not in configs["train.json"], "one view is enough to learn from"


def test_one_that_did_not_does_not(configs_for):
    configs = configs_for(augmentation=["affine"])
    assert configs["inference.json"]["detector_def"]["network"] == "@network"


def test_a_detector_of_volumes_does_not_work_eight_times(bright_blocks, configs_for):
    configs = configs_for(source=bright_blocks)
    assert configs["inference.json"]["detector_def"]["network"] == "@network"


@pytest.mark.parametrize(
    ("name", "value"), [("network", "$print('here')"), ("axes", "$[0]"), ("axes", [3]), ("anchors", "@x"), ("more", 1)]
)
def test_what_a_bundle_may_not_ask_of_it_is_refused(configs_for, tmp_path, name, value):
    configs = configs_for()
    (tmp_path / "configs").mkdir()
    configs["inference.json"]["mirrored"][name] = value
    for file, content in configs.items():
        (tmp_path / "configs" / file).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(MedAIError):
        trust.check_config(tmp_path)
