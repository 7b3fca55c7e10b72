"""The model card, filled in from the run."""

from __future__ import annotations

from collections.abc import Sequence

from medai.bundles.description import Description
from medai.training.data import DataList
from medai.training.data.item import SPLITS
from medai.training.evaluation import Estimate, Summary
from medai.training.recipe import Plan


def model_card(
    plan: Plan,
    data: DataList,
    rows: Sequence[dict[str, float]],
    summary: Summary | None,
    description: Description,
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
    """
    parts = [
        f"# {description.title}",
        _what(plan),
        "Research only. Not a medical device; not for diagnosis.",
        "## Use",
        _use(plan, description.name),
        _input(plan),
        "## Data",
        _data(data),
        "## Training",
        _training(plan, rows),
        "## Scores",
        _scores(plan, summary),
        "## Where it fails",
        _failures(plan, summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(plan: Plan) -> str:
    kind = "pictures" if plan.dimensions == 2 else "volumes"
    shown = f"{plan.modality} {kind}" if plan.modality else kind
    if plan.task == "denoise":
        return f"Takes Rician noise out of {shown}."
    names = "\n".join(
        f"- {number}: {name}" for number, name in enumerate(plan.classes.values(), plan.task == "segment")
    )
    verb = "Labels" if plan.task == "segment" else "Finds, each for itself," if plan.multi_label else "Tells apart"
    return f"{verb}, in {shown}:\n\n{names}"


def _use(plan: Plan, name: str) -> str:
    example = "image.png" if plan.dimensions == 2 else "image.nii.gz"
    own = f"medai segment {example} --model {name} --output result.seg.nrrd\n" if plan.task == "segment" else ""
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
    if plan.dimensions == 3:
        steps.append("put on RAS axes")
        if chosen.spacing:
            steps.append(f"resampled to {' x '.join(f'{mm:g}' for mm in chosen.spacing)} mm")
    if plan.task == "classify":
        steps.append(f"brought to {size} voxels")
    low, high = chosen.window
    steps += {
        "none": [],
        "percentile": ["scaled from its 0.5 and 99.5 percentiles"],
        "zscore": ["clipped to its 0.5 and 99.5 percentiles", "normalised to mean 0 and variance 1"],
        "ct_window": [f"scaled from {low:g} to {high:g} HU"],
    }[chosen.normalization]
    seen = "" if plan.task == "classify" else f" The network sees windows of {size} voxels, half overlapping."
    return f"Input: {plan.channels} channel(s). The image is {', '.join(steps) or 'taken as it is'}.{seen}"


def _data(data: DataList) -> str:
    counts = {part: len(data.part(part)) for part in SPLITS}
    listed = ", ".join(f"{count} for {part}" for part, count in counts.items() if count)
    patients = {item.patient for item in data if item.patient}
    grouped = (
        f"{len(patients)} patients, none of them in two parts."
        if patients
        else "Patients are not known, so images of one patient may be in two parts."
    )
    notes = "".join(f"\n- {note}" for note in data.notes)
    text = f"'{data.name}': {len(data)} cases, {listed}. {grouped} Terms: see `data_license.txt`."
    return f"{text}\n{notes}" if notes else text


def _training(plan: Plan, rows: Sequence[dict[str, float]]) -> str:
    chosen = plan.parameters
    epochs = len(rows)
    early = f" (stopped early; {chosen.epochs} were planned)" if epochs < chosen.epochs else ""
    augmented = ", ".join(name.replace("_", " ") for name in chosen.augmentation or ()) or "none"
    text = (
        f"MONAI's `SupervisedTrainer`: {chosen.network}, loss {chosen.loss}, {chosen.optimizer}, learning rate "
        f"{chosen.learning_rate:g} ({chosen.schedule}), batch {chosen.batch_size}, {epochs} epochs{early}, seed "
        f"{chosen.seed}. Augmentation: {augmented}."
    )
    if rows:
        text += f" Loss: {rows[0]['loss']:.4f} in the first epoch, {rows[-1]['loss']:.4f} in the last."
    if plan.weights is not None:
        text += f" Class weights: {', '.join(f'{weight:g}' for weight in plan.weights)}."
    command = "python -m monai.bundle run --config_file configs/train.json --bundle_root . --datalist DATALIST.json"
    return (
        f"{text}\n\nThe same training again, on a MONAI data list (the package medai must be installed):\n\n"
        f"```\n{command}\n```\n\nA training that was interrupted goes on when the same command is given again."
    )


def _scores(plan: Plan, summary: Summary | None) -> str:
    if summary is None:
        return "No case was held out, so no case of these data can judge the model."
    head = "| metric | of | value | 95 % interval | cases |\n|---|---|---|---|---|\n"
    lines = "\n".join(_line(estimate) for estimate in summary.estimates)
    chosen = (
        "The weights were kept from the epoch that was best on these very cases, which flatters them a little; judge "
        "the model on a test part before you rely on it."
    )
    noise = " Noise was simulated (Rician, 1 to 15 % of the range)." if plan.task == "denoise" else ""
    return f"On the {summary.cases} validation cases.{noise} {chosen}\n\n{head}{lines}"


def _line(estimate: Estimate) -> str:
    unit = f" {estimate.unit}" if estimate.unit else ""
    if estimate.value != estimate.value:
        return f"| {estimate.metric} | {estimate.label} | not defined ({estimate.reason}) | | {estimate.n} |"
    spread = "" if estimate.low != estimate.low else f"{estimate.low:.3f} to {estimate.high:.3f}"
    return f"| {estimate.metric} | {estimate.label} | {estimate.value:.3f}{unit} | {spread} | {estimate.n} |"


def _failures(plan: Plan, summary: Summary | None) -> str:
    found = [f"- {note}" for note in summary.notes] if summary is not None else []
    if summary is not None:
        metric = {"segment": "dice", "classify": "recall", "denoise": "psnr"}[plan.task]
        by_label = [e for e in summary.estimates if e.metric == metric and e.label and e.value == e.value]
        if len(by_label) > 1:
            worst = min(by_label, key=lambda estimate: estimate.value)
            found.append(f"- Weakest: {worst.label}, {metric} {worst.value:.3f}.")
    shown = f"{plan.modality} images" if plan.modality else "images"
    found.append(
        f"- {shown[0].upper()}{shown[1:]} unlike those of the data: other devices, ages, diseases, fields of view."
    )
    return "\n".join(found)
