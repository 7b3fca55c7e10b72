"""What the metrics are called and what they mean, for people who do not compute them."""

from __future__ import annotations

import math

from medai.training.evaluation.summary import Estimate

NAMES: dict[str, tuple[str, str]] = {
    "auroc": (
        "AUROC",
        "Chance that a case with the finding gets a higher probability than one without; 0.5 is a guess.",
    ),
    "auprc": ("AUPRC", "Average precision over all sensitivities; compare it with the share of positive cases."),
    "accuracy": ("Accuracy", "Share of cases called rightly; misleading when one class is rare."),
    "balanced_accuracy": ("Balanced accuracy", "Mean of the sensitivities of all classes."),
    "recall": ("Sensitivity (recall)", "Share of cases with the finding that the model finds."),
    "specificity": ("Specificity", "Share of cases without the finding that the model leaves alone."),
    "precision": ("Precision (PPV)", "Share of the model's alarms that are right, at this share of positive cases."),
    "f1": ("F1", "Harmonic mean of precision and sensitivity."),
    "ece": (
        "Calibration error (ECE)",
        "Mean gap between probability and what happened, bins of equal width; 0 is best.",
    ),
    "ece_adaptive": ("Calibration error, adaptive", "The same with bins of equally many cases."),
    "brier": ("Brier score", "Mean squared error of the probabilities; 0 is best."),
    "dice": ("Dice", "Overlap of model and reference, 0 to 1."),
    "surface_distance_mm": ("Mean surface distance", "Average distance between both surfaces, in both directions."),
    "hd95_mm": ("HD95", "Distance within which 95 % of either surface lies from the other."),
    "volume_error_ml": ("Volume bias", "Mean of model minus reference volume: what remains when errors cancel."),
    "volume_error_percent": ("Volume bias, relative", "The same in per cent of the reference volume."),
    "volume_error_abs_ml": ("Volume error", "Mean size of the difference of volumes."),
    "volume_error_abs_percent": ("Volume error, relative", "The same in per cent of the reference volume."),
    "froc": ("FROC score", "Mean sensitivity at 1/8 to 8 false positives per image."),
    "psnr_db": ("PSNR", "Peak signal-to-noise ratio; 3 dB more is half the noise power."),
    "ssim": ("SSIM", "Structural similarity to the reference; 1 is identical."),
    "mae": ("Mean absolute error", "In the unit of the image."),
    "psnr_gain_db": ("PSNR gain", "PSNR after minus before the model."),
    "ssim_gain": ("SSIM gain", "SSIM after minus before the model."),
    "mae_next": ("Error at the next visit", "Mean absolute error, in the unit of the measurement."),
    "mae_carried": ("Error, last value carried forward", "The same of whoever expects no change: a baseline."),
    "mae_line": ("Error, own line", "The same of a straight line through the subject's own visits: a baseline."),
    "mae_gain_carried": ("Error gain over carrying forward", "By how much the mean absolute error is smaller."),
    "mae_gain_line": ("Error gain over the own line", "By how much the mean absolute error is smaller."),
    "rmse_next": ("RMSE at the next visit", "Root of the mean squared error: large errors weigh more."),
    "rmse_carried": ("RMSE, last value carried forward", "Of the baseline that expects no change."),
    "rmse_line": ("RMSE, own line", "Of the baseline that goes on along the subject's own line."),
    "bias_next": ("Bias at the next visit", "Mean of forecast minus measurement: what remains when errors cancel."),
    "crps": ("CRPS", "Error of the whole distribution that was forecast, in the unit of the measurement; 0 is best."),
    "coverage": ("Coverage", "Share of measurements inside the forecast's interval."),
    "width": ("Width of the interval", "Mean, in the unit of the measurement; narrow is good where coverage is right."),
    "psnr_before_db": ("PSNR before", "Of the image that the model was given."),
    "ssim_before": ("SSIM before", "Of the image that the model was given."),
    "fid": (
        "Fréchet distance (FID)",
        "How far the features of synthetic images are from those of as many real ones; compare it with the next.",
    ),
    "fid_real": ("FID of real images", "Of one half of the real images to the other: as low as FID can be here."),
    "ms_ssim": (
        "MS-SSIM of pairs",
        "How like two synthetic images are, 1 being equal; above that of real pairs, the generator repeats itself.",
    ),
    "ms_ssim_real": ("MS-SSIM of real pairs", "How like two real images are."),
    "nearest_ratio": (
        "Nearest-neighbour ratio",
        "Median distance of synthetic images to the nearest training image, over that of held-back real ones.",
    ),
    "copies": (
        "Suspected copies",
        "Share of synthetic images less than half as far from a training image as nearly all held-back ones.",
    ),
    "auroc_synthetic": (
        "Real or synthetic, AUROC",
        "Of a cross-validated classifier that tells synthetic from real; 0.5 is a guess, 1 is always right.",
    ),
    "trained_on_real": ("Trained on real cases", "Score on held-back real cases of a network trained on real ones."),
    "trained_on_synthetic": (
        "Trained on synthetic cases",
        "The same of the same network, trained on as many synthetic cases and on no real one.",
    ),
    "trained_on_few_real": ("Trained on few real cases", "The same, trained on few real cases for as many steps."),
    "trained_on_few_real_and_synthetic": (
        "Trained on few real and synthetic cases",
        "The same, trained on these few and on the synthetic ones.",
    ),
    "synthetic_over_real": (
        "Synthetic over real",
        "The score after synthetic training in parts of that after real training; 1 would be as good.",
    ),
    "gain_with_synthetic": ("Gain with synthetic cases", "What they add to few real cases; below 0 they do harm."),
}

