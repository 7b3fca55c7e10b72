"""Tell how a patient's measurements will go on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.api.images import Image, is_node
from medai.api.results import into_scene
from medai.api.running import OnProgress, run
from medai.api.visits import visits_of
from medai.errors import InputError
from medai.jobs.job import Job
from medai.visits import Day
from medai.volume import Series

if TYPE_CHECKING:
    from medai.jobs.worker import Worker
    from medai.tasks.forecast.course import Course

_TABLES = (".csv", ".tsv")
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def forecast(
    series: Image,
    model: str | Path,
    *,
    at: Day | float | Sequence[Day | float] | None = None,
    values: Mapping[str, Sequence[float | None]] | None = None,
    dates: Sequence[Day | None] | None = None,
    confidence: float = 0.9,
    change: bool = False,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Any:
    """Forecast what will be measured; waits for the result.

    Parameters
    ----------
    series : path, Series, MRML node, or sequence of images
        A table (``.csv``, ``.tsv`` or table node) with a row per visit, of one or several subjects: see
        `medai.training.data.longitudinal.read_longitudinal` for its columns. Or images of one patient, one per visit: a
        folder of dated studies, a sequence node, a `Series`, a list of files, Volumes or volume nodes.
    model : str or Path
        Name of a model that forecasts (see `models`), or path of a MONAI bundle's folder.
    at : date, str, float, or several of them
        When: a date (``"2027-01-01"``), or days after the last visit. A year after it by default.
    values : mapping of str to sequence of float, optional
        Of images: what was measured at each visit, None where something was not. Without, the model that the forecaster
        names for it measures them.
    dates : sequence of date or str, optional
        Of images, where neither headers nor names tell them.
    confidence : float
        Probability with which the interval holds what will be measured.
    change : bool
        Of images: also a volume of what has changed from the first visit to the last, and its lesions.
    worker, on_progress, in_process
        As for `medai.segment`.
    **parameters
        What the task lets a person choose besides (`medai.tasks.forecast.Parameters`): ``device``, ``align``,
        ``measured_by`` (name of a model that segments). None means the default.

    Returns
    -------
    Result or ResultNodes
        Given nodes, everything is added to their scene and what it became comes back; else a Result: a table "forecast"
        (forecast, interval and last value by date), a table "progression" (classes with probabilities), plots of points
        and forecast with its band, and for images how far the patient had moved between visits. Subjects of a table
        who have one visit only are in a table "left out".

    Raises
    ------
    InputError
        When there is one visit only (of every subject), visits have no dates or the same one, or `at` is not after the
        last visit.
    BundleError
        When there is no such model, or it does not forecast.
    MedAIError
        Whatever else ended the job. Nothing is added to the scene then.

    Examples
    --------
    >>> result = medai.forecast("visits.csv", "hippocampus_forecast", at="2027-01-01")  # doctest: +SKIP
    >>> result.table.columns["Forecast"]                                                # doctest: +SKIP
    """
    job = prepare_forecast(
        series, model, at=at, values=values, dates=dates, confidence=confidence, change=change, **parameters
    )
    result = run(job, worker, on_progress, in_process=in_process)
    nodes = [one for one in (series if isinstance(series, (list, tuple)) else [series]) if is_node(one)]
    if nodes and is_table(nodes[0]):
        from medai import mrml

        return mrml.add_result(result, (), scene=nodes[0].GetScene())
    return into_scene(result, job, nodes[:1]) if nodes else result


def prepare_forecast(
    series: Image, model: str | Path, *, dates: Sequence[Day | None] | None = None, **parameters: Any
) -> Job:
    """The job that `forecast` would run, for callers who submit it themselves and do not wait.

    Raises
    ------
    InputError
        When the visits or a parameter cannot be used, before anything slow happens.
    BundleError
        When there is no such model, or it does not forecast.
    """
    from medai.bundles import configs, library
    from medai.tasks.forecast import Parameters, check_choice

    given = {name: value for name, value in parameters.items() if value is not None}
    if isinstance(series, (list, tuple)) and any(is_table(one) for one in series):
        raise InputError(
            "A forecast is made of one table.",
            f"{len(series)} inputs were given, and a table is among them.",
            "Put the visits of all subjects into one table, or forecast the tables one by one.",
        )
    if isinstance(given.get("at"), (str, date, int, float)):
        given["at"] = (given["at"],)
    bundle = library.find(model)
    inputs: Series | tuple[()] = ()
    if is_table(series):
        if given.pop("values", None) or dates:
            raise InputError(
                "Values and dates cannot be given twice.", "The table has its own.", "Leave 'values' and 'dates' out."
            )
        if given.pop("change", False):
            raise InputError(
                "What has changed cannot be shown of a table.",
                "It is told by comparing two images.",
                "Leave 'change' out, or give the images of the visits.",
            )
        known = _titles(configs.metadata(bundle).get("medai"))
        given["courses"], given["notes"] = courses_of(series, known)
    else:
        inputs = visits_of(series, dates=dates)
        own = configs.metadata(bundle).get("medai")
        named = given.get("measured_by") or (own.get("measured_by") if isinstance(own, dict) else None)
        if named and not given.get("values"):
            given["measured_by"] = library.find(str(named))
    checked = Parameters.of(given)
    check_choice(bundle, checked)
    return Job("forecast", bundle, inputs, {name: getattr(checked, name) for name in given})


def is_tabular(thing: Any) -> bool:
    """Whether something is a table, of any program: a file or a table node."""
    if is_node(thing):
        return bool(thing.IsA("vtkMRMLTableNode"))
    return isinstance(thing, (str, os.PathLike)) and Path(thing).suffix.lower() in (*_TABLES, *_SPREADSHEETS)


def is_table(series: Any) -> bool:
    """Whether something is a table of visits: a file or a table node.

    Raises
    ------
    InputError
        When it is a table that only a spreadsheet program reads.
    """
    if not is_tabular(series):
        return False
    if not is_node(series) and Path(series).suffix.lower() in _SPREADSHEETS:
        raise InputError(
            f"'{Path(series).name}' is the file of a spreadsheet program.",
            "A table is read as text.",
            "Save it there as CSV (Excel: 'CSV UTF-8'), and choose that file.",
        )
    return True


def _titles(own: object) -> tuple[str, ...]:
    listed = own.get("measurements") if isinstance(own, dict) else None
    return tuple(str(one) for one in listed) if isinstance(listed, list) else ()


def courses_of(table: Any, known: Sequence[str] = ()) -> tuple[tuple[Course, ...], tuple[str, ...]]:
    """Visits of the subjects of a table, and what a person should know of how it was read.

    Parameters
    ----------
    table : path or table node
    known : sequence of str
        Titles of the measurements that a model knows; all that are there, unless given.

    Raises
    ------
    InputError
        When it cannot be read as such, or nothing was measured in it that is known and a number.
    """
    from medai.training.data.courses import courses, measured
    from medai.training.data.csv_table import is_number
    from medai.training.data.longitudinal import read_longitudinal, visits_of_rows

    if is_node(table):
        from medai import mrml

        data = visits_of_rows(mrml.rows_from_node(table), Path(), table.GetName() or "visits")
    else:
        data = read_longitudinal(Path(table).expanduser())
    numbers = measured(data)
    for name in known:
        words = [cell for item in data if isinstance(cell := item.values.get(name), str)]
        if words:  # a single one makes text of the whole column
            raise InputError(
                f"The column '{name}' of '{data.name}' holds text.",
                f"'{next((cell for cell in words if not is_number(cell)), words[0])}' is no number.",
                "Write numbers with a decimal point and without other separators; leave empty what is not known.",
            )
    if not numbers:
        raise InputError(
            f"'{data.name}' holds no measurements.", "None of its columns holds numbers.", "Choose another table."
        )
    found = courses(data)
    if known and not {*known} & {*numbers} and not any(course.has_images for course in found):
        raise InputError(
            f"'{data.name}' holds nothing that the model can make a forecast of.",
            f"The model knows {', '.join(known)}; the columns with numbers are {', '.join(numbers[:20])}.",
            "Call the columns what the model calls them, or choose another model.",
        )
    return found, data.notes
