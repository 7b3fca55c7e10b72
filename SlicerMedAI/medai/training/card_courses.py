"""What is different in a forecaster's model card."""

from __future__ import annotations

from medai.training.calibrating_forecasts import ForecastCalibration
from medai.training.markdown import escaped
from medai.training.recipe import ForecastPlan


def forecast_what(plan: ForecastPlan) -> str:
    """What it is for."""
    targets = "\n".join(f"- {escaped(target)}" for target in plan.targets)
    classes = ", ".join(map(escaped, plan.classes.values()))
    told = f"\n\nIt also says how probable each of these classes is for the subject: {classes}." if classes else ""
    images = " and their images" if plan.images else ""
    return (
        f"From the measurements of two or more visits{images}, forecasts what will be measured at a later date, with "
        f"an interval:\n\n{targets}{told}"
    )


def forecast_input(plan: ForecastPlan) -> str:
    """What it takes."""
    names = ", ".join(escaped(one.name) for one in plan.measurements)
    text = (
        f"Input: at least two visits of one subject with their dates, and of each what was measured of: {names}. Gaps "
        "of any length, missing visits and missing values are ordinary; nothing is filled in."
    )
    if plan.images:
        size = " x ".join(map(str, plan.patch))
        spacing = " x ".join(f"{mm:g}" for mm in plan.parameters.spacing or ())
        text += (
            f" The image of each visit is put on RAS axes, resampled to {spacing} mm, cut or padded to {size} voxels "
            "about its centre, clipped to its 0.5 and 99.5 percentiles and normalised to mean 0 and variance 1."
        )
    return text


def forecast_calibration(plan: ForecastPlan, found: ForecastCalibration | None) -> str:
    """By which factors its output is calibrated."""
    if found is None:
        return "Not calibrated: no case was held out."
    factors = ", ".join(
        f"{escaped(target)} {factor:g}" for target, factor in zip(plan.targets, found.spread, strict=True)
    )
    text = f"Scales of the forecast distributions are multiplied by: {factors} (maximum likelihood"
    text += f" on {found.forecasts} forecasts of validation subjects)."
    if plan.classes:
        text += (
            f" The classes' logits are divided by {found.temperature:g} (Guo et al., ICML 2017; {found.subjects} "
            "validation subjects)."
        )
    return text + " Fitted on the very cases below, which flatters coverage and calibration there a little."
