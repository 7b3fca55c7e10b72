"""What is different where the visits of a subject are learned from: cases, network, loss and score.

Unlike other bundles, these name two parts of medai itself, `medai.networks` and `medai.transforms`, for MONAI has none
that take a series; what they may be asked is checked (`medai.bundles.own_transforms`).
"""

from __future__ import annotations

from typing import Any

from medai.tasks.forecast.course import YEAR
from medai.training.recipe.courses import ForecastPlan
from medai.training.recipe.networks import network

Config = dict[str, Any]
_OWN = "medai.training.components"
_SIMULATED = "The model learned from simulated visits only; how right it is for patients has never been measured."
_WIDTH, _FEATURES, _FIRST = 16, 8, 8
_EXTRA = ("times", "at")


def network_def(plan: ForecastPlan, *, calibrated: bool) -> Config:
    """The network; in use, with what calibration has found."""
    chosen = plan.parameters
    features = chosen.code or _FEATURES
    encoder: Config = {}
    if plan.images:
        seen = network("resnet10", plan.patch, 1, features, width=_FIRST, dropout=0, stem=2)
        encoder = {"encoder": seen, "features": features}
    return {
        "_target_": "medai.networks.SeriesForecaster",
        **{f"{name}s": [getattr(one, name) for one in plan.measurements] for name in ("mean", "spread", "change")},
        "targets": plan.places,
        "classes": len(plan.classes),
        **encoder,
        "cell": chosen.network,
        "hidden": chosen.width or _WIDTH,
        "members": chosen.members,
        "dropout": chosen.dropout,
        **({"spread": "@spread", "temperature": "@temperature"} if calibrated else {}),
    }


def configs(plan: ForecastPlan, common: dict[str, Config]) -> dict[str, Config]:
    """The configurations of a forecaster by file name, from those of other tasks."""
    return {
        "train.json": _training(plan, common["train.json"]),
        "inference.json": _inference(plan, common["inference.json"]),
    }


def formats(plan: ForecastPlan) -> Config:
    """``network_data_format`` of the metadata."""
    names = [one.name for one in plan.measurements]
    given = [text for target in plan.targets for text in (f"{target}, location of a logistic distribution",)]
    given += [f"{target}, its scale" for target in plan.targets]
    given += [f"{name}, logit" for name in plan.classes.values()]
    plain = {"dtype": "float32", "value_range": [], "is_patch_data": False}
    image = {"type": "image", "format": "magnitude", "modality": plan.modality or "n/a", "num_channels": 1}
    inputs: Config = {
        "image": {
            "type": "series",
            "format": "measurements of visits, NaN where missing",
            "modality": "n/a",
            "num_channels": len(names),
            "spatial_shape": ["visits"],
            **plain,
            "channel_def": {str(n): name for n, name in enumerate(names)},
        }
    }
    if plan.images:
        size = list(plan.patch)
        inputs["frames"] = {**image, "spatial_shape": size, **plain, "channel_def": {"0": "image of a visit"}}
    outputs = {
        "type": "series",
        "format": "forecast",
        "num_channels": plan.outputs,
        "spatial_shape": ["dates"],
        **plain,
        "channel_def": {str(n): text for n, text in enumerate(given)},
    }
    return {"inputs": inputs, "outputs": {"pred": outputs}}


def described(plan: ForecastPlan) -> Config:
    """What medai wants to know besides, for the metadata's own object."""
    measured_by = plan.parameters.measured_by
    return {
        **({"measured_by": measured_by} if measured_by else {}),
        **({"caution": _SIMULATED} if plan.simulated else {}),
        "measurements": [one.name for one in plan.measurements],
        "targets": list(plan.targets),
        "classes": list(plan.classes.values()),
        "images": plan.images,
    }


def loss(plan: ForecastPlan) -> Config:
    """How unlikely what happened was."""
    changes = [plan.measurements[place].change for place in plan.places]
    smoothing = plan.parameters.label_smoothing
    return {"_target_": f"{_OWN}.forecasting.ForecastLoss", "changes": changes, "smoothing": smoothing}


