"""MONAI bundles for tests, small enough to run in a moment: of many shapes with seeded random weights, or with weights
set by hand so that the right labels are known."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import yaml

from medai.volume import Volume

# Oblique, left-handed and anisotropic at once, about 1.1 x 0.9 x 2.3 mm.
OBLIQUE = np.array([[-0.95, 0.18, 0.35, 31.0], [0.25, 0.85, -0.55, -12.5], [0.30, 0.22, 2.20, 4.75], [0, 0, 0, 1]])

SAVE = {
    "_target_": "SaveImaged",
    "keys": "pred",
    "output_dir": "@output_dir",
    "output_postfix": "seg",
    "output_dtype": "$numpy.uint8",
    "separate_folder": False,
    "resample": False,
}
INVERT = {
    "_target_": "Invertd",
    "keys": "pred",
    "transform": "@preprocessing",
    "orig_keys": "image",
    "nearest_interp": False,
    "to_tensor": True,
}
LOAD = {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True}
ARGMAX = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}


def unet(dimensions: int, channels: int, outputs: int) -> dict[str, Any]:
    return {
        "_target_": "UNet",
        "spatial_dims": dimensions,
        "in_channels": channels,
        "out_channels": outputs,
        "channels": [4, 8],
        "strides": [2],
        "norm": "instance",
    }


@dataclass
class Recipe:
    """One bundle: its network, transforms, inferer, and the images it takes."""

    network: dict[str, Any]
    pre: list[dict[str, Any]]
    post: list[dict[str, Any]]
    inferer: dict[str, Any]
    labels: dict[str, str]
    shapes: tuple[tuple[int, ...], ...] = ((14, 22, 18),)
    datalist: str = "$[{'image': path} for path in sorted(glob.glob(os.path.join(@dataset_dir, '*.nii')))]"
    suffix: str = ".json"
    seed: int = 7
    extra: dict[str, Any] | None = None
    scale_and_offset: tuple[tuple[float, float], ...] | None = None
    """Weight and bias per output channel of a network that is one 1x1x1 convolution."""
    even: bool = False
    """Whether all weights of the network are the same, with a sum of 1 for each output: it takes means."""
    about: dict[str, Any] | None = None
    """Laid over the metadata."""
    inputs: dict[str, Any] | None = None
    """Laid over the metadata of the input."""
    licence: str = ""
    """Content of the file LICENSE; with one comes a docs/README.md."""

    @property
    def channels(self) -> int:
        return int(self.network.get("in_channels", 1))

    def config(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "imports": ["$import glob", "$import os", "$import numpy"],
            "bundle_root": ".",
            "dataset_dir": "$@bundle_root + '/input'",
            "output_dir": "$@bundle_root + '/eval'",
            "device": "$torch.device('cpu')",
            "datalist": self.datalist,
            "network_def": self.network,
            "network": "$@network_def.to(@device)",
            "preprocessing": {"_target_": "Compose", "transforms": self.pre},
            "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
            "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
            "inferer": self.inferer,
            "postprocessing": {"_target_": "Compose", "transforms": self.post},
            "handlers": [
                {
                    "_target_": "CheckpointLoader",
                    "load_path": "$@bundle_root + '/models/model.pt'",
                    "load_dict": {"model": "@network"},
                    "map_location": "@device",
                }
            ],
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
            "run": ["$@evaluator.run()"],
        }
        return copy.deepcopy(content | (self.extra or {}))

    def metadata(self) -> dict[str, Any]:
        dimensions = int(self.network.get("spatial_dims", 3))
        tensor = {"type": "image", "format": "magnitude", "spatial_shape": ["8*n"] * dimensions, "dtype": "float32"}
        plain = {
            "name": "Test bundle",
            "version": "0.0.1",
            "monai_version": "1.5.0",
            "pytorch_version": "2.4.0",
            "numpy_version": "1.26.0",
            "task": "Segmentation of nothing in particular",
            "description": "Random weights.",
            "authors": "Nobody",
            "copyright": "None",
            "references": ["A. Nobody, Journal of Random Weights, 2024"],
            "network_data_format": {
                "inputs": {"image": tensor | {"num_channels": self.channels} | (self.inputs or {})},
                "outputs": {
                    "pred": tensor
                    | {
                        "format": "segmentation",
                        "num_channels": int(self.network["out_channels"]),
                        "channel_def": self.labels,
                    }
                },
            },
        }
        return copy.deepcopy(plain | (self.about or {}))


THREE = {"0": "background", "1": "core", "2": "rim"}
RECIPES: dict[str, Recipe] = {
    "plane": Recipe(
        network=unet(2, 1, 3),
        pre=[LOAD, {"_target_": "ScaleIntensityd", "keys": "image"}],
        post=[ARGMAX, SAVE],
        inferer={"_target_": "SimpleInferer"},
        labels=THREE,
        shapes=((1, 24, 32),),
    ),
    "spacing_orientation": Recipe(
        network=unet(3, 1, 3),
        pre=[
            LOAD,
            {"_target_": "Orientationd", "keys": "image", "axcodes": "LPS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [1.3, 1.2, 1.6], "mode": "bilinear"},
            {"_target_": "ScaleIntensityRangePercentilesd", "keys": "image", "lower": 1, "upper": 99}
            | {"b_min": 0.0, "b_max": 1.0, "clip": True},
            {"_target_": "CropForegroundd", "keys": "image", "source_key": "image", "margin": 1},
            {"_target_": "EnsureTyped", "keys": "image"},
        ],
        post=[INVERT, ARGMAX, SAVE],
        inferer={"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 4}
        | {"overlap": 0.5, "mode": "gaussian"},
        labels=THREE,
    ),
    "two_channels_overlapping_labels": Recipe(
        network=unet(3, 2, 3),
        pre=[
            LOAD,
            {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True, "channel_wise": True},
        ],
        post=[
            {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
            INVERT,
            {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
            SAVE,
        ],
        inferer={"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 1, "overlap": 0.25},
        labels={"0": "tumour core", "1": "whole tumour", "2": "enhancing tumour"},
        shapes=((14, 22, 18), (14, 22, 18)),
        datalist="$[{'image': sorted(glob.glob(os.path.join(@dataset_dir, '*.nii')))}]",
    ),
    "deep_supervision_yaml": Recipe(
        network={
            "_target_": "DynUNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 2,
            "kernel_size": [3, 3, 3],
            "strides": [1, 2, 2],
            "upsample_kernel_size": [2, 2],
            "filters": [4, 8, 8],
            "norm_name": ["INSTANCE", {"affine": True}],
            "deep_supervision": True,
            "deep_supr_num": 1,
        },
        pre=[
            {"_target_": "LoadImaged", "keys": "@key", "image_only": False},
            {"_target_": "EnsureChannelFirstd", "keys": "@key"},
            {"_target_": "Orientationd", "keys": "@key", "axcodes": "RAS"},
            {"_target_": "NormalizeIntensityd", "keys": "@key"},
        ],
        post=[
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            INVERT,
            ARGMAX,
            SAVE | {"output_dtype": "$numpy.float32", "squeeze_end_dims": False},
        ],
        inferer={"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 2, "overlap": 0.3},
        labels={"0": "background", "1": "lesion"},
        suffix=".yaml",
        extra={"key": "image"},
    ),
    "saving_resamples": Recipe(
        network=unet(3, 1, 3),
        pre=[
            LOAD,
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 1.5, 1.5], "mode": "bilinear"},
            {"_target_": "ScaleIntensityd", "keys": "image"},
        ],
        post=[ARGMAX, SAVE | {"resample": True}],
        inferer={"_target_": "SlidingWindowInferer", "roi_size": [16, 16, -1], "sw_batch_size": 4, "mode": "gaussian"},
        labels=THREE,
    ),
    "components": Recipe(
        network=unet(3, 2, 1),
        pre=[LOAD, {"_target_": "NormalizeIntensityd", "keys": "image"}, {"_target_": "ToTensord", "keys": "image"}],
        post=[
            {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
            {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
            SAVE,
        ],
        inferer={"_target_": "SliceInferer", "roi_size": [16, 16], "sw_batch_size": 3, "spatial_dim": 2},
        labels={"0": "vessel"},
        shapes=((6, 16, 24, 2),),
    ),
    "two_loaders": Recipe(
        network=unet(3, 2, 3),
        pre=[
            {"_target_": "LoadImaged", "keys": ["t1", "t2"], "ensure_channel_first": True},
            {"_target_": "Spacingd", "keys": ["t1", "t2"], "pixdim": [1.5, 1.5, 2.0], "mode": ["bilinear", "nearest"]},
            {"_target_": "ScaleIntensityd", "keys": ["t1", "t2"]},
            {"_target_": "ConcatItemsd", "keys": ["t1", "t2"], "name": "image"},
            {"_target_": "DivisiblePadd", "keys": "image", "k": 8},
        ],
        post=[INVERT | {"orig_keys": "t1", "nearest_interp": True}, ARGMAX, SAVE],
        inferer={"_target_": "SimpleInferer"},
        labels=THREE,
        shapes=((14, 22, 18), (14, 22, 18)),
        datalist="$[dict(zip(['t1', 't2'], sorted(glob.glob(os.path.join(@dataset_dir, '*.nii')))))]",
    ),
    # Labels follow from the voxel's value alone: 1 above 100, 2 above 200.
    "threshold": Recipe(
        network={"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 3, "kernel_size": 1},
        pre=[LOAD],
        post=[ARGMAX, SAVE],
        inferer={"_target_": "SlidingWindowInferer", "roi_size": [8, 8, 8], "sw_batch_size": 2, "overlap": 0.25},
        labels={"0": "background", "1": "grey", "2": "white"},
        scale_and_offset=((0, 0), (1, -100.5), (2, -301)),
    ),
    # The same thresholds, but 2 lies inside 1.
    "overlapping_thresholds": Recipe(
        network={"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 2, "kernel_size": 1},
        pre=[LOAD],
        post=[{"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.0}, SAVE],
        inferer={"_target_": "SimpleInferer"},
        labels={"0": "whole", "1": "core"},
        scale_and_offset=((1, -100.5), (1, -200.5)),
    ),
    "plane_threshold": Recipe(
        network={"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": 1} | {"bias": True},
        pre=[LOAD],
        post=[ARGMAX, SAVE],
        inferer={"_target_": "SimpleInferer"},
        labels={"0": "background", "1": "bright"},
        scale_and_offset=((0, 0), (1, -100.5)),
        shapes=((1, 24, 32),),
    ),
}
TINY = Recipe(
    network=unet(3, 1, 3) | {"channels": [8, 8]},
    pre=[LOAD, {"_target_": "NormalizeIntensityd", "keys": "image"}],
    post=[ARGMAX, SAVE],
    inferer={"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "overlap": 0.25},
    labels={"0": "background", "1": "left thing", "2": "right thing"},
    about={"name": "Tiny", "version": "0.3.0", "description": "Tells nothing, quickly.", "authors": "A. Test"}
    | {"medai": {"mirror_axes": [0, 1, 2]}},
    inputs={"modality": "MR"},
    licence="Apache License 2.0",
)
PAIR = replace(TINY, network=TINY.network | {"in_channels": 2})
KIDNEY = Recipe(
    network=unet(3, 1, 3),
    pre=[LOAD, {"_target_": "ScaleIntensityd", "keys": "image"}],
    post=[{"_target_": "Activationsd", "keys": "pred", "softmax": True}, ARGMAX, SAVE],
    inferer={"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "overlap": 0.25},
    labels={"0": "background", "1": "kidney", "2": "tumor_core"},
    extra={
        "initialize": ["$monai.utils.set_determinism(seed=123)", "$setattr(torch.backends.cudnn, 'benchmark', True)"]
    },
    about={
        "name": "Tiny kidney model",
        "version": "0.2.0",
        "task": "Kidney segmentation",
        "authors": "A. Tester",
        "references": ["A. Tester. How to test. 2024."],
    },
    inputs={"modality": "MR", "channel_def": {"0": "image"}},
    licence="Apache License\nVersion 2.0, January 2004\n",
)
"""Models for the command line (of one image, of two of one patient) and for what is done to a model's files."""

