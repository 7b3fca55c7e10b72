"""``evaluate.json``, laid over ``inference.json``: nothing beyond MONAI either."""

from __future__ import annotations

from typing import Any

from medai.training.recipe.inference import evaluator, finishing, load_weights
from medai.training.recipe.noise import noise
from medai.training.recipe.plan import Plan
from medai.training.recipe.preprocessing import centring, geometry, label_values, scaling
from medai.training.recipe.unknown import without_unknown

Config = dict[str, Any]
_PAIR = "$monai.handlers.from_engine(['pred', 'label'])"


def evaluate_config(plan: Plan) -> Config:
    """Laid over ``inference.json``: scores of the model on images of which the truth is known."""
    if plan.restores:
        return _evaluate_noise(plan)
    by_task = {"segment": _evaluate_labels, "classify": _evaluate_classes}
    return by_task[plan.task](plan) if plan.task in by_task else {}


def _evaluate_classes(plan: Plan) -> Config:
    """Images of a MONAI data list; the area under the ROC curve, the mean over classes or findings."""
    known = (
        "isinstance(case.get('label'), list) and None not in case['label']"
        if plan.multi_label
        else "isinstance(case.get('label'), int)"
    )
    one_hot = {"_target_": "AsDiscreted", "keys": "label", "to_onehot": plan.outputs}
    return {
        "imports": ["$import os"],
        "datalist_file": "$@dataset_dir + '/datalist.json'",
        "part": "validation",
        "cases": "$monai.data.load_decathlon_datalist(@datalist_file, False, @part)",
        "datalist": f"$[case for case in @cases if {known}]",
        "label_loading": [{"_target_": "ToTensord", "keys": "label"}],
        "dataset": _labelled(),
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [*finishing(plan), *([] if plan.multi_label else [one_hot])],
        },
        **_judging("auc", {"_target_": "ROCAUC", "output_transform": _PAIR}),
    }


def _evaluate_noise(plan: Plan) -> Config:
    """Images without noise, to which the training's is added; PSNR on the scale that the network sees."""
    chosen = plan.parameters
    if chosen.noise_model == "low_dose_ct":
        return {}  # MONAI has no noise of photons
    return {
        "imports": ["$import glob", "$import os"],
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
                *geometry(plan, ["image"]),
                *scaling(plan),
                {"_target_": "CopyItemsd", "keys": "image", "names": "label"},
                *noise(chosen.noise_model, chosen.noise, chosen.window),
                *centring(plan),
                {"_target_": "EnsureTyped", "keys": ["image", "label"]},
            ],
        },
        "postprocessing": {"_target_": "Compose", "transforms": []},
        **_judging("psnr", {"_target_": "PeakSignalToNoiseRatio", "max_val": 1.0, "output_transform": _PAIR}),
    }


def _labelled() -> Config:
    return {
        "_target_": "Dataset",
        "data": "@datalist",
        "transform": {"_target_": "Compose", "transforms": "$[@preprocessing] + @label_loading"},
    }


def _judging(name: str, metric: Config, details: tuple[str, ...] = ()) -> Config:
    saver: Config = {"_target_": "MetricsSaver", "save_dir": "@output_dir", "metrics": [name]}
    if details:
        saver |= {
            "metric_details": list(details),
            "batch_transform": "$lambda batch: [item['image'].meta for item in batch]",
            "summary_ops": "*",
        }
    return {
        "handlers": [load_weights(), {"_target_": "StatsHandler", "iteration_log": False}, saver],
        "evaluator": {**evaluator(), "key_val_metric": {name: metric}},
        "run": ["$os.makedirs(@output_dir, exist_ok=True)", "$@evaluator.run()"],
    }


def _evaluate_labels(plan: Plan) -> Config:
    """Images and label maps in folders side by side; Dice of every structure."""
    metric = {"include_background": False, "output_transform": _PAIR}
    return {
        "imports": ["$import glob", "$import os"],
        "images": "$sorted(glob.glob(os.path.join(@dataset_dir, 'images', @image_pattern)))",
        "labels": "$sorted(glob.glob(os.path.join(@dataset_dir, 'labels', @image_pattern)))",
        "datalist": "$[{'image': image, 'label': label} for image, label in zip(@images, @labels)]",
        # The labels keep the file's own grid, and are compared there.
        "label_loading": [
            {"_target_": "LoadImaged", "keys": "label", "ensure_channel_first": True},
            *label_values(plan),
        ],
        "dataset": _labelled(),
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                *finishing(plan),
                *without_unknown(plan),
                {"_target_": "AsDiscreted", "keys": ["pred", "label"], "to_onehot": plan.outputs},
            ],
        },
        **_judging("dice", {"_target_": "MeanDice", **metric}, ("dice",)),
    }
