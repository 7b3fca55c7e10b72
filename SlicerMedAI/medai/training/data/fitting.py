"""What a list holds, as the task asks for it: a folder of images with masks serves several."""

from __future__ import annotations

from medai.errors import InputError
from medai.progress import Report, ignore
from medai.training.data.boxes import boxed
from medai.training.data.datalist import DataList
from medai.training.data.folders import classified


def fitting(data: DataList, task: str, report: Report = ignore) -> DataList:
    """A list as a model of a task learns from it, or is judged by it.

    Parameters
    ----------
    data : DataList
    task : str
        For ``"detect"``, masks become boxes where there are none; for ``"classify"``, classes in the names of images
        with label maps become labels.
    report : callable
        Hears of progress; may raise to stop.

    Raises
    ------
    InputError
        When there is nothing in the list that would serve.
    """
    if task != "forecast" and len(data) and "image" not in data.file_keys:
        raise InputError(
            f"'{data.name}' names no images.",
            f"None of its {len(data)} cases has an 'image'.",
            "Name the file of each case's image under 'image' (in a table, a column of this title).",
        )
    if task == "detect":
        return boxed(data, report)
    return classified(data) if task == "classify" else data
