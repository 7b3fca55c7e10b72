"""Bundles of the Zoo's shapes that give class scores, boxes or images instead of labels."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from medai.bundles import trust
from medai.bundles.description import describe
from medai.bundles.detections import detections_of
from medai.bundles.own_modules import own_modules
from medai.bundles.pipeline import Pipeline
from medai.bundles.pyramids import pyramids_without_torchvision
from medai.errors import BundleError, BundleFormatError, InputError
from small_bundles import LOAD, OBLIQUE
from zoo_shapes import RAS, SCALE, SEGMENTATIONS, SIGMOID, SOFTMAX, UNET, Shape, write_shape

DENSENET = {"_target_": "DenseNet", "spatial_dims": 2, "out_channels": 3, "init_features": 8, "growth_rate": 4}
DENSENET = DENSENET | {"block_config": [1, 1], "bn_size": 2}
CLASSES = {"type": "probabilities", "format": "classes"}
GRADES = {"0": "background", "1": "mild", "2": "severe"}

PICTURE = Shape(
    network=DENSENET | {"in_channels": 3},
    pre=[
        LOAD | {"ensure_channel_first": False},
        {"_target_": "EnsureChannelFirstd", "keys": "image", "channel_dim": 2},
        SCALE,
        {"_target_": "Resized", "keys": "image", "spatial_size": [32, 32]},
    ],
    post=[SIGMOID],
    task="Grading of pictures (classification)",
    output=CLASSES,
    labels=GRADES,
    images=((1, 40, 30, 3),),
    inferer={"_target_": "SimpleInferer"},
    extra={
        "handlers": [
            {"_target_": "ClassificationSaver", "output_dir": "@output_dir", "batch_transform": "$lambda x: x"},
        ],
    },
)
DECIDED = Shape(
    network=DENSENET | {"in_channels": 1},
    pre=[LOAD, SCALE],
    post=[
        {"_target_": "AsDiscreted", "keys": ["pred", "label"], "argmax": [True, False], "to_onehot": 3},
        {"_target_": "ToTensord", "keys": ["pred", "label"], "device": "@device"},
        {"_target_": "SaveClassificationd", "keys": "pred", "output_dir": "@output_dir", "filename": "scores.csv"},
    ],
    task="Classification Template",
    output=CLASSES,
    labels=GRADES,
    images=((1, 32, 40),),
    inferer={"_target_": "SimpleInferer"},
)

BACKBONE = """
from torch import nn

class Levels(nn.Module):
    out_channels = 8

    def __init__(self):
        super().__init__()
        self.fine = nn.Conv3d(1, 8, 3, stride=2, padding=1)
        self.coarse = nn.Conv3d(8, 8, 3, stride=2, padding=1)

    def forward(self, x):
        fine = self.fine(x).relu()
        return [fine, self.coarse(fine).relu()]
"""
DETECTOR_CALLER = """
from monai.inferers import Inferer

class WithDetector(Inferer):
    def __init__(self, detector):
        self.detector = detector
        # Only right when the detector has been set up before.
        self.use_inferer = detector.inferer is not None

    def __call__(self, inputs, network, *args, **kwargs):
        self.detector.network = network
        self.detector.training = network.training
        return self.detector(inputs, use_inferer=self.use_inferer)
