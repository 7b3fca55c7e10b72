"""One call from cases to a table, a summary and a report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from medai.errors import InputError
from medai.files.folders import make_folder
from medai.files.tables import write_csv
from medai.files.writing import write_together
from medai.result import Table
from medai.training.evaluation.cases import AnyCase, Row, table_of
from medai.training.evaluation.findings import Details, Findings, Options, Worst
from medai.training.evaluation.summary import About, Summary, write_summary

Kind = Literal["classify", "segment", "detect", "denoise", "encode", "translate", "synthesize", "forecast"]
Labels = Mapping[str, int] | Sequence[str] | Mapping[str, Sequence[str]]

CASES_FILE, SUMMARY_FILE, REPORT_FILE = "cases.csv", "summary.json", "report.html"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came out.

    Parameters
    ----------
    summary : Summary
        Every metric with its interval.
    rows : tuple of dict
        One per case and label.
    details : object
        What the plots are drawn from.
    worst : tuple of Worst
        The worst cases, with their images.
    files : tuple of Path
        What was written, empty before.
    """

    summary: Summary
    rows: tuple[Row, ...] = field(repr=False)
    details: Details = field(repr=False)
    worst: tuple[Worst, ...] = field(repr=False)
    files: tuple[Path, ...] = ()

    @property
    def table(self) -> Table:
        """One row per case and label, empty where a number is not defined."""
        return table_of(list(self.rows))

    def report(self) -> str:
        """The report as one HTML page that needs no other file, no network and no script."""
        from medai.training.evaluation.report.page import page

        return page(self.summary, self.rows, self.details, self.worst)

    def write(self, folder: str | os.PathLike[str]) -> tuple[Path, ...]:
        """Write ``cases.csv``, ``summary.json`` and ``report.html``, all or none.

        Raises
        ------
        WriteError
            When the folder cannot be made or written to; then older files in it are as they were.
        """
        target = Path(folder)
        make_folder(target)
        html = self.report()
        return write_together(
            target / REPORT_FILE,
            {
                target / CASES_FILE: lambda file: write_csv(file, self.table),
                target / SUMMARY_FILE: lambda file: write_summary(file, self.summary),
                target / REPORT_FILE: lambda file: _write_text(file, html),
            },
        )


def evaluate(
    kind: Kind,
    cases: Iterable[AnyCase],
    *,
    labels: Labels = (),
    about: About | None = None,
    options: Options | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Evaluation:
    """Evaluate a model on cases that have a reference.

    Parameters
    ----------
    kind : str
        ``"classify"``, ``"segment"``, ``"detect"``, ``"denoise"``, ``"encode"``, ``"translate"`` or
        ``"synthesize"``.
    cases : iterable of Case
        Of that kind; may be a generator, of whose images only those of the worst cases are kept.
    labels : sequence of str, or mapping of str to int
        Class names in the order of the model's output, or structures with their label values; of a forecaster
        ``{"targets": names, "classes": names}``.
    about : About, optional
        Title, model, data and split, for the summary and the report.
    options : Options, optional
        Thresholds, bins, bootstrap, how many of the worst cases to show.
    folder : path, optional
        Where to write ``cases.csv``, ``summary.json`` and ``report.html``.

    Raises
    ------
    InputError
        When there is no case, or a case does not fit the others or the kind.
    GeometryError
        When a prediction does not lie where its reference lies.
    WriteError
        When the folder cannot be written to.
    """
    about, options = about or About(), options or Options()
    found = _findings(kind, cases, labels, options)
    summary = Summary(
        kind=kind,
        about=about,
        estimates=found.estimates,
        cases=len(found.people),
        patients=len(set(found.people)),
        how=options.how,
        settings=found.settings,
        notes=found.notes,
    )
    evaluation = Evaluation(summary, tuple(found.rows), found.details, found.worst)
    if folder is None:
        return evaluation
    return Evaluation(summary, evaluation.rows, evaluation.details, evaluation.worst, evaluation.write(folder))


def _findings(kind: str, cases: Iterable[Any], labels: Labels, options: Options) -> Findings:
    kinds: dict[str, Callable[[], Findings]] = {
        "classify": lambda: _classify(cases, labels, options),
        "segment": lambda: _segment(cases, labels, options),
        "detect": lambda: _detect(cases, options),
        "denoise": lambda: _restore(cases, options),
        "encode": lambda: _restore(cases, options),
        "translate": lambda: _restore(cases, options),
        "synthesize": lambda: _synthesize(cases, options),
        "forecast": lambda: _forecast(cases, labels, options),
    }
    if kind not in kinds:
        raise InputError(
            "The model cannot be evaluated.",
            f"There is no evaluation for '{kind}'.",
            f"Choose one of {', '.join(kinds)}.",
        )
    return kinds[kind]()


# Each kind brings other libraries, so it is imported only when asked for.
def _classify(cases: Iterable[Any], labels: Labels, options: Options) -> Findings:
    from medai.training.evaluation.kinds.classify import classification_findings

    return classification_findings(cases, list(labels), options)


def _segment(cases: Iterable[Any], labels: Any, options: Options) -> Findings:
    from medai.training.evaluation.kinds.segment import segmentation_findings

    return segmentation_findings(cases, labels, options)


def _detect(cases: Iterable[Any], options: Options) -> Findings:
    from medai.training.evaluation.kinds.detect import detection_findings

    return detection_findings(cases, options)


def _restore(cases: Iterable[Any], options: Options) -> Findings:
    from medai.training.evaluation.kinds.restore import restoration_findings

    return restoration_findings(cases, options)


def _synthesize(cases: Iterable[Any], options: Options) -> Findings:
    from medai.training.evaluation.kinds.synthesize import synthesis_findings

    return synthesis_findings(cases, options)


def _forecast(cases: Iterable[Any], labels: Any, options: Options) -> Findings:
    from medai.training.evaluation.kinds.forecast import forecast_findings

    return forecast_findings(cases, labels["targets"], labels["classes"], options)


def _write_text(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
