"""A small bundle that makes images with labels out of random numbers, with weights that a test can follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zoo_shapes import Shape, write_shape

LENGTH = 4
SIZE = (4, 6, 5)


def write_generator(root: Path, *, labels: bool = True, conditions: tuple[str, ...] = (), planar: bool = False) -> Path:
    """Images whose first voxels are the first numbers of the code, and whose label is where the image is bright.

    Parameters
    ----------
    root : Path
        Folder to make; its name is the model's.
    labels : bool
        Whether label maps come with the images.
    conditions : tuple of str
        What it can be asked for; the next voxels tell for which it was.
    planar : bool
        Pictures of one slice.
    """
    import torch

    size = SIZE[:2] if planar else SIZE
    inputs, channels, voxels = LENGTH + len(conditions), 3 if labels else 1, 24 if planar else 120
    spacing = [1.0, 2.0, 3.0]
    affine = [[spacing[0], 0, 0, -10], [0, spacing[1], 0, 20], [0, 0, spacing[2], 30], [0, 0, 0, 1]]
    tensor = "monai.data.MetaTensor(d['pred'][{}], affine=torch.tensor({}, dtype=torch.float64))"
    parts = [f"'pred': {tensor.format(':1', affine)}"]
    steps: list[Any] = []
    saving: list[Any] = [{"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "resample": False}]
    if labels:
        parts.append(f"'label': {tensor.format('1:', affine)}")
        steps.append({"_target_": "AsDiscreted", "keys": "label", "argmax": True})
        saving.append({**saving[0], "keys": "label", "output_postfix": "seg", "output_dtype": "$numpy.uint8"})
    place = ", ".join(["torch.randn(4)", *(["torch.eye(2)[0]"] if conditions else [])])
    config = {
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cpu')",
        "linear": {"_target_": "torch.nn.Linear", "in_features": inputs, "out_features": channels * voxels},
        "folded": f"$monai.networks.layers.Reshape({channels}, {', '.join(map(str, size))})",
        "last": {"_target_": f"torch.nn.Conv{len(size)}d", "in_channels": channels, "out_channels": channels}
        | {"kernel_size": 1},
        "network_def": "$torch.nn.Sequential(@linear, @folded, @last)",
        "network": "$@network_def.to(@device)",
        "dataset": {"_target_": "Dataset", "data": f"$[torch.cat(({place},)) for _ in range(2)]"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [f"$lambda d: {{**d, {', '.join(parts)}}}", *steps, *saving],
        },
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "postprocessing": "@postprocessing",
            "prepare_batch": "$lambda batchdata, *_, **__: (batchdata.to(@device), None, (), {})",
            "val_handlers": [
                {
                    "_target_": "CheckpointLoader",
                    "load_path": "$@bundle_root + '/models/model.pt'",
                    "load_dict": {"model": "@network"},
                }
            ],
        },
        "run": ["$@evaluator.run()"],
    }
    own = {"title": "Dreamer", "task": "synthesize", "modality": "MR", "conditions": list(conditions)}
    if labels:
        own["segments"] = [{"label": 1, "name": "bright"}, {"label": 2, "name": "never"}]
    metadata = {
        "version": "1.0.0",
        "name": "Dreamer",
        "task": "Making images",
        "network_data_format": {
            "inputs": {"latent": {"type": "latent", "format": "latent", "spatial_shape": [inputs]}},
            "outputs": {"pred": {"type": "image", "format": "magnitude", "num_channels": channels}},
        },
        "medai": own,
    }
    for name in ("configs", "models", "docs"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    linear = torch.zeros(channels, voxels, inputs)
    linear[0, :inputs] = torch.eye(inputs)
    last = torch.zeros(channels, channels)
    last[0, 0] = 1
    if labels:
        last[2, 0] = 1  # beside a background of 0: label 1 where the image is positive
    state = {
        "0.weight": linear.reshape(-1, inputs),
        "0.bias": torch.zeros(channels * voxels),
        "2.weight": last.reshape(channels, channels, *[1] * len(size)),
        "2.bias": torch.zeros(channels),
    }
    torch.save(state, root / "models" / "model.pt")
    return root


def write_dreamer(root: Path, *, strides: tuple[int, int]) -> Path:
    """A bundle with MONAI's own generator, as the Model Zoo writes them: random pictures, always the same weights.

    Parameters
    ----------
    root : Path
        Folder to make; its name is the model's.
    strides : (int, int)
        How much larger each of its layers makes pictures of 4 pixels along an edge.
    """
    import torch
    from monai.bundle import ConfigParser

    network = {"_target_": "Generator", "latent_shape": [4], "start_shape": [2, 4, 4], "channels": [2, 1]}
    shape = Shape(
        network=network | {"strides": list(strides)},
        pre=[],
        post=[{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}],
        inferer={"_target_": "SimpleInferer"},
        task="Pictures of nothing made by a GAN",
        output={"type": "image", "format": "magnitude"},
        images=(),
        extra={
            "preprocessing": None,
            "evaluator": {
                "_target_": "SupervisedEvaluator",
                "network": "@network",
                "postprocessing": "@postprocessing",
                "prepare_batch": "$lambda batchdata, *_, **__: (batchdata.to(@device), None, (), {})",
            },
        },
    )
    write_shape(root, shape)
    torch.manual_seed(0)
    made = ConfigParser({"network": shape.network}).get_parsed_content("network")
    (root / "models").mkdir(exist_ok=True)
    torch.save(made.state_dict(), root / "models" / "model.pt")
    return root
