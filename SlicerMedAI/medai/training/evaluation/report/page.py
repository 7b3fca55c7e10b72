"""The page: template, style and pictures put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from medai.training.evaluation.cases import Row
from medai.training.evaluation.findings import (
    Details,
    DetectionDetails,
    RestorationDetails,
    SegmentationDetails,
    SynthesisDetails,
    Worst,
)
from medai.training.evaluation.report import words
from medai.training.evaluation.report.pictures import case_picture
from medai.training.evaluation.report.plots import plots
from medai.training.evaluation.summary import Estimate, Summary

_HERE = Path(__file__).parent
_KINDS = {
    "classify": "Classification",
    "segment": "Segmentation",
    "detect": "Detection",
    "denoise": "Denoising",
    "encode": "Encoding",
    "translate": "Translation",
    "synthesize": "Synthesis",
    "forecast": "Forecast",
}


def page(summary: Summary, rows: Sequence[Row], details: Details, worst: Sequence[Worst]) -> str:
    """The report as HTML. Every text in it is escaped; pictures are part of it; nothing is fetched or run."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # The style is this package's own file, the only text that is not escaped.
    style = Markup((_HERE / "page.css").read_text(encoding="utf-8"))  # noqa: S704
    about = summary.about
    facts = {
        "Model": about.model,
        "Data": about.data,
        "Split": about.split,
        "Cases": _counted(summary),
        **{key[:1].upper() + key[1:]: value for key, value in summary.settings.items()},
    }
    return environment.get_template("page.html").render(
        style=style,
        title=about.title,
        kind=_KINDS.get(summary.kind, summary.kind),
        facts={key: value for key, value in facts.items() if value},
        headlines=[_shown(e) for e in _headlines(summary)],
        groups=_groups(summary.estimates),
        notes=[*about.notes, *summary.notes],
        plots=plots(summary, rows, details),
        worst=[(one, case_picture(one, details)) for one in worst],
        ranked="The closest pairs" if isinstance(details, SynthesisDetails) else "The worst cases",
        wide=isinstance(details, RestorationDetails | SynthesisDetails),
        contours=isinstance(details, SegmentationDetails | DetectionDetails),
        confidence=f"{100 * summary.how.confidence:g}",
        how=summary.how,
        method="BCa" if summary.how.method == "bca" else "percentile",
        meanings=_meanings(summary.estimates),
    )


def _counted(summary: Summary) -> str:
    images = f"{summary.cases} image" + ("s" if summary.cases != 1 else "")
    if summary.patients == summary.cases:
        return images
    return f"{images} of {summary.patients} patient" + ("s" if summary.patients != 1 else "")


def _headlines(summary: Summary) -> list[Estimate]:
    """Means where there are means, else the first label's figure; four fit into a row."""
    chosen = []
    for metric in words.HEADLINES:
        found = [e for e in summary.estimates if e.metric == metric]
        if found:
            chosen.append(found[0])
    return chosen[:4]


def _groups(estimates: Sequence[Estimate]) -> list[tuple[str, list[dict[str, str]]]]:
    """Rows of the table: the whole first, then each label on its own."""
    labels = dict.fromkeys(e.label for e in estimates)
    whole = "All together" if len(labels) > 1 else ""
    return [(label or whole, [_shown(e) for e in estimates if e.label == label]) for label in sorted(labels, key=bool)]


def _shown(estimate: Estimate) -> dict[str, str]:
    signed = "bias" in words.name_of(estimate.metric).lower() or "gain" in estimate.metric
    return {
        "name": words.name_of(estimate.metric),
        "label": estimate.label,
        "value": words.spelled(estimate.value, estimate.unit, signed=signed),
        "unit": estimate.unit,
        "interval": words.interval_of(estimate),
        "n": str(estimate.n),
        "reason": estimate.reason,
    }


def _meanings(estimates: Sequence[Estimate]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for metric in dict.fromkeys(e.metric for e in estimates):
        meaning = words.meaning_of(metric)
        if meaning and meaning not in found:
            found[meaning] = words.name_of(metric).partition(",")[0] if "@" in metric else words.name_of(metric)
    return [(name, meaning) for meaning, name in found.items()]