"""
NODULES = Shape(
    network={"_target_": "RetinaNet", "spatial_dims": 3, "num_classes": 2, "num_anchors": 1}
    | {"feature_extractor": "@backbone", "size_divisible": [4, 4, 4]},
    pre=[
        LOAD,
        RAS,
        {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0.0, "a_max": 250.0}
        | {"b_min": 0.0, "b_max": 1.0, "clip": True},
    ],
    post=[
        {"_target_": "ClipBoxToImaged", "box_keys": "box", "label_keys": ["label", "label_scores"]}
        | {"box_ref_image_keys": "@image_key", "remove_empty": True},
        {"_target_": "AffineBoxToWorldCoordinated", "box_keys": "box", "box_ref_image_keys": "@image_key"}
        | {"affine_lps_to_ras": True},
        {"_target_": "ConvertBoxModed", "box_keys": "box", "src_mode": "xyzxyz", "dst_mode": "cccwhd"},
        {"_target_": "DeleteItemsd", "keys": ["@image_key"]},
    ],
    inferer={"_target_": "scripts.caller.WithDetector", "detector": "@detector"},
    task="Detection of nodules",
    output={"type": "object", "format": "dict"},
    labels={"0": "nodule", "1": "node"},
    images=((16, 24, 20),),
    extra={
        "backbone": {"_target_": "scripts.backbone.Levels"},
        "anchors": {
            "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
            "feature_map_scales": [1, 2],
            "base_anchor_shapes": [[4, 4, 4]],
        },
        "detector": {"_target_": "RetinaNetDetector", "network": "@network", "anchor_generator": "@anchors"}
        | {"spatial_dims": 3, "num_classes": 2, "size_divisible": [4, 4, 4]},
        "detector_ops": [
            "$@detector.set_target_keys(box_key='box', label_key='label')",
            "$@detector.set_box_selector_parameters(score_thresh=0.001,nms_thresh=0.2,detections_per_img=7)",
            "$@detector.set_sliding_window_inferer(roi_size=[16, 16, 16],overlap=0.25,sw_batch_size=1,device='cpu')",
        ],
        "evaluator": {"_target_": "scripts.evaluator.Evaluator", "_requires_": "@detector_ops"}
        | {"network": "@network", "inferer": "@inferer", "val_handlers": "@handlers"},
    },
    scripts={"backbone.py": BACKBONE, "caller.py": DETECTOR_CALLER},
)
# As the Zoo's detector of lung nodules: MONAI's pyramid on a ResNet, which asks for torchvision.
PYRAMID = replace(
    NODULES,
    extra=NODULES.extra
    | {
        "resnet": {"_target_": "ResNet", "block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 8, 16, 32]}
        | {"spatial_dims": 3, "n_input_channels": 1, "conv1_t_stride": [2, 2, 1]},
        "backbone": "$monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor"
        "(@resnet,3,False,[1,2],None)",
        "anchors": NODULES.extra["anchors"] | {"feature_map_scales": [1, 2, 4]},
    },
)
HANDS = Shape(
    network={"_target_": "Generator", "latent_shape": "@latent_size", "start_shape": [4, 4, 4]}
    | {"channels": [4, 1], "strides": [2, 1]},
    pre=[],
    post=[
        SIGMOID,
        {"_target_": "ToTensord", "keys": "pred", "track_meta": False},
        {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "output_ext": "png"}
        | {"scale": 255, "output_dtype": "$np.uint8", "meta_key_postfix": None, "separate_folder": False},
    ],
    inferer={"_target_": "SimpleInferer"},
    task="Pictures of hands made by a GAN",
    output={"type": "image", "format": "magnitude"},
    images=(),
    extra={
        "latent_size": 8,
        "dataset": {"_target_": "Dataset", "data": "$[torch.rand(@latent_size) for _ in range(4)]"},
        "preprocessing": None,
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "network": "@network",
            "postprocessing": "@postprocessing",
            "prepare_batch": "$lambda batchdata, *_, **__: (batchdata.to(@device), None, (), {})",
        },
    },
)


@pytest.fixture
def a_shape(tmp_path):
    """Write a bundle with seeded random weights, trusted by its hash."""

    def write(shape: Shape):
        root = write_shape(tmp_path / "shape", shape)
        trust.trust(root)
        parser = ConfigParser(shape.config() | {"bundle_root": str(root)})
        torch.manual_seed(3)
        pyramids_without_torchvision(shape.config())
        with own_modules(root):
            network = parser.get_parsed_content("network_def")
        torch.save(network.state_dict(), root / "models" / "model.pt")
        trust.trust(root)
        return root

    return write


def test_a_picture_gets_a_score_for_every_class(a_shape):
    root = a_shape(PICTURE)
    pipeline = Pipeline(root, "cpu")
    sample = pipeline.infer(pipeline.preprocess(PICTURE.volumes()))
    scores = pipeline.probabilities(sample)
    np.testing.assert_allclose(scores, torch.sigmoid(sample["pred"]).double(), atol=1e-6)
    np.testing.assert_allclose(pipeline.run(pipeline.preprocess(PICTURE.volumes()))["pred"], scores, atol=1e-6)
    model = describe(root)
    assert (model.task, model.classes) == ("classify", ("background", "mild", "severe"))


def test_scores_are_known_although_the_bundle_decides_and_writes_a_table(a_shape):
    root = a_shape(DECIDED)
    pipeline = Pipeline(root, "cpu")
    sample = pipeline.infer(pipeline.preprocess(DECIDED.volumes()))
    scores = pipeline.probabilities(sample)
    assert scores.shape == (3,)
    assert scores.sum() == pytest.approx(1)
    decided = pipeline.run(pipeline.preprocess(DECIDED.volumes()))["pred"]
    assert decided.tolist() == [float(n == scores.argmax()) for n in range(3)]
    assert not (root / "eval").exists()


def test_boxes_lie_where_the_detector_saw_them_even_in_an_oblique_image(a_shape):
    pipeline = Pipeline(a_shape(NODULES), "cpu")
    sample = pipeline.infer(pipeline.preprocess(NODULES.volumes()))
    found = detections_of(sample)
    assert 0 < len(found.scores) <= 7
    assert (np.diff(found.scores) <= 0).all()
    assert set(found.labels) <= {0, 1}
    i, j, k = sample["image"].shape[1:]
    assert (found.corners >= 0).all()
    assert (found.corners[:, 3:] <= [i, j, k]).all()
    region = found.regions()[0]
    lower = found.affine @ [*found.corners[0, :3], 1]
    np.testing.assert_allclose(np.abs(region.corners - lower[:3]).sum(axis=1).min(), 0, atol=1e-3)
    # The image was turned to RAS: the same oblique axes in another order.
    assert not np.allclose(np.abs(region.axes), np.eye(3), atol=0.05)
    edges = np.sort(np.linalg.norm(OBLIQUE[:3, :3], axis=0))
    np.testing.assert_allclose(np.sort(np.linalg.norm(found.affine[:3, :3], axis=0)), edges, rtol=1e-3)


def test_the_bundles_own_boxes_come_as_its_handler_would_write_them(a_shape):
    root = a_shape(NODULES)
    pipeline = Pipeline(root, "cpu")
    batch = pipeline.preprocess(NODULES.volumes())
    boxes = pipeline.run(batch)
    assert boxes["box"].shape == (len(boxes["label"]), 6)
    assert len(boxes["label_scores"]) == len(boxes["label"])
    assert "image" not in boxes
    regions = detections_of(pipeline.infer(batch)).regions()
    # Centres are the same points; the bundle writes them in LPS.
    found = {tuple(np.round(region.center * [-1, -1, 1])) for region in regions}
    assert {tuple(np.round(np.asarray(box[:3]))) for box in boxes["box"]} == found
    assert describe(root).task == "detect"


def test_a_pyramid_that_monai_makes_with_torchvision_needs_none(a_shape):
    pipeline = Pipeline(a_shape(PYRAMID), "cpu")
    assert len(detections_of(pipeline.infer(pipeline.preprocess(PYRAMID.volumes()))).scores) > 0
    image = torch.rand(1, 1, 16, 24, 20)
    resnet = pipeline.network.feature_extractor.body
    assert [name for name, _ in resnet.named_children()][-2:] == ["layer1", "layer2"], "what is not needed is left out"
    with torch.inference_mode():
        start = resnet.maxpool(resnet.act(resnet.bn1(resnet.conv1(image))))
        levels = [resnet.layer1(start), resnet.layer2(resnet.layer1(start))]
        torch.testing.assert_close(list(resnet(image).values()), levels)


def test_a_model_without_boxes_is_no_detector():
    with pytest.raises(BundleError, match="no boxes"):
        detections_of({"image": torch.zeros(1, 2, 2, 2), "pred": torch.zeros(3)})


def test_an_image_is_made_from_numbers_alone(a_shape):
    root = a_shape(HANDS)
    pipeline = Pipeline(root, "cpu")
    code = pipeline.latents.draw(1, seed=5)
    assert code.shape == (1, 8)
    assert 0 <= code.min() < code.max() <= 1, "the bundle draws its codes uniformly"
    sample = pipeline.infer(code)
    picture = pipeline.image(sample, "hand")
    expected = (torch.sigmoid(pipeline.network(code)[0, 0]) * 255).to(torch.uint8).numpy()
    np.testing.assert_array_equal(picture.array[0], expected.T)
    again = pipeline.image(pipeline.infer(pipeline.latents.draw(1, seed=5)), "hand")
    np.testing.assert_array_equal(again.array, picture.array)
    assert (
        pipeline.image(pipeline.infer(pipeline.latents.draw(1, seed=6)), "hand").array.tolist() != again.array.tolist()
    )
    assert describe(root).task == "synthesize"


def test_a_generator_takes_no_image(a_shape):
    pipeline = Pipeline(a_shape(HANDS), "cpu")
    with pytest.raises(InputError, match="takes no image"):
        pipeline.preprocess(NODULES.volumes())


def test_an_image_restored_by_a_network_keeps_its_values(a_shape):
    shape = Shape(
        UNET | {"out_channels": 1},
        [LOAD, SCALE],
        [],
        inferer={"_target_": "SimpleInferer"},
        task="Denoising",
        output={"type": "image", "format": "magnitude"},
        images=((16, 16, 16),),
    )
    root = a_shape(shape)
    pipeline = Pipeline(root, "cpu")
    sample = pipeline.infer(pipeline.preprocess(shape.volumes()))
    restored = pipeline.image(sample, "restored")
    np.testing.assert_array_equal(restored.array, sample["pred"][0].numpy().transpose(2, 1, 0))
    np.testing.assert_allclose(restored.affine, OBLIQUE, atol=1e-5)
    assert describe(root).task == "denoise"


PROMPTED = """
from monai.inferers import SimpleInferer

