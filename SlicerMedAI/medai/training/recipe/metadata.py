"""``metadata.json``: what the model is for, what it takes and gives."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from medai.bundles.labels import color
from medai.training.recipe import forecasting
from medai.training.recipe.courses import ForecastPlan
from medai.training.recipe.made_images import PIXELS_ASSUMED
from medai.training.recipe.networks import stride_of
from medai.training.recipe.plan import Plan

Config = dict[str, Any]
_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
_VERBS = {
    "segment": "Segmentation",
    "classify": "Classification",
    "detect": "Detection",
    "denoise": "Denoising",
    "encode": "Encoding",
    "synthesize": "Synthesis",
    "forecast": "Forecasting",
    "translate": "Translation",
}
_PACKAGES = {"monai_version": "monai", "pytorch_version": "torch", "numpy_version": "numpy"}


def metadata_config(plan: Plan, *, data_source: str, licence: str) -> Config:
    """Metadata of a plan's bundle.

    Parameters
    ----------
    data_source : str
        What a person calls the data.
    licence : str
        Of the weights.
    """
    names = list(plan.classes.values())
    named = f" of {', '.join(names)}" if names and len(names) <= 8 else ""
    kind = "picture" if plan.dimensions == 2 else "volume"
    made = _made(plan, kind, names)
    title = plan.name.replace("_", " ").capitalize()
    own: Config = {"title": title, "task": plan.task, "modality": plan.modality}
    if plan.maps:
        own["segments"] = [
            {"label": n, "name": name, "color": list(color(n - 1))} for n, name in enumerate(names, start=1)
        ]
    if plan.conditions:
        own["conditions"] = list(plan.conditions)
    if plan.scene is not None and plan.scene.assumed:
        own["caution"] = PIXELS_ASSUMED
    if plan.parameters.ignore_label is not None:
        own["ignore_label"] = plan.parameters.ignore_label
    if plan.parameters.spacing is not None and plan.task == "segment":
        own["expects"] = {"spacing_mm": [min(plan.parameters.spacing) / 2, max(plan.parameters.spacing) * 2]}
    if plan.target is not None:
        own["scale"] = [plan.target.low, plan.target.high]
    if plan.task == "denoise":
        own["noise"] = {"model": plan.parameters.noise_model, "strongest": plan.parameters.noise}
        if plan.parameters.normalization == "ct_window":
            own["noise"]["range"] = list(plan.parameters.window)
    if isinstance(plan, ForecastPlan):
        own |= forecasting.described(plan)
        formats = forecasting.formats(plan)
        named, kind = f" of {', '.join(plan.targets)}", "series of visits"
    else:
        formats = {"inputs": _inputs(plan), "outputs": {"pred": _output(plan, names)}}
    return {
        "schema": _SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": "First release."},
        **{key: _version(package) for key, package in _PACKAGES.items()},
        "required_packages_version": {"pytorch-ignite": _version("pytorch-ignite")},
        "name": title,
        "task": f"{_VERBS[plan.task]} of {made}" if made else f"{_VERBS[plan.task]}{named}",
        "description": f"It makes {made} out of random numbers. None shows a patient."
        if made
        else f"A {plan.parameters.network} for the {_VERBS[plan.task].lower()}{named} in a {kind}.",
        "authors": "Trained with medai",
        "copyright": "See LICENSE",
        "license": licence,
        "data_source": data_source,
        "data_type": "nifti" if plan.plain_files else "any image",
        "image_classes": f"{plan.channels} channel(s)" + (f", {plan.modality}" if plan.modality else ""),
        "intended_use": "Research. Not a medical device; not for diagnosis.",
        "references": [],
        "network_data_format": formats,
        "medai": own,
    }


def _made(plan: Plan, kind: str, names: list[str]) -> str:
    """What a generator makes; nothing for another model."""
    if not plan.synthesizes:
        return ""
    shown = f"{plan.modality} {kind}s".strip()
    listed = ", ".join(names[:8])
    return f"{shown} with labels of {listed}" if plan.maps else f"{shown} of {listed}" if listed else shown


def _inputs(plan: Plan) -> Config:
    if plan.synthesizes:
        drawn = "random numbers from a standard normal distribution"
        asked = f", then 1 for {' or '.join(plan.conditions)}, 0 for the others" if plan.conditions else ""
        latent = {"type": "latent", "format": "latent", "spatial_shape": [plan.code_length], "dtype": "float32"}
        return {"latent": {**latent, "is_patch_data": False, "channel_def": {"0": drawn + asked}}}
    return {"image": _input(plan)}


def _input(plan: Plan) -> Config:
    return {
        "type": "image",
        "format": "magnitude",
        "modality": plan.modality or "n/a",
        "num_channels": plan.channels,
        "spatial_shape": _shape(plan),
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": plan.task != "classify",
        "channel_def": {str(n): "image" if plan.channels == 1 else f"channel {n}" for n in range(plan.channels)},
    }


def _output(plan: Plan, names: list[str]) -> Config:
    if plan.task == "classify":
        return {
            "type": "probabilities",
            "format": "classes",
            "num_channels": plan.outputs,
            "spatial_shape": [1, plan.outputs],
            "dtype": "float32",
            "value_range": [0, 1],
            "is_patch_data": False,
            "channel_def": {str(n): name for n, name in enumerate(names)},
        }
    if plan.task == "detect":
        return {
            "type": "object",
            "format": "dict",
            "num_channels": plan.outputs,
            "spatial_shape": ["n", "n", "n"][: plan.dimensions],
            "dtype": "float32",
            "value_range": [],
            "is_patch_data": False,
            "channel_def": {str(n): name for n, name in enumerate(names)},
        }
    if plan.synthesizes:
        made = {str(n): "image" for n in range(plan.channels)}
        labels = ["background", *names] if plan.maps else []
        made |= {str(n): f"logit of {name}" for n, name in enumerate(labels, plan.channels)}
        kind: Config = {"type": "image", "format": "magnitude", "num_channels": plan.outputs, "dtype": "float32"}
        return kind | {"spatial_shape": list(plan.patch), "is_patch_data": False, "channel_def": made}
    segments = plan.task == "segment"
    return {
        "type": "image",
        "format": "segmentation" if segments else "magnitude",
        "num_channels": plan.outputs,
        "spatial_shape": _shape(plan),
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": True,
        "channel_def": {str(n): name for n, name in enumerate(["background", *names])}
        if segments
        else {str(n): "image" for n in range(plan.outputs)},
    }


def _shape(plan: Plan) -> list[Any]:
    if plan.task in ("classify", "detect"):
        return list(plan.patch)
    return [f"{step}*n" for step in stride_of(plan.parameters.network, plan.patch, plan.parameters.levels)]


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return "0"
