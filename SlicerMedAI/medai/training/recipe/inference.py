"""``inference.json``: nothing that anybody would need to trust, so little beyond MONAI."""

from __future__ import annotations

from typing import Any

from medai.training.recipe import detection, forecasting
from medai.training.recipe.adversaries import generator_def
from medai.training.recipe.chosen_steps import cleaning
from medai.training.recipe.courses import ForecastPlan
from medai.training.recipe.members import apart, together
from medai.training.recipe.networks import network
from medai.training.recipe.noise import sees_far
from medai.training.recipe.orientations import inferer_of_positions, views
from medai.training.recipe.plan import Plan
from medai.training.recipe.preprocessing import centring, geometry, scaling

Config = dict[str, Any]
WEIGHTS = "$@bundle_root + '/models/model.pt'"

# A straight line leads back from what the network saw to the image's own scale: it keeps means and deviations.
_BACK = (
    "$lambda d: {**d, 'pred': (d['pred'] - d['image'].mean()) * (d['raw'].std() / d['image'].std()) + d['raw'].mean()}"
)
_MIRRORED = "medai.networks.MirroredWindowInferer"
_POSTFIX = {"segment": "seg", "denoise": "denoised", "encode": "reconstruction", "translate": "synthetic"}
# With three halvings, a number of the code stands for 64 voxels of a volume, or 16 pixels of a picture.
_CODE = {2: 4, 3: 8}


def network_def(plan: Plan) -> Config:
    """The plan's network."""
    chosen = plan.parameters
    if plan.task == "detect":
        return detection.network_def(plan)
    if isinstance(plan, ForecastPlan):
        return forecasting.network_def(plan, calibrated=False)
    config = network(
        chosen.network,
        plan.patch,
        plan.channels,
        plan.outputs,
        width=chosen.width,
        dropout=chosen.dropout,
        norm=_norm(plan),
        levels=chosen.levels,
        widening=chosen.widening,
        stem=chosen.stem,
        code=chosen.code or (_CODE[plan.dimensions] if plan.task == "encode" else 0),
    )
    if adds_to_its_input(plan):
        # It learns the noise alone, which is easier (Zhang et al., IEEE TIP 2017); an autoencoder is to have a code.
        return {"_target_": "SkipConnection", "submodule": config, "mode": "add"}
    return together(config, plan)


def network_defs(plan: Plan) -> dict[str, Any]:
    """The entry ``"network_def"`` of a training, and those that it is made of."""
    if plan.parameters.network == "generator":
        return generator_def(plan)
    return {"network_def": apart(network_def(plan), plan)}


def without_norms(plan: Plan) -> bool:
    """Whether twice as bright an image, noise and all, becomes twice as bright a result.

    What has neither norms nor biases (but the last layer's) knows no scale, so noise that is stronger or weaker than
    what it has seen is little harder (Mohan et al., Robust and Interpretable Blind Image Denoising via Bias-Free CNNs,
    ICLR 2020).
    """
    return plan.task == "denoise" and plan.parameters.network in ("dynunet", "wavelet_segresnet")


def _norm(plan: Plan) -> str | None:
    if without_norms(plan):
        return None
    return "batch" if plan.gives_image else "instance"


def adds_to_its_input(plan: Plan) -> bool:
    """Whether the network's output is added to the image."""
    return plan.task == "denoise" and plan.parameters.network != "autoencoder"


def inferer(plan: Plan) -> Config:
    """Windows of the training's patches: others cost accuracy, for the network would see other surroundings.

    Noise ends nowhere, so to a denoiser an image that is smaller than a window goes on as it ends, or reflected; zeros
    beside it cost up to 4 dB.
    """
    if plan.task in ("classify", "forecast"):
        return {"_target_": "SimpleInferer"}
    windows = {
        "_target_": "SlidingWindowInferer",
        "roi_size": list(plan.patch),
        "sw_batch_size": 1 if plan.dimensions == 3 else 4,
        "overlap": 0.125 if plan.task == "denoise" else 0.5,
        "mode": "gaussian",
        **({"padding_mode": "replicate"} if plan.task == "denoise" else {}),
    }
    return {**windows, "_target_": _MIRRORED, "views": [[]], "padding_mode": "reflect"} if sees_far(plan) else windows


