"""A detector for tests whose right answer is known: it puts a box of one size around every bright cell of its grid."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medai.bundles import trust

CELL = 4
"""Voxels along an edge: the network looks at one such cell after the other."""

_SPOTS = """
import torch
from torch import nn


class Spots(nn.Module):
    cls_key, box_reg_key = "classification", "box_regression"

    def __init__(self, spatial_dims, num_classes, cell):
        super().__init__()
        self.spatial_dims, self.num_classes, self.size_divisible, self.cell = spatial_dims, num_classes, cell, cell
        self.num_anchors = 1
        self.steepness = nn.Parameter(torch.tensor(8.0))
        self.halves = nn.Parameter(torch.tensor([0.5] * num_classes))
        self.mean = (nn.Conv2d, nn.Conv3d)[spatial_dims - 2](1, 1, cell, stride=cell, bias=False)

    def forward(self, images):
        mean = self.mean(images)
        middle = self.halves.reshape(1, -1, *[1] * self.spatial_dims)
        moved = torch.zeros(len(mean), 2 * self.spatial_dims, *mean.shape[2:])
        return {self.cls_key: [self.steepness * (mean - middle)], self.box_reg_key: [moved]}
"""


@dataclass
class Spots:
    """One detector. Scores are ``sigmoid(8 * (mean / 100 - half))`` of the mean of a cell.

    Parameters
    ----------
    dimensions : int
    classes : tuple of str
    halves : tuple of float
        Per class, a hundredth of the mean brightness that gets the score 0.5.
    edge : int
        Of the boxes, in voxels; larger than `CELL`, boxes of neighbouring cells overlap.
    operating_point : dict of str to float
        Threshold by class.
    nms : float
        The model's own suppression.
    axcodes : str
        Onto which axes it turns the image; empty to leave it.
    """

    dimensions: int = 3
    classes: tuple[str, ...] = ("spot",)
    halves: tuple[float, ...] = (0.5,)
    edge: int = CELL
    operating_point: dict[str, float] | None = None
    nms: float = 0.9
    axcodes: str = "RAS"

    def write(self, root: Path) -> Path:
        """Write the bundle and trust it, for it has a network of its own."""
        for name in ("configs", "models", "scripts", "docs"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "scripts" / "__init__.py").write_text("", encoding="utf-8")
        (root / "scripts" / "spots.py").write_text(_SPOTS, encoding="utf-8")
        for name, content in (("inference", self._inference()), ("metadata", self._metadata(root.name))):
            (root / "configs" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        mean = torch.full((1, 1, *[CELL] * self.dimensions), 1 / CELL**self.dimensions)
        weights = {"steepness": torch.tensor(8.0), "halves": torch.tensor(self.halves), "mean.weight": mean}
        torch.save(weights, root / "models" / "model.pt")
        trust.trust(root)
        return root

    def _inference(self) -> dict[str, Any]:
        turned = {"_target_": "Orientationd", "keys": "image", "axcodes": self.axcodes}
        selection = f"score_thresh=0.01,nms_thresh={self.nms},detections_per_img=100"
        return {
            "bundle_root": ".",
            "device": "$torch.device('cpu')",
            "network_def": {"_target_": "scripts.spots.Spots", "spatial_dims": self.dimensions}
            | {"num_classes": len(self.classes), "cell": CELL},
            "network": "$@network_def.to(@device)",
            "anchors": {
                "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
                "feature_map_scales": [1],
                "base_anchor_shapes": [[self.edge] * self.dimensions],
            },
            "detector_def": {
                "_target_": "RetinaNetDetector",
                "network": "@network",
                "anchor_generator": "@anchors",
            },
            "detector": "$@detector_def.eval()",
            "detector_ops": [
                "$@detector.set_target_keys(box_key='box', label_key='label')",
                f"$@detector.set_box_selector_parameters({selection})",
            ],
            "preprocessing": {
                "_target_": "Compose",
                "transforms": [
                    {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
                    *([turned] if self.axcodes and self.dimensions == 3 else []),
                    {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0.0, "a_max": 100.0}
                    | {"b_min": 0.0, "b_max": 1.0},
                ],
            },
            "inferer": "$lambda image, network, *args, **kwargs: @detector(image)",
            "evaluator": {
                "_target_": "SupervisedEvaluator",
                "_requires_": "@detector_ops",
                "device": "@device",
                "network": "@network",
                "inferer": "@inferer",
                "val_data_loader": [],
                "decollate": False,
            },
        }

    def _metadata(self, name: str) -> dict[str, Any]:
        points = [{"name": key, "threshold": value} for key, value in (self.operating_point or {}).items()]
        size = [f"{CELL}*n"] * self.dimensions
        image = {"type": "image", "format": "magnitude", "num_channels": 1, "spatial_shape": size, "dtype": "float32"}
        boxes = {"type": "object", "format": "dict", "num_channels": len(self.classes)}
        return {
            "version": "1.2.3",
            "name": name,
            "task": "Detection of bright spots",
            "license": "CC0",
            "network_data_format": {
                "inputs": {"image": {**image, "channel_def": {"0": "image"}}},
                "outputs": {"pred": {**boxes, "channel_def": {str(n): c for n, c in enumerate(self.classes)}}},
            },
            "medai": {"task": "detect", **({"operating_point": points} if points else {})},
        }
