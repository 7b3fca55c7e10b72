"""Parts and folds: no patient in two of them, classes in equal shares, the same for the same seed."""

from __future__ import annotations

import dataclasses
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from medai.errors import DependencyError, InputError
from medai.training.data.datalist import DataList
from medai.training.data.item import TEST, TRAINING, VALIDATION, DataItem

_MOST_PIECES = 20  # a share is made of at most this many pieces: 0.15 is 3 of 20


def split(
    data: DataList, *, validation: float = 0.2, test: float = 0.0, seed: int = 0, keep_official: bool = True
) -> DataList:
    """Divide cases into training, validation and test.

    Cases of one patient stay together, and so do cases of the same file or the same image (equal `DataItem.digests`,
    which `medai.training.data.report.with_digests` adds after a check). Classes have nearly the same share in every
    part (scikit-learn's StratifiedGroupKFold); with several findings per case, a case counts for its rarest one; a
    number to predict counts by its quartile. The order of the cases does not matter.

    Parameters
    ----------
    data : DataList
    validation, test : float
        Shares of the cases, 0 to below 1, met as nearly as patients allow.
    seed : int
    keep_official : bool
        Leave parts that the data came with as they are; a validation part is then made of the training part where
        there is none, and a test part only where nothing is official.

    Raises
    ------
    InputError
        When the shares leave nothing to train on, or there are fewer patients than parts.
    DependencyError
        When scikit-learn is not installed.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise InputError(
            "The data cannot be divided like that.",
            f"Validation {validation:g} and test {test:g} leave nothing for training.",
            "Choose shares of 0 or more that sum to less than 1.",
        )
    official = keep_official and data.is_split
    parts = [item.split if official else "" for item in data]
    if official and VALIDATION in parts:
        return data
    free = [n for n, part in enumerate(parts) if part in ("", TRAINING)]
    chosen = dict.fromkeys(free, TRAINING)
    pool = [n for n in free if not data[n].values.get("synthetic")]  # nobody is judged by what does not exist
    rest, left = pool, 1.0
    for part, share in ((TEST, 0.0 if official else test), (VALIDATION, validation)):
        held = _share([data[n] for n in rest], data, share / left, seed)
        chosen.update({rest[n]: part for n in held})
        rest = [n for n in rest if chosen[n] == TRAINING]
        left -= share
    return data.with_items([dataclasses.replace(item, split=chosen.get(n, parts[n])) for n, item in enumerate(data)])


def assign_folds(data: DataList, folds: int = 5, seed: int = 0) -> DataList:
    """Number the cases for a cross-validation, divided as `split` divides; an official test part gets no fold.

    Raises
    ------
    InputError
        When there are fewer than two folds, or fewer patients than folds.
    DependencyError
        When scikit-learn is not installed.
    """
    pool = [n for n, item in enumerate(data) if item.split != TEST and not item.values.get("synthetic")]
    numbers = dict(zip(pool, _folds([data[n] for n in pool], data, folds, seed), strict=True))
    return data.with_items([dataclasses.replace(item, fold=numbers.get(n)) for n, item in enumerate(data)])


def use_fold(data: DataList, fold: int) -> DataList:
    """One round of a cross-validation: cases of this fold become the validation part, the other folds training.

    Raises
    ------
    InputError
        When no case has this fold.
    """
    known = sorted({item.fold for item in data if item.fold is not None})
    if fold not in known:
        raise InputError(
            f"There is no fold {fold}.",
            f"The list has {f'folds {known[0]} to {known[-1]}' if known else 'no folds'}.",
            "Choose one of these." if known else "Number the cases with assign_folds first.",
        )
    return data.with_items(
        [
            item
            if item.fold is None
            else dataclasses.replace(item, split=VALIDATION if item.fold == fold else TRAINING)
            for item in data
        ]
    )


def groups_of(items: Sequence[DataItem], data: DataList) -> list[int]:
    """A number per case, equal for cases that must not be parted."""
    parent = list(range(len(items)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    first: dict[tuple[str, str], int] = {}
    for n, item in enumerate(items):
        for tie in _ties(item, data):
            parent[root(n)] = root(first.setdefault(tie, n))
    return [root(n) for n in range(len(items))]


def _ties(item: DataItem, data: DataList) -> Iterable[tuple[str, str]]:
    if item.patient:
        yield "patient", item.patient
    if digest := item.digests.get("image"):
        yield "digest", digest
    for source in item.files.get("image", ()):
        yield "file", data.relative(source)


def strata_of(items: Sequence[DataItem], data: DataList) -> list[str]:
    """What each case counts for when shares are balanced."""
    if data.multi_label:
        return _rarest([label if isinstance(label := item.label, tuple) else () for item in items])
    if data.task == "regress":
        numbers = [float(n) for item in items if isinstance(n := item.label, (int, float))]
        edges = np.quantile(numbers, [0.25, 0.5, 0.75]) if numbers else np.zeros(0)
        return [
            str(int(np.searchsorted(edges, float(n)))) if isinstance(n := item.label, (int, float)) else ""
            for item in items
        ]
    if data.task == "detect":
        return [str(sorted(set(label))) if isinstance(label := item.label, tuple) else "" for item in items]
    return [str(item.label if "label" in item.values else item.values.get("class", "")) for item in items]


def _rarest(labels: Sequence[tuple[object, ...]]) -> list[str]:
    count = Counter(place for label in labels for place, found in enumerate(label) if found)
    return [
        str(min((place for place, found in enumerate(label) if found), key=lambda p: (count[p], p), default=""))
        for label in labels
    ]


def _share(items: Sequence[DataItem], data: DataList, share: float, seed: int) -> list[int]:
    """Positions of about this share of the cases."""
    if share <= 0:
        return []
    groups = len(set(groups_of(items, data)))
    if groups < 2:
        raise _too_few(groups, 2)
    wanted = Fraction(share).limit_denominator(min(_MOST_PIECES, groups))
    if not 0 < wanted < 1:
        wanted = Fraction(1 if share < 0.5 else groups - 1, groups)
    folds = _folds(items, data, wanted.denominator, seed)
    return [n for n, fold in enumerate(folds) if fold < wanted.numerator]


def _folds(items: Sequence[DataItem], data: DataList, folds: int, seed: int) -> list[int]:
    """A fold per case."""
    groups = groups_of(items, data)
    if folds < 2 or len(set(groups)) < folds:
        raise _too_few(len(set(groups)), folds)
    order = sorted(range(len(items)), key=lambda n: _identity(items[n], data))
    strata = np.array(strata_of(items, data))[order]
    first: dict[int, int] = {}  # groups numbered in sorted order, for the order of the list must not matter
    group = np.array([first.setdefault(groups[n], len(first)) for n in order])
    count = Counter(strata.tolist())
    strata = np.array([s if count[s] >= folds else "" for s in strata.tolist()])
    numbers = _by_scikit_learn(strata, group, folds, seed)
    if len(set(numbers.tolist())) < folds:  # few patients with very unequal classes: equal sizes are what is left
        numbers = _by_scikit_learn(np.zeros(len(strata), int), group, folds, seed)
    found = np.empty(len(items), int)
    found[order] = numbers
    return [int(n) for n in found]


def _by_scikit_learn(strata: Any, group: Any, folds: int, seed: int) -> Any:
    try:
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # type: ignore[import-untyped]
    except ImportError as error:
        raise DependencyError(
            "The data cannot be divided yet.",
            "The package scikit-learn is missing.",
            "Install it: pip install scikit-learn (in Slicer: slicer.util.pip_install('scikit-learn')).",
        ) from error
    if max(Counter(strata.tolist()).values()) < folds:
        strata = np.zeros(len(strata), int)
    alone = len(set(group.tolist())) == len(group)  # then shares are equal to one case, and it is much faster
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    numbers = np.zeros(len(strata), int)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        divided = kind(folds, shuffle=True, random_state=seed).split(strata, strata, None if alone else group)
        for number, (_, held) in enumerate(divided):
            numbers[held] = number
    return numbers


def _identity(item: DataItem, data: DataList) -> tuple[str, ...]:
    files = [f"{key}={data.relative(source)}" for key in sorted(item.files) for source in item.files[key]]
    return item.patient, item.name, *files, repr(sorted(item.values.items()))


def _too_few(groups: int, folds: int) -> InputError:
    return InputError(
        "The data cannot be divided like that.",
        f"{folds} parts were asked for; patients, or cases, that may be parted: {groups}.",
        "Use two parts or more, and not more than there are patients.",
    )
