"""Bundles of the shapes that MONAI's Model Zoo has, in our own words, tiny and with seeded random weights.

What they take over from the Zoo is how its configurations are written: where loops of references lead, which parts are
expressions, what is in scripts of the bundle's own, what earlier versions of MONAI called things.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from medai.volume import Volume
from small_bundles import ARGMAX, INVERT, LOAD, OBLIQUE, SAVE, THREE, write_nifti

Part = dict[str, Any]
CPU_OR_CUDA = "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"
WINDOWS: Part = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 2, "overlap": 0.25}
SOFTMAX: Part = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
SIGMOID: Part = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
SCALE: Part = {"_target_": "ScaleIntensityd", "keys": "image"}
SPACING: Part = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"}
RAS: Part = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
FILES = "$list(sorted(glob.glob(@dataset_dir + '/*.nii')))"
EACH = "$[{'image': path} for path in @datalist]"
UNET: Part = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8]}
UNET = UNET | {"strides": [2], "norm": "instance"}


@dataclass
class Shape:
    """One bundle: what its configuration says, the files beside it, and the images it takes."""

    network: Part | str
    pre: list[Part]
    post: list[Part]
    inferer: Part = field(default_factory=lambda: dict(WINDOWS))
    labels: Mapping[str, str] = field(default_factory=lambda: THREE)
    task: str = "Segmentation of nothing in particular"
    output: Part = field(default_factory=lambda: {"type": "image", "format": "segmentation"})
    images: tuple[tuple[int, ...], ...] = ((14, 22, 18),)
    data: str = EACH
    extra: Part = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    beside: Callable[[Path], None] | None = None
    suffix: str = ".json"
    for_monai: Part = field(default_factory=dict)
    """Settings without which the installed MONAI, on a computer without a GPU, cannot run it."""

    def config(self) -> Part:
        return {
            "imports": ["$import glob", "$import os", "$import numpy"],
            "bundle_root": ".",
            "image_key": "image",
            "load_pretrain": True,
            "dataset_dir": "$@bundle_root + '/input'",
            "output_dir": "$@bundle_root + '/eval'",
            "datalist": FILES,
            "device": CPU_OR_CUDA,
            "network_def": self.network,
            "network": "$@network_def.to(@device)",
            "preprocessing": {"_target_": "Compose", "transforms": self.pre},
            "dataset": {"_target_": "Dataset", "data": self.data, "transform": "@preprocessing"},
            "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
            "inferer": self.inferer,
            "postprocessing": {"_target_": "Compose", "transforms": self.post},
            "handlers": [{"_target_": "StatsHandler", "iteration_log": False}],
            "evaluator": {
                "_target_": "SupervisedEvaluator",
                "device": "@device",
                "val_data_loader": "@dataloader",
                "network": "@network",
                "inferer": "@inferer",
                "postprocessing": "@postprocessing",
                "val_handlers": "@handlers",
                "amp": False,
            },
            "checkpointloader": {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
                "map_location": "@device",
            },
            "initialize": [
                "$setattr(torch.backends.cudnn, 'benchmark', True)",
                "$@checkpointloader(@evaluator) if @load_pretrain else None",
            ],
            "run": ["$@evaluator.run()"],
        } | self.extra

    def metadata(self) -> Part:
        tensor = {"num_channels": 1, "spatial_shape": ["*"] * 3, "dtype": "float32"}
        inputs = {"image": tensor | {"type": "image", "format": "magnitude"}}
        outputs = {"pred": tensor | self.output | {"num_channels": len(self.labels), "channel_def": dict(self.labels)}}
        versions = {"version": "0.1.0", "monai_version": "1.3.0", "pytorch_version": "2.2.0", "numpy_version": "1.26.0"}
        own = {"name": "Shape", "task": self.task, "description": "Random weights.", "authors": "Nobody"}
        formats = {"inputs": inputs, "outputs": outputs}
        return own | versions | {"copyright": "None", "network_data_format": formats}

    def volumes(self) -> tuple[Volume, ...]:
        """Waves and noise, so that a random network's labels form patches."""
        found = []
        for number, shape in enumerate(self.images):
            rng = np.random.default_rng(number)
            k, j, i = (
                np.linspace(-2, 2, n).reshape([-1 if a == b else 1 for b in range(3)]) for a, n in enumerate(shape[:3])
            )
            waves = 120 + 70 * np.sin(3 * i + number) * np.cos(2 * j) + 30 * np.sin(4 * k + i)
            array = waves[..., None] + 20 * rng.random([*shape[:3], shape[3] if len(shape) > 3 else 1])
            array = array if len(shape) > 3 else array[..., 0]
            found.append(Volume(array.astype(np.uint8 if len(shape) > 3 else np.int16), OBLIQUE, f"image {number}"))
        return tuple(found)


