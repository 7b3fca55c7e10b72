"""The model card of a generator."""

from __future__ import annotations

from collections.abc import Sequence

from medai.bundles.description import Description
from medai.training.card import data_text, scores_table
from medai.training.data import DataList
from medai.training.evaluation import Summary
from medai.training.markdown import escaped
from medai.training.recipe import Plan
from medai.training.recipe.made_images import PIXELS_ASSUMED

_SYNTHETIC = (
    "**Every image it makes is synthetic: it shows no patient.** medai says so in the image's name, in its node's "
    "attributes, in its file's header, and on export to DICOM. Research only. Not a medical device; not for diagnosis, "
    "and no replacement for real cases when a method is judged."
)
_FAILURES = (
    "- It knows what its training cases show, and less of what is rare among them. Statistics of its images are not "
    "those of people.\n"
    "- Whether an image gives away more of a training case than its nearest neighbour's distance tells, is not known."
)
_LOSSES = {
    "hinge": "hinge loss (Lim and Ye, arXiv 1705.02894)",
    "least_squares": "least squares (Mao et al., ICCV 2017)",
}


def synthesis_card(
    plan: Plan, data: DataList, rows: Sequence[dict[str, float]], summary: Summary | None, description: Description
) -> str:
    """``docs/README.md`` of a trained generator; parameters as for `medai.training.card.model_card`."""
    parts = [
        f"# {escaped(description.title)}",
        _what(plan),
        _SYNTHETIC,
        "## Use",
        _use(plan, description.name),
        _image(plan),
        "## Data",
        data_text(data),
        "## Training",
        _training(plan, rows),
        "## Scores",
        _scores(summary),
        "## Where it fails",
        _FAILURES,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(plan: Plan) -> str:
    kind = "pictures" if plan.dimensions == 2 else "volumes"
    shown = f"{escaped(plan.modality)} {kind}" if plan.modality else kind
    if plan.maps:
        names = "\n".join(f"- {number}: {escaped(name)}" for number, name in enumerate(plan.classes.values(), 1))
        return f"Makes {shown} and, with each, the labels that belong to it:\n\n{names}"
    if plan.conditions:
        return f"Makes {shown}. It can be asked to show: {', '.join(map(escaped, plan.conditions))}."
    return f"Makes {shown}."


def _use(plan: Plan, name: str) -> str:
    asked = f" --condition {plan.conditions[0]}" if plan.conditions and plan.conditions[0].isidentifier() else ""
    return (
        f"```\nmedai synthesize {name} -n 20 --seed 1{asked} --output FOLDER\n"
        f"medai synthesize {name} -n 20 --walk 1 2{asked} --output FOLDER\n"
        "python -m monai.bundle run --config_file configs/inference.json --bundle_root . --count 4 --output_dir OUT\n"
        f"medai evaluate {name} DATA --output FOLDER\n```"
    )


def _image(plan: Plan) -> str:
    scene = plan.scene
    assert scene is not None
    size = " x ".join(map(str, plan.patch))
    spacing = " x ".join(f"{abs(scene.affine[axis][axis]):g}" for axis in range(plan.dimensions))
    asked = f", and {len(plan.conditions)} numbers that say what to show" if plan.conditions else ""
    text = (
        f"Input: {plan.parameters.code} random numbers (standard normal){asked}. Output: {size} voxels of {spacing} mm "
        f"around the origin, from {scene.low:g} to {scene.high:g} ({scene.dtype}), as a typical image of the data is."
    )
    return f"{text} {PIXELS_ASSUMED}" if scene.assumed else text


def _training(plan: Plan, rows: Sequence[dict[str, float]]) -> str:
    chosen = plan.parameters
    steps = (
        f"MONAI's `GanTrainer`: a generator of residual units against MONAI's `Discriminator` with spectral norm "
        f"(Miyato et al., ICLR 2018), {_LOSSES[chosen.loss]}; the discriminator sees cases changed at "
        f"random (Zhao et al., NeurIPS 2020), two at once (Lin et al., NeurIPS 2018){_beside(plan)}. "
        f"{chosen.optimizer}, learning rate {chosen.learning_rate:g} ({chosen.schedule}), batch {chosen.batch_size}, "
        f"{len(rows)} epochs, seed {chosen.seed}. Kept is the moving average of the generator's weights (momentum "
        f"{chosen.ema:g}) from the epoch in which its images, as a whole, were most like those of the training cases, "
        "by a Frechet distance of features of a network with random weights; no case that was held back had a say."
    )
    best = max((row for row in rows if "likeness" in row), key=lambda row: row["likeness"], default=None)
    if best is not None:
        steps += f" That was epoch {best['epoch']:g} (distance {-best['likeness']:.4f})."
    command = "python -m monai.bundle run --config_file configs/train.json --bundle_root . --datalist DATALIST.json"
    return (
        f"{steps}\n\nThe same training again, on a MONAI data list (the package medai must be installed):\n\n"
        f"```\n{command}\n```\n\nA training that was interrupted goes on when the same command is given again."
    )


def _beside(plan: Plan) -> str:
    return ", each with its labels" if plan.maps else ", each with its class" if plan.conditions else ""


def _scores(summary: Summary | None) -> str:
    if summary is None:
        return "Not judged yet: `medai evaluate` tells how its images compare with real ones."
    return (
        "Its images beside those that it learned from and those that were held back, all on its own grid. `fid_real` "
        "and `ms_ssim_real` are what real images reach among each other; a generator is the better the nearer it comes "
        "to them. A `nearest_ratio` far below 1, or `copies` above 0, would mean that it repeats training cases; an "
        f"`auroc_synthetic` of 0.5 that nothing tells its images from real ones.\n\n{scores_table(summary)}"
    )