class Prompted(SimpleInferer):
    def __call__(self, inputs, network, points, labels=None):
        return network(inputs, points)
"""


@pytest.mark.parametrize(
    ("pre", "inferer", "reason"),
    [
        ([LOAD], {"_target_": "scripts.prompts.Prompted"}, "waits for points"),
        ([{"_target_": "LoadImage"}], {"_target_": "SimpleInferer"}, "loads no image through MONAI's LoadImaged"),
    ],
)
def test_a_bundle_that_needs_more_than_images_says_so_before_it_is_given_one(a_shape, pre, inferer, reason):
    root = a_shape(Shape(UNET, pre, [], inferer=inferer, scripts={"prompts.py": PROMPTED}))
    with pytest.raises(BundleFormatError, match=reason):
        Pipeline(root, "cpu")


def test_a_module_of_the_same_name_as_the_bundles_own_is_not_taken_for_it(a_shape, monkeypatch):
    root = a_shape(SEGMENTATIONS["network_in_scripts_of_its_own"])
    somebody_elses = ModuleType("scripts")
    monkeypatch.setitem(sys.modules, "scripts", somebody_elses)
    assert type(Pipeline(root, "cpu").network).__module__ == "scripts.networks.tiny"
    assert sys.modules["scripts"] is somebody_elses
    assert "scripts.networks" not in sys.modules


@pytest.mark.parametrize("text", ["softmax", "plain"])
def test_several_scores_are_told_from_one(a_shape, text):
    post = [SOFTMAX] if text == "softmax" else []
    shape = Shape(PICTURE.network, PICTURE.pre, post, inferer=PICTURE.inferer, images=PICTURE.images)
    pipeline = Pipeline(a_shape(shape), "cpu")
    sample = pipeline.infer(pipeline.preprocess(shape.volumes()))
    np.testing.assert_allclose(pipeline.probabilities(sample), torch.softmax(sample["pred"].double(), 0), atol=1e-6)
    json.dumps(pipeline.probabilities(sample).tolist())