def write_shape(root: Path, shape: Shape) -> Path:
    """A bundle folder, as one downloads it, with its input where its configuration looks for it."""
    for folder in ("configs", "models", "input"):
        (root / folder).mkdir(parents=True)
    for name, text in shape.scripts.items():
        path = root / "scripts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in (path.parent, root / "scripts"):
            (folder / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    config = json.dumps(shape.config(), indent=1)
    text = config if shape.suffix == ".json" else yaml.safe_dump(json.loads(config), sort_keys=False)
    (root / "configs" / f"inference{shape.suffix}").write_text(text, encoding="utf-8")
    # Others of its configurations, which only make sense on top of it, lie beside.
    (root / "configs" / "multi_gpu_inference.json").write_text('{"device": "$1 / 0", "run": ["$1 / 0"]}')
    (root / "configs" / "metadata.json").write_text(json.dumps(shape.metadata()), encoding="utf-8")
    if shape.beside is not None:
        shape.beside(root)
    for number, volume in enumerate(shape.volumes()):
        write_nifti(volume, root / "input" / f"image{number}.nii")
    return root


def _search_result(root: Path) -> None:
    """What a search for an architecture leaves: which paths it takes (arrays of numbers, not tensors)."""
    import torch

    paths, operations, nodes = np.ones((2, 4)), np.full((2, 4), 2), np.ones((3, 2))
    torch.save({"paths": paths, "operations": operations, "nodes": nodes}, root / "models" / "found.pt")


NESTED_NETWORK = """
from monai.networks.blocks import Convolution
from torch import nn
from scripts.networks.head import Head

class Tiny(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.body = Convolution(3, in_channels, 6, norm="instance")
        self.head = Head(6, out_channels)

    def forward(self, x):
        return self.head(self.body(x))
"""
HEAD = """
from torch import nn

class Head(nn.Conv3d):
    def __init__(self, before, after):
        super().__init__(before, after, kernel_size=1, bias=False)
"""
PHASES = """
import torch
from monai.transforms import InvertibleTransform, MapTransform

class JoinPhases(MapTransform, InvertibleTransform):
    # Not as MONAI asks for: it neither calls the constructors nor has keys.
    def __init__(self, phases):
        self.phases = phases
        self.allow_missing_keys = True

    def __call__(self, data):
        return {**data, "image": torch.cat([data[key] for key in self.phases])}

    def inverse(self, data):
        return data

class Merge(MapTransform):
    def __call__(self, data):
        weights = torch.arange(1, len(data["pred"]) + 1).reshape(-1, 1, 1, 1)
        return {**data, "pred": (data["pred"] * weights).amax(dim=0, keepdim=True)}
"""

SEGMENTATIONS: dict[str, Shape] = {
    "four_sequences_merged_by_an_expression": Shape(
        network={"_target_": "SegResNet", "blocks_down": [1, 1], "blocks_up": [1], "init_filters": 8}
        | {"in_channels": 4, "out_channels": 3, "dropout_prob": 0.2},
        pre=[
            {"_target_": "LoadImaged", "keys": "@image_key", "image_only": False},
            {"_target_": "NormalizeIntensityd", "keys": "@image_key", "nonzero": True, "channel_wise": True},
        ],
        post=[
            SIGMOID,
            INVERT | {"meta_keys": "pred_meta_dict"},
            {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
            {"_target_": "Lambdad", "keys": "pred"}
            | {"func": "$lambda x: torch.amax(x * torch.tensor([1, 2, 4]).reshape(3, 1, 1, 1), 0, True)"},
            SAVE | {"output_dtype": "uint8", "meta_keys": "pred_meta_dict", "squeeze_end_dims": True},
        ],
        labels={"0": "core", "1": "whole", "2": "rim"},
        images=((14, 22, 18),) * 4,
        data="$[{'image': @datalist}]",
    ),
    "architecture_found_by_search": Shape(
        network={"_target_": "monai.networks.nets.DiNTS", "dints_space": "@space", "in_channels": 1, "num_classes": 3}
        | {"use_downsample": True, "node_a": "$torch.from_numpy(@found['nodes'])"},
        pre=[
            LOAD,
            RAS,
            {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 250}
            | {"b_min": 0, "b_max": 1, "clip": True},
        ],
        post=[SOFTMAX, INVERT, ARGMAX, SAVE],
        inferer=WINDOWS | {"roi_size": [32, 32, 32], "overlap": 0.625},
        extra={
            "found": "$torch.load(@bundle_root + '/models/found.pt', map_location=torch.device('cuda'))",
            "space": {
                "_target_": "monai.networks.nets.TopologyInstance",
                "channel_mul": 0.25,
                "num_blocks": 2,
                "num_depths": 2,
                "use_downsample": True,
                "arch_code": ["$@found['paths']", "$@found['operations']"],
                "device": "$torch.device('cuda')",
            },
        },
        beside=_search_result,
        suffix=".yaml",
        for_monai={
            "found": "$torch.load(@bundle_root + '/models/found.pt', weights_only=False)",
            "space::device": "$torch.device('cpu')",
        },
    ),
    "transformer_with_an_argument_of_an_earlier_monai": Shape(
        network={"_target_": "SwinUNETR", "spatial_dims": 3, "img_size": 64, "in_channels": 1, "out_channels": 3}
        | {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "use_checkpoint": False},
        pre=[LOAD | {"reader": "ITKReader"}, RAS, SCALE, {"_target_": "EnsureTyped", "keys": "image"}],
        post=[SOFTMAX, INVERT, ARGMAX, SAVE],
        inferer=WINDOWS | {"roi_size": [64, 64, 64]},
        for_monai={
            "network_def": {"_target_": "SwinUNETR", "spatial_dims": 3, "in_channels": 1, "out_channels": 3}
            | {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "use_checkpoint": False},
            "preprocessing::transforms::0::reader": "NibabelReader",
        },
    ),
    "network_in_scripts_of_its_own": Shape(
        network={"_target_": "scripts.networks.tiny.Tiny", "in_channels": 1, "out_channels": 3},
        pre=[LOAD, RAS, SPACING, SCALE],
        post=[SOFTMAX, INVERT, ARGMAX, SAVE],
        scripts={"networks/tiny.py": NESTED_NETWORK, "networks/head.py": HEAD},
    ),
    "three_phases_joined_by_a_script": Shape(
        network=UNET | {"in_channels": 3},
        pre=[
            {"_target_": "LoadImaged", "keys": ["early", "late", "last", "label"], "image_only": False},
            {"_target_": "EnsureChannelFirstd", "keys": ["early", "late", "last"]},
            {"_target_": "Spacingd", "keys": ["early", "late", "last"], "pixdim": [1.3, 1.2, 1.9], "mode": "bilinear"},
            {"_target_": "scripts.phases.JoinPhases", "phases": ["early", "late", "last"]},
            SCALE,
        ],
        post=[
            INVERT | {"transform": "$@preprocessing", "orig_keys": "early", "device": "@device"},
            SIGMOID | {"softmax": False},
            {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
            {"_target_": "scripts.phases.Merge", "keys": "pred"},
            SAVE,
            SAVE | {"keys": "label", "output_postfix": "truth"},
        ],
        images=((14, 22, 18),) * 3,
        data="$[dict(zip(['early', 'late', 'last'], @datalist)) | {'label': @datalist[0]}]",
        scripts={"phases.py": PHASES},
    ),
    "names_taken_from_monai_in_yaml": Shape(
        network=UNET | {"out_channels": "@num_classes"},
        pre=[],
        post=[SOFTMAX | {"keys": "@pred"}, ARGMAX | {"keys": "@pred"}, SAVE | {"keys": "@pred", "dtype": "$None"}],
        inferer={"_target_": "SlidingWindowInfererAdapt", "roi_size": [16, 16, 16], "overlap": 0.25},
        extra={
            "image": "$monai.utils.CommonKeys.IMAGE",
            "pred": "$monai.utils.CommonKeys.PRED",
            "num_classes": 3,
            "ckpt_path": "$@bundle_root + '/models/model.pt'",
            "transforms": [LOAD | {"keys": "@image"}, SCALE | {"keys": "@image"}],
            "preprocessing": {"_target_": "Compose", "transforms": "$@transforms"},
            "handlers": [
                {"_target_": "CheckpointLoader", "_disabled_": "$not os.path.exists(@ckpt_path)"}
                | {"load_path": "@ckpt_path", "load_dict": {"model": "@network"}},
                {"_target_": "StatsHandler", "name": None, "output_transform": "$lambda x: None"},
            ],
            "initialize": None,
        },
        suffix=".yaml",
    ),
    "settings_to_choose_from": Shape(
        network=UNET,
        pre=[
            {"_target_": "LoadImaged", "keys": "@image_key", "_disabled_": "@choices#raw"},
            {"_target_": "LoadImaged", "keys": "@image_key", "reader": "itkreader", "_disabled_": "$not @choices#raw"},
            {"_target_": "EnsureChannelFirstd", "keys": "@image_key", "channel_dim": "no_channel"},
            RAS,
            SPACING | {"pixdim": "@pixdim"},
            {"_target_": "NormalizeIntensityd", "keys": "@image_key", "nonzero": True},
        ],
        post=[SOFTMAX, ARGMAX, INVERT | {"nearest_interp": True}, SAVE | {"output_dtype": "$numpy.float32"}],
        inferer=WINDOWS
        | {"overlap": "@choices#overlap", "padding_mode": "replicate", "mode": "gaussian"}
        | {"device": CPU_OR_CUDA},
        extra={
            "choices": {"fine": True, "raw": False, "overlap": 0.5},
            "pixdim": "$[1.5, 1.5, 2.0] if @choices#fine else [3.0, 3.0, 3.0]",
        },
    ),
    "labels_interpolated_as_if_they_were_grey": Shape(
        network=UNET,
        pre=[LOAD, RAS, SPACING, SCALE],
        post=[ARGMAX, INVERT, SAVE | {"output_dtype": "$numpy.float32"}],
        for_monai={"postprocessing::transforms::1::nearest_interp": True},
    ),
}