HEADLINES = (
    "auroc",
    "recall",
    "specificity",
    "balanced_accuracy",
    "dice",
    "hd95_mm",
    "surface_distance_mm",
    "map@0.50",
    "froc",
    "sensitivity@1fp",
    "psnr_db",
    "ssim",
    "psnr_gain_db",
    "fid",
    "ms_ssim",
    "nearest_ratio",
    "synthetic_over_real",
    "auroc_synthetic",
    "mae_next",
    "mae_carried",
    "mae_line",
    "coverage",
)
"""The figures at the top of the page, as far as there are."""

_DIGITS = {"mm": 2, "mL": 2, "%": 1, "dB": 2}


def name_of(metric: str) -> str:
    """What a metric is called."""
    if metric in NAMES:
        return NAMES[metric][0]
    kind, _, at = metric.partition("@")
    if kind == "sensitivity":
        rate = at.removesuffix("fp")
        return f"Sensitivity at {rate} false positive{'' if rate == '1' or '/' in rate else 's'} per image"
    return f"{'Mean average' if kind == 'map' else 'Average'} precision, IoU {at.replace(':', ' to ')}"


def meaning_of(metric: str) -> str:
    """One sentence about a metric; ``""`` when its name says it."""
    if metric in NAMES:
        return NAMES[metric][1]
    if metric.startswith(("map@", "ap@")):
        return (
            "Average precision of boxes that overlap their reference by at least this much (intersection over union)."
        )
    return "Share of lesions found at this many false alarms per image." if metric.startswith("sensitivity@") else ""


def spelled(value: float, unit: str, *, signed: bool = False) -> str:
    """A number with the digits that its unit deserves; a dash where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    digits = _DIGITS.get(unit, 3)
    # Structures of microlitres and images of thousands of units both occur.
    text = f"{value:.{digits}f}" if value == 0 or 10**-digits * 2 <= abs(value) < 1e5 else f"{value:.3g}"
    return ("+" if signed and value > 0 else "") + text.replace("-", "−")


def interval_of(estimate: Estimate) -> str:
    """``0.812 to 0.874``, or nothing."""
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return ""
    return f"{spelled(estimate.low, estimate.unit)} to {spelled(estimate.high, estimate.unit)}"