# The slices of a volume go through a two-dimensional network.
RECIPES["components"].network["spatial_dims"] = 2


def images_for(recipe: Recipe) -> tuple[Volume, ...]:
    """Smooth blobs and noise, so that a random network's labels form patches with many borders."""
    volumes = []
    for number, shape in enumerate(recipe.shapes):
        rng = np.random.default_rng([recipe.seed, number])
        grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[:3]), indexing="ij"))
        center = rng.uniform(-0.4, 0.4, (3, 1, 1, 1))
        blob = np.exp(-4 * ((grid - center) ** 2).sum(axis=0))
        array = 800 * blob + 120 * rng.random(shape[:3]) + 300 * np.sin(5 * grid[2] + 3 * grid[1])
        if len(shape) == 4:
            array = np.stack([array * (c + 1) + 50 * rng.random(shape[:3]) for c in range(shape[3])], axis=-1)
        dtype = (np.int16, np.float32)[number % 2]
        volumes.append(Volume(array.astype(dtype), OBLIQUE, f"image {number}", "MR"))
    return tuple(volumes)


def write_bundle(root: Path, recipe: Recipe) -> Path:
    """A bundle folder, ready for ``python -m monai.bundle run``."""
    import torch
    from monai.bundle import ConfigParser

    for folder in ("configs", "models", "input"):
        (root / folder).mkdir(parents=True)
    config = recipe.config()
    text = json.dumps(config, indent=1) if recipe.suffix == ".json" else _plain_yaml(config)
    (root / "configs" / f"inference{recipe.suffix}").write_text(text, encoding="utf-8")
    (root / "configs" / "metadata.json").write_text(json.dumps(recipe.metadata()), encoding="utf-8")
    torch.manual_seed(recipe.seed)
    network = ConfigParser({"network_def": recipe.network}).get_parsed_content("network_def")
    with torch.no_grad():
        for parameter in network.parameters():
            if recipe.even:
                parameter.fill_(len(parameter) / parameter.numel())
            elif recipe.scale_and_offset is not None:
                values = torch.tensor([pair[0 if parameter.ndim > 1 else 1] for pair in recipe.scale_and_offset])
                parameter.copy_(values.reshape([-1] + [1] * (parameter.ndim - 1)))
            elif parameter.ndim == 1:
                # A random bias would decide for one label everywhere.
                parameter.copy_(torch.ones_like(parameter) if parameter.sum() == len(parameter) else parameter * 0)
    torch.save(network.state_dict(), root / "models" / "model.pt")
    if recipe.licence:
        (root / "LICENSE").write_text(recipe.licence, encoding="utf-8")
        (root / "docs").mkdir()
        (root / "docs" / "README.md").write_text("A tiny model.\n", encoding="utf-8")
    return root


def _plain_yaml(config: dict[str, Any]) -> str:
    # Without aliases, as people write it.
    return yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False)


def write_nifti(volume: Volume, path: Path) -> None:
    """As any other program would: axes i, j, k; a single slice as a two-dimensional image where asked for."""
    array = np.moveaxis(volume.array, (0, 1, 2), (2, 1, 0))
    if array.shape[2] == 1 and array.ndim == 3:
        array = array[:, :, 0]
    nibabel.save(nibabel.Nifti1Image(np.asfortranarray(array), volume.affine), path)