def _loading(plan: ForecastPlan, **more: Any) -> Config:
    names = [one.name for one in plan.measurements]
    seen: Config = {}
    if plan.images:
        assert plan.parameters.spacing is not None
        seen = {"size": list(plan.patch), "spacing": list(plan.parameters.spacing)}
    return {"_target_": "medai.transforms.LoadVisitsd", "keys": "visits", "measurements": names, **seen, **more}


def _stacking(plan: ForecastPlan, **more: Any) -> Config:
    seen = {"size": list(plan.patch)} if plan.images else {}
    return {"_target_": "medai.transforms.StackVisitsd", "keys": "values", **seen, **more}


def _prepare_batch(plan: ForecastPlan) -> Config:
    keys = [*_EXTRA, *(["frames"] if plan.images else [])]
    return {"_target_": "monai.engines.utils.PrepareBatchExtraInput", "extra_keys": keys}


def _training(plan: ForecastPlan, common: Config) -> Config:
    """``train.json``, where it is not as for other tasks."""
    chosen = plan.parameters
    stacked = _stacking(plan, visits=plan.visits, dates=plan.visits)
    skipping = {
        "_target_": f"{_OWN}.visits.RandSkipVisitsd",
        "visits": chosen.missing,
        "values": chosen.missing,
    }
    cases = {
        f"{short}_cases": {
            "_target_": f"{_OWN}.visits.series_cases",
            "datalist": "@datalist",
            "part": part,
            "targets": list(plan.targets),
            "images": plan.images,
        }
        for short, part in (("train", "training"), ("val", "validation"))
    }
    train, validate = dict(common["train"]), dict(common["validate"])
    train["trainer"] = {**train["trainer"], "prepare_batch": _prepare_batch(plan)}
    validate["dataloader"] = {**validate["dataloader"], "batch_size": "@batch_size"}
    evaluator = {key: value for key, value in validate["evaluator"].items() if key != "postprocessing"}
    validate["evaluator"] = {
        **evaluator,
        "prepare_batch": _prepare_batch(plan),
        "key_val_metric": {
            "log_likelihood": {"_target_": f"{_OWN}.forecasting.ForecastScore", "loss": "@validate#score"}
        },
    }
    validate["score"] = loss(plan)
    del validate["postprocessing"]
    return {
        **common,
        **cases,
        "preprocessing": [_loading(plan)],
        "augmentation": [skipping],
        "finishing": [stacked],
        "train": train,
        "validate": validate,
    }


def _inference(plan: ForecastPlan, common: Config) -> Config:
    """``inference.json``: from tables with one subject's visits each to a table of forecasts.

    ``python -m monai.bundle run`` writes a row per table: what ``metadata.json`` calls the channels of the output.
    """
    saver = {
        "_target_": "ClassificationSaver",
        "output_dir": "@output_dir",
        "filename": "forecasts.csv",
        "batch_transform": "$lambda batch: [{'filename_or_obj': item['name']} for item in batch]",
        "output_transform": "$monai.handlers.from_engine('pred')",
    }
    steps = [_loading(plan, horizon_days="@horizon_days"), _stacking(plan)]
    kept = {key: value for key, value in common.items() if key not in ("image_pattern", "postprocessing")}
    evaluator = {key: value for key, value in common["evaluator"].items() if key != "postprocessing"}
    return {
        **kept,
        "horizon_days": YEAR,
        "datalist": "$[{'visits': path} for path in sorted(glob.glob(os.path.join(@dataset_dir, '*.csv')))]",
        # Fitted on the validation cases when the training has ended.
        "temperature": 1.0,
        "spread": [1.0] * len(plan.targets),
        "network_def": network_def(plan, calibrated=True),
        "preprocessing": {"_target_": "Compose", "transforms": steps},
        "handlers": [common["handlers"][0], saver],
        "evaluator": {**evaluator, "prepare_batch": _prepare_batch(plan)},
    }
