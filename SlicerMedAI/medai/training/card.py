"""The model card, filled in from the run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from medai.bundles.description import Description
from medai.training.calibrating import Calibration
from medai.training.calibrating_forecasts import ForecastCalibration
from medai.training.card_courses import forecast_calibration, forecast_input, forecast_what
from medai.training.data import DataList
from medai.training.data.item import SPLITS
from medai.training.evaluation import Estimate, Summary
from medai.training.markdown import escaped, in_code
from medai.training.recipe import ForecastPlan, Plan
from medai.training.recipe.orientations import positions

NOISES = {"rician": "Rician", "gaussian": "white Gaussian", "low_dose_ct": "low-dose CT"}
"""Noise models in words."""
_STEPS = {
    "denoise": "denoised (by the model in `models/denoiser`)",
    "bias_field": "freed of its bias field (N4)",
}


_BY_LABEL = {"segment": "dice", "classify": "recall", "detect": "ap@0.50", "forecast": "mae_next"}
"""What the labels of a model are compared by; images are by PSNR."""


def model_card(
    plan: Plan,
    data: DataList,
    rows: Sequence[dict[str, float]],
    summary: Summary | None,
    description: Description,
    *,
    calibration: Calibration | None = None,
    calibrated: ForecastCalibration | None = None,
) -> str:
    """``docs/README.md`` of a trained bundle.

    Parameters
    ----------
    plan : Plan
        What was trained.
    data : DataList
        Divided, as it was trained with.
    rows : sequence of dict
        The training's history, one row per epoch.
    summary : Summary or None
        Scores on the validation cases; None without any.
    description : Description
        Of the bundle.
    calibration : Calibration, optional
        Of a classifier.
    calibrated : ForecastCalibration, optional
        Of a forecaster.
    """
    parts = [
        f"# {escaped(description.title)}",
        _what(plan),
        "Research only. Not a medical device; not for diagnosis.",
        "## Use",
        _use(plan, description.name),
        forecast_input(plan) if isinstance(plan, ForecastPlan) else _input(plan),
        "## Data",
        data_text(data),
        "## Training",
        _training(plan, rows),
        *(["## Calibration and operating point", _calibration(plan, calibration)] if calibration is not None else []),
        *(["## Calibration", forecast_calibration(plan, calibrated)] if isinstance(plan, ForecastPlan) else []),
        "## Scores",
        _scores(plan, summary),
        "## Where it fails",
        _failures(plan, summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(plan: Plan) -> str:
    kind = "pictures" if plan.dimensions == 2 else "volumes"
    shown = f"{escaped(plan.modality)} {kind}" if plan.modality else kind
    if plan.task == "denoise":
        return f"Takes {NOISES[plan.parameters.noise_model]} noise out of {shown}."
    if isinstance(plan, ForecastPlan):
        return forecast_what(plan)
    if plan.task == "encode":
        return f"Describes {shown} by a code of few numbers, and makes them anew of it, without their noise."
    if plan.task == "translate":
        return f"Makes **synthetic** images of another contrast out of {shown}. They were never measured."
    names = "\n".join(
        f"- {number}: {escaped(name)}" for number, name in enumerate(plan.classes.values(), plan.task == "segment")
    )
    if plan.task == "detect":
        return f"Draws boxes, each with a score, around what it finds in {shown}:\n\n{names}"
    verb = "Labels" if plan.task == "segment" else "Finds, each for itself" if plan.multi_label else "Tells apart"
    return f"{verb}, in {shown}:\n\n{names}"


def _use(plan: Plan, name: str) -> str:
    example = "image.png" if plan.dimensions == 2 else "image.nii.gz"
    own = {
        "segment": f"medai segment {example} --model {name} --output result.seg.nrrd\n",
        "classify": f"medai classify {example} --model {name} --output result.csv\n",
        "detect": f"medai detect {example} --model {name} --output result.mrk.json\n",
        "denoise": f"medai denoise {example} --model {name} --output result.nii.gz\n",
        "translate": f"medai translate {example} --model {name} --output result.nii.gz\n",
        "encode": f"medai encode {example} --model {name} --output codes.csv\n",
        "forecast": f"medai forecast visits.csv --model {name} --at 2027-01-01 --output forecast\n",
    }.get(plan.task, "")
    return (
        f"```\n{own}"
        "python -m monai.bundle run --config_file configs/inference.json --bundle_root . "
        "--dataset_dir FOLDER --output_dir OUT\n"
        f"medai evaluate {name} DATA --output FOLDER\n```"
    )


def _input(plan: Plan) -> str:
    chosen = plan.parameters
    size = " x ".join(map(str, plan.patch))
    steps = []
    steps += [said for step, said in _STEPS.items() if step in chosen.preprocessing]
    if "align" in chosen.preprocessing:
        steps.append("aligned with a template (`models/template.nii.gz`) by a rigid motion")
    elif not plan.keeps_grid:
        steps.append("put on RAS axes")
        if chosen.spacing:
            steps.append(f"resampled to {' x '.join(f'{mm:g}' for mm in chosen.spacing)} mm")
    if "crop_foreground" in chosen.preprocessing:
        steps.append("cut down to its bright half and 5 mm around it")
    if plan.task == "classify":
        steps.append(f"brought to {size} voxels")
    if plan.task == "detect" and plan.dimensions == 2:
        steps.append(f"resized so that its longer edge has {max(plan.patch)} pixels")
    low, high = chosen.window
    steps += {
        "none": [],
        "peak": ["divided by its 99.5 percentile"],
        "percentile": ["scaled from its 0.5 and 99.5 percentiles"],
        "zscore": ["clipped to its 0.5 and 99.5 percentiles", "normalised to mean 0 and variance 1"],
        "ct_window": [f"scaled from {low:g} to {high:g} HU"],
    }[chosen.normalization]
    whole = plan.task == "classify" or (plan.task == "detect" and plan.dimensions == 2)
    overlap = "an eighth" if plan.task == "denoise" else "half"
    seen = "" if whole else f" The network sees windows of {size} voxels, {overlap} overlapping."
    sides = math.prod(map(len, positions(plan)))
    if sides == 2:
        seen = " The network sees it as it is and mirrored from left to right; their mean is taken."
    elif sides > 2:
        seen = f" The network sees it from {sides} sides, turned by right angles and mirrored; their mean is taken."
    return f"Input: {plan.channels} channel(s). The image is {', '.join(steps) or 'taken as it is'}.{seen}"


def data_text(data: DataList) -> str:
    """How many cases in which part."""
    counts = {part: len(data.part(part)) for part in SPLITS}
    listed = ", ".join(f"{count} for {part}" for part, count in counts.items() if count)
    patients = {item.patient for item in data if item.patient}
    grouped = (
        f"{len(patients)} patients, none of them in two parts."
        if patients
        else "Patients are not known, so images of one patient may be in two parts."
    )
    notes = "".join(f"\n- {escaped(note)}" for note in data.notes)
    text = f"'{escaped(data.name)}': {len(data)} cases, {listed}. {grouped} Terms: see `data_license.txt`."
    return f"{text}\n{notes}" if notes else text


def _training(plan: Plan, rows: Sequence[dict[str, float]]) -> str:
    chosen = plan.parameters
    epochs = len(rows)
    early = f" (stopped early; {chosen.epochs} were planned)" if epochs < chosen.epochs else ""
    augmented = ", ".join(name.replace("_", " ") for name in chosen.augmentation or ()) or "none"
    engine = "SupervisedTrainer" if plan.target is None else "GanTrainer"
    text = (
        f"MONAI's `{engine}`: {_networks(plan)}, loss {chosen.loss}, {chosen.optimizer}, learning rate "
        f"{chosen.learning_rate:g} ({chosen.schedule}), batch {chosen.batch_size}, {epochs} epochs{early}, seed "
        f"{chosen.seed}. Augmentation: {augmented}."
    )
    if rows:
        name = "loss" if plan.target is None else "generator_loss"
        text += f" Loss: {rows[0][name]:.4f} in the first epoch, {rows[-1][name]:.4f} in the last."
    if plan.target is not None:
        text += (
            f" Added to the loss, with weight {chosen.adversarial:g}, is what MONAI's `PatchDiscriminator` says of both"
            " images (least squares); it learns in turns with the network (pix2pix, Isola et al., CVPR 2017)."
        )
    if plan.anchors:
        shapes = ", ".join(" x ".join(map(str, shape)) for shape in plan.anchors)
        text += f" Anchors of {shapes} voxels (k-means of the training boxes), one guess each per {chosen.stem} voxels."
    if plan.guided:
        text += f" Masks showed where each class is seen (weight {chosen.mask_guidance:g})."
    if chosen.start_from:
        text += f" It started from the weights of `{in_code(Path(chosen.start_from).name)}`."
    if chosen.ignore_label is not None:
        text += f" Voxels labelled {chosen.ignore_label} are unknown and count nowhere."
    if plan.weights is not None:
        text += f" Class weights: {', '.join(f'{weight:g}' for weight in plan.weights)}."
    command = "python -m monai.bundle run --config_file configs/train.json --bundle_root . --datalist DATALIST.json"
    return (
        f"{text}\n\nThe same training again, on a MONAI data list (the package medai must be installed):\n\n"
        f"```\n{command}\n```\n\nA training that was interrupted goes on when the same command is given again."
    )


def _networks(plan: Plan) -> str:
    if plan.members == 1:
        return plan.parameters.network
    return (
        f"{plan.members} networks ({plan.parameters.network}) that learned side by side, each for itself; the mean of "
        "their logits is taken"
    )


def _calibration(plan: Plan, found: Calibration) -> str:
    kind = "sigmoid of each finding" if plan.multi_label else "softmax"
    if found.note:
        said = f"Temperature 1: {escaped(found.note)}. Expected calibration error {found.before:.3f}."
    else:
        said = (
            f"Temperature {found.temperature:.4g}, by which the network's output is divided before the {kind} "
            f"(Guo et al., ICML 2017). Expected calibration error {found.before:.3f} before, {found.after:.3f} after."
        )
    points = "\n".join(f"- {escaped(point)}" for point in found.points)
    decided = f"Positive is:\n\n{points}" if points else "The most probable class is taken."
    return f"{said} Fitted on the {found.cases} validation cases, which flatters these figures a little.\n\n{decided}"


def _scores(plan: Plan, summary: Summary | None) -> str:
    if summary is None:
        return "No case was held out, so no case of these data can judge the model."
    chosen = (
        "The weights were kept from the epoch that was best on these very cases, which flatters them a little; judge "
        "the model on a test part before you rely on it."
    )
    chosen_noise = f"{NOISES[plan.parameters.noise_model]}, 1 to {100 * plan.parameters.noise:g} % of the range"
    noise = f" Noise was simulated ({chosen_noise})." if plan.task == "denoise" else ""
    return f"On the {summary.cases} validation cases.{noise} {chosen}\n\n{scores_table(summary)}"


def scores_table(summary: Summary) -> str:
    """Every score with its interval."""
    head = "| metric | of | value | 95 % interval | cases |\n|---|---|---|---|---|\n"
    return head + "\n".join(_line(estimate) for estimate in summary.estimates)


def _line(estimate: Estimate) -> str:
    unit = f" {estimate.unit}" if estimate.unit else ""
    label = escaped(estimate.label)
    if estimate.value != estimate.value:
        return f"| {estimate.metric} | {label} | not defined ({escaped(estimate.reason)}) | | {estimate.n} |"
    spread = "" if estimate.low != estimate.low else f"{estimate.low:.3f} to {estimate.high:.3f}"
    return f"| {estimate.metric} | {label} | {estimate.value:.3f}{unit} | {spread} | {estimate.n} |"


def _failures(plan: Plan, summary: Summary | None) -> str:
    found = [f"- {escaped(note)}" for note in summary.notes] if summary is not None else []
    if summary is not None:
        metric = _BY_LABEL.get(plan.task, "psnr")
        by_label = [e for e in summary.estimates if e.metric == metric and e.label and e.value == e.value]
        if len(by_label) > 1:
            worst = min(by_label, key=lambda estimate: estimate.value)
            found.append(f"- Weakest: {escaped(worst.label)}, {metric} {worst.value:.3f}.")
    shown = f"{escaped(plan.modality)} images" if plan.modality else "images"
    found.append(
        f"- {shown[0].upper()}{shown[1:]} unlike those of the data: other devices, ages, diseases, fields of view."
    )
    return "\n".join(found)
