"""``inference.json`` and ``evaluate.json``: nothing beyond MONAI, so that nobody needs to trust it."""

from __future__ import annotations

from typing import Any

from medai.training.recipe.networks import network
from medai.training.recipe.plan import Plan
from medai.training.recipe.preprocessing import centring, geometry, scaling

Config = dict[str, Any]
WEIGHTS = "$@bundle_root + '/models/model.pt'"

# A straight line leads back from what the network saw to the image's own scale: it keeps means and deviations.
_BACK = (
    "$lambda d: {**d, 'pred': (d['pred'] - d['image'].mean()) * (d['raw'].std() / d['image'].std()) + d['raw'].mean()}"
)
_PAIR = "$monai.handlers.from_engine(['pred', 'label'])"


def network_def(plan: Plan) -> Config:
    """The plan's network."""
    chosen = plan.parameters
    config = network(
        chosen.network,
        plan.patch,
        plan.channels,
        plan.outputs,
        width=chosen.width,
        dropout=chosen.dropout,
        norm="batch" if plan.task == "denoise" else "instance",
    )
    if plan.task == "denoise" and chosen.network != "autoencoder":
        # It learns the noise alone, which is easier (Zhang et al., IEEE TIP 2017); an autoencoder is to have a code.
        return {"_target_": "SkipConnection", "submodule": config, "mode": "add"}
    return config


def inferer(plan: Plan) -> Config:
    """Windows of the training's patches: others cost accuracy, for norms would see other surroundings."""
    if plan.task == "classify":
        return {"_target_": "SimpleInferer"}
    return {
        "_target_": "SlidingWindowInferer",
        "roi_size": list(plan.patch),
        "sw_batch_size": 1 if plan.dimensions == 3 else 4,
        "overlap": 0.5,
        "mode": "gaussian",
    }


def inference_config(plan: Plan) -> Config:
    """From an image file to its result."""
    image = ["image"]
    raw = [{"_target_": "CopyItemsd", "keys": "image", "names": "raw"}] if plan.task == "denoise" else []
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/input'",
        "output_dir": "$@bundle_root + '/eval'",
        "image_pattern": "*.*" if plan.dimensions == 2 else "*.nii*",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "datalist": "$[{'image': path} for path in sorted(glob.glob(os.path.join(@dataset_dir, @image_pattern)))]",
        "network_def": network_def(plan),
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
                *geometry(plan, image),
                *raw,
                *scaling(plan),
                *centring(plan),
                {"_target_": "EnsureTyped", "keys": "image"},
            ],
        },
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": inferer(plan),
        "postprocessing": {"_target_": "Compose", "transforms": [*finishing(plan), *_saving(plan)]},
        "handlers": [_load_weights()],
        "evaluator": _evaluator(),
        "initialize": [f"$monai.utils.set_determinism(seed={plan.parameters.seed})"],
        "run": ["$@evaluator.run()"],
    }


def finishing(plan: Plan) -> list[Config]:
    """What is made of the network's output."""
    invert = {
        "_target_": "Invertd",
        "keys": "pred",
        "transform": "@preprocessing",
        "orig_keys": "image",
        "nearest_interp": False,
        "to_tensor": True,
    }
    if plan.task == "classify":
        return [{"_target_": "Activationsd", "keys": "pred", **activation(plan)}]
    if plan.task == "denoise":
        return [_BACK, *([invert] if plan.dimensions == 3 else [])]  # type: ignore[list-item]
    return [*([invert] if plan.dimensions == 3 else []), {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}]


def activation(plan: Plan) -> Config:
    """Findings are probable each for itself, classes against each other."""
    return {"sigmoid": True} if plan.multi_label else {"softmax": True}


def evaluate_config(plan: Plan) -> Config:
    """Laid over ``inference.json``: scores of the model on images that have labels, in folders side by side."""
    if plan.task != "segment":
        return {}
    count = plan.outputs
    # The labels keep the file's own numbers and grid, and are compared there.
    mapped = [list(plan.classes), list(range(1, count))]
    numbering = {"_target_": "MapLabelValued", "keys": "label", "orig_labels": [0, *mapped[0]]}
    metric = {"include_background": False, "output_transform": _PAIR}
    return {
        "imports": ["$import glob", "$import os"],
        "images": "$sorted(glob.glob(os.path.join(@dataset_dir, 'images', @image_pattern)))",
        "labels": "$sorted(glob.glob(os.path.join(@dataset_dir, 'labels', @image_pattern)))",
        "datalist": "$[{'image': image, 'label': label} for image, label in zip(@images, @labels)]",
        "label_loading": [
            {"_target_": "LoadImaged", "keys": "label", "ensure_channel_first": True},
            {**numbering, "target_labels": [0, *mapped[1]]},
        ],
        "dataset": {
            "_target_": "Dataset",
            "data": "@datalist",
            "transform": {"_target_": "Compose", "transforms": "$[@preprocessing] + @label_loading"},
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                *finishing(plan)[:-1],
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True, "to_onehot": count},
                {"_target_": "AsDiscreted", "keys": "label", "to_onehot": count},
            ],
        },
        "handlers": [
            _load_weights(),
            {"_target_": "StatsHandler", "iteration_log": False},
            {
                "_target_": "MetricsSaver",
                "save_dir": "@output_dir",
                "metrics": ["dice"],
                "metric_details": ["dice"],
                "batch_transform": "$lambda batch: [item['image'].meta for item in batch]",
                "summary_ops": "*",
            },
        ],
        "evaluator": {**_evaluator(), "key_val_metric": {"dice": {"_target_": "MeanDice", **metric}}},
        "run": ["$os.makedirs(@output_dir, exist_ok=True)", "$@evaluator.run()"],
    }


def _saving(plan: Plan) -> list[Config]:
    if plan.task == "classify":
        return []
    saving: Config = {
        "_target_": "SaveImaged",
        "keys": "pred",
        "output_dir": "@output_dir",
        "output_postfix": "seg" if plan.task == "segment" else "denoised",
        "output_dtype": "$numpy.uint8" if plan.task == "segment" and plan.outputs < 256 else "$numpy.float32",
        "separate_folder": False,
        "resample": False,
    }
    if plan.dimensions == 2 and plan.task == "segment":
        saving["output_ext"] = ".png"
    return [saving]


def _load_weights() -> Config:
    return {
        "_target_": "CheckpointLoader",
        "load_path": WEIGHTS,
        "load_dict": {"model": "@network"},
        "map_location": "@device",
    }


def _evaluator() -> Config:
    return {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "val_data_loader": "@dataloader",
        "network": "@network",
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
        "val_handlers": "@handlers",
        "amp": False,
    }
