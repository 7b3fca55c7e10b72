"""Read every case before anybody trains with it."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice

from medai.progress import Progress, Report, ignore
from medai.training.data import report as kinds
from medai.training.data.datalist import DataList
from medai.training.data.examine import LABEL_KEYS, Examination, ImageFacts, ItemFacts
from medai.training.data.item import SPLITS, DataItem
from medai.training.data.report import DataReport, ImageSummary, Problem, Range

_PATIENCE_S = 0.2  # a large image takes longer than a person who pressed Cancel waits


def check(
    data: DataList, *, report: Report = ignore, workers: int | None = None, unknown: int | None = None
) -> DataReport:
    """Read all images of all cases and tell what is wrong with them.

    Told are: files that are missing or cannot be read to the end; label maps that lie elsewhere than their image
    (compared in physical space, to 5 % of a voxel); label values that are no whole numbers, out of range, or none at
    all; images that are constant or hold NaN or infinity; the same image (by its voxels) or patient in two parts; an
    image that has changed since the list was saved; and how often each class occurs.

    Parameters
    ----------
    data : DataList
    report : callable
        Told of the progress at least every 0.2 s; may raise `medai.errors.JobCancelled`, which ends the check.
    workers : int, optional
        Images read at the same time; up to four unless given.
    unknown : int, optional
        Value of voxels of a label map of which nobody knows what they are.

    Returns
    -------
    DataReport
    """
    facts = _examine_all(Examination(data, unknown), report, workers or min(4, os.cpu_count() or 1))
    across, duplicates = _duplicates(data, facts)
    problems = [problem for each in facts for problem in each.problems] + across + _patients(data)
    known = {item.patient for item in data if item.patient}
    cases = Counter(item.split for item in data)
    return DataReport(
        data.name,
        data.task,
        {part: cases[part] for part in (*SPLITS, "") if cases[part]},
        len(known),
        tuple(sorted(problems, key=lambda problem: problem.index)),
        _classes(data, facts),
        _voxels(data, facts),
        _images(data, facts),
        duplicates,
        tuple(each.digests for each in facts),
        (*data.notes, *_notes(data, facts)),
    )


def _examine_all(examine: Examination, report: Report, workers: int) -> list[ItemFacts]:
    data, began = examine.data, time.monotonic()
    found: dict[int, ItemFacts] = {}
    pool = ThreadPoolExecutor(workers, thread_name_prefix="medai-check")
    try:
        ahead = iter(range(len(data)))
        waiting = {pool.submit(examine, index) for index in islice(ahead, 4 * workers)}
        while waiting:
            done, waiting = wait(waiting, timeout=_PATIENCE_S, return_when=FIRST_COMPLETED)
            for future in done:
                facts = future.result()
                found[facts.index] = facts
            waiting |= {pool.submit(examine, index) for index in islice(ahead, len(done))}
            passed = time.monotonic() - began
            eta = passed / len(found) * (len(data) - len(found)) if found else None
            report(Progress("Checking the data", len(found), len(data), passed, eta))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return [found[index] for index in range(len(data))]


def _duplicates(data: DataList, facts: Sequence[ItemFacts]) -> tuple[list[Problem], tuple[tuple[int, ...], ...]]:
    """The same image more than once.

    In two parts, the copy nearer to the training part is the bad one: the figures that others have published on the
    test part stay comparable.
    """
    places: dict[str, list[int]] = {}
    for each in facts:
        if "image" in each.digests:
            places.setdefault(each.digests["image"], []).append(each.index)
    groups = tuple(tuple(group) for group in places.values() if len(group) > 1)
    problems = []
    for group in groups:
        kept = max(group, key=lambda index: (_rank(data[index]), -index))
        for index in group:
            item = data[index]
            if index != kept:
                across = item.split != data[kept].split
                kind = kinds.DUPLICATE_ACROSS_SPLITS if across else kinds.DUPLICATE
                where = f" ({data[kept].split or 'undecided'})" if across else ""
                message = f"Its image is the same as that of '{data[kept].name}'{where}."
                problems.append(Problem(index, item.name, kind, message, "image", blocking=across))
        labels = {_spoken_label(data, data[index]) for index in group} - {""}
        if len(labels) > 1:
            message = f"The same image is labelled {' and '.join(sorted(labels))}."
            problems += [Problem(index, data[index].name, kinds.CONFLICT, message, "label") for index in group]
    return problems, groups


def _spoken_label(data: DataList, item: DataItem) -> str:
    known = item.values.get("class", item.label)
    return "" if known is None else data.label_names.get(known, str(known)) if isinstance(known, int) else str(known)


def _patients(data: DataList) -> list[Problem]:
    kept: dict[str, DataItem] = {}
    for item in data:
        if item.patient and item.split and _rank(item) > _rank(kept.get(item.patient)):
            kept[item.patient] = item
    return [
        Problem(
            index,
            item.name,
            kinds.PATIENT_ACROSS_SPLITS,
            f"Patient {item.patient} is also in {kept[item.patient].split}, with '{kept[item.patient].name}'.",
        )
        for index, item in enumerate(data)
        if item.patient and item.split and item.split != kept[item.patient].split
    ]


def _rank(item: DataItem | None) -> int:
    return SPLITS.index(item.split) if item is not None and item.split else -1


def _classes(data: DataList, facts: Sequence[ItemFacts]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[object]] = {}
    for item, each in zip(data, facts, strict=True):
        counts.setdefault(item.split, Counter()).update(_classes_of(data, item, each))
    return {part: _named(data, counts[part]) for part in (*SPLITS, "") if counts.get(part)}


def _classes_of(data: DataList, item: DataItem, facts: ItemFacts) -> list[object]:
    if data.task == "segment":
        return list(facts.voxels)
    if data.task in ("regress", ""):
        return []
    if data.multi_label:
        return [place for place, found in enumerate(item.label) if found] if isinstance(item.label, tuple) else []
    labels = item.label if isinstance(item.label, tuple) else (item.label,)
    return ["(missing)" if each is None else each if isinstance(each, (int, float)) else str(each) for each in labels]


def _voxels(data: DataList, facts: Sequence[ItemFacts]) -> dict[str, int]:
    total: Counter[object] = Counter()
    for each in facts:
        total.update(each.voxels)
    return _named(data, total, maps=True)


def _named(data: DataList, counts: Mapping[object, int], *, maps: bool = False) -> dict[str, int]:
    names = data.label_names if not maps or data.task == "segment" else {}
    ordered = sorted(counts, key=lambda value: (isinstance(value, str), value))
    return {names.get(value, str(value)) if isinstance(value, int) else str(value): counts[value] for value in ordered}


def _images(data: DataList, facts: Sequence[ItemFacts]) -> dict[str, ImageSummary]:
    found = {key: [each.images[key] for each in facts if key in each.images] for key in data.file_keys}
    return {key: _summary(images) for key, images in found.items() if images}


def _summary(images: Sequence[ImageFacts]) -> ImageSummary:
    return ImageSummary(
        len(images),
        tuple(Range.of([image.shape[2 - axis] for image in images]) for axis in range(3)),
        tuple(Range.of([image.spacing[axis] for image in images]) for axis in range(3)),
        tuple(sorted({image.channels for image in images})),
        tuple(sorted({image.dtype for image in images})),
        *(Range.of([getattr(image, name) for image in images]) for name in ("low", "high", "mean", "std")),
    )


def _notes(data: DataList, facts: Sequence[ItemFacts]) -> list[str]:
    values = {value for each in facts for value in each.voxels}
    keys = " and ".join(f"'{key}'" for key in data.file_keys if key in LABEL_KEYS)
    if values in ({0, 255}, {255}):
        return [f"The label maps {keys} mark with 255; divide by 255 before training (background 0, structure 1)."]
    return []