def _in_mirrors(plan: Plan) -> Config:
    """The windows of the model in use: a denoiser sees each in as many mirrors as was asked."""
    windows = inferer(plan)
    seen = [list(axes) for axes in views(plan)] if plan.task == "denoise" else [[]]
    return windows if len(seen) == 1 else {**windows, "_target_": _MIRRORED, "views": seen}


def inference_config(plan: Plan) -> Config:
    """From an image file to its result."""
    image = ["image"]
    raw = [{"_target_": "CopyItemsd", "keys": "image", "names": "raw"}] if plan.restores else []
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/input'",
        "output_dir": "$@bundle_root + '/eval'",
        "image_pattern": "*.*" if plan.dimensions == 2 else "*.nii*",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "datalist": "$[{'image': path} for path in sorted(glob.glob(os.path.join(@dataset_dir, @image_pattern)))]",
        # Fitted on the validation cases when the training has ended.
        **({"temperature": 1.0} if plan.task == "classify" else {}),
        "network_def": network_def(plan),
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
                *cleaning(plan),
                *geometry(plan, image),
                *raw,
                *scaling(plan),
                *centring(plan),
                {"_target_": "EnsureTyped", "keys": "image"},
            ],
        },
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        # Epochs are compared by one position of every case, which is as fair and several times as fast.
        "inferer": inferer_of_positions(plan) or _in_mirrors(plan),
        "postprocessing": {"_target_": "Compose", "transforms": [*finishing(plan), *_saving(plan)]},
        "handlers": [load_weights(), *([_predictions()] if plan.task == "classify" else [])],
        "evaluator": evaluator(),
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
        # MONAI's way to multiply: x * (1 + factor).
        tempered = {"_target_": "ScaleIntensityd", "keys": "pred", "factor": "$1 / @temperature - 1"}
        return [
            {**tempered, "minv": None, "maxv": None},
            {"_target_": "Activationsd", "keys": "pred", **activation(plan)},
        ]
    if plan.task == "forecast":
        return []
    if plan.target is not None:
        back = {"_target_": "ScaleIntensityRanged", "keys": "pred", "a_min": 0.0, "a_max": 1.0}
        scaled = {**back, "b_min": plan.target.low, "b_max": plan.target.high}
        return [scaled, *([] if plan.keeps_grid else [invert])]
    if plan.restores:
        return [_BACK, *([] if plan.keeps_grid else [invert])]  # type: ignore[list-item]
    moved = plan.dimensions == 3 or "crop_foreground" in plan.parameters.preprocessing
    return [*([invert] if moved else []), {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}]


def activation(plan: Plan) -> Config:
    """Findings are probable each for itself, classes against each other."""
    return {"sigmoid": True} if plan.multi_label else {"softmax": True}


def _saving(plan: Plan) -> list[Config]:
    if plan.task in ("classify", "detect", "forecast"):
        return []
    saving: Config = {
        "_target_": "SaveImaged",
        "keys": "pred",
        "output_dir": "@output_dir",
        "output_postfix": _POSTFIX[plan.task],
        "output_dtype": "$numpy.uint8" if plan.task == "segment" and plan.outputs < 256 else "$numpy.float32",
        "separate_folder": False,
        "resample": False,
    }
    if plan.dimensions == 2 and plan.task == "segment":
        saving["output_ext"] = ".png"
    return [saving]


def _predictions() -> Config:
    """The handler that writes a table of file names with their probabilities."""
    return {
        "_target_": "ClassificationSaver",
        "output_dir": "@output_dir",
        "filename": "predictions.csv",
        "batch_transform": "$lambda batch: [item['image'].meta for item in batch]",
        "output_transform": "$monai.handlers.from_engine('pred')",
    }


def load_weights() -> Config:
    """The handler that fills the network."""
    return {
        "_target_": "CheckpointLoader",
        "load_path": WEIGHTS,
        "load_dict": {"model": "@network"},
        "map_location": "@device",
    }


def evaluator() -> Config:
    """What runs the network on one image after the other."""
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
