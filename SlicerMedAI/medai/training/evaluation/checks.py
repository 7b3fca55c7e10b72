"""What every metric asks of its input before it computes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sized

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medai.errors import InputError


def check_lengths(**arrays: Sized) -> int:
    """Length that all of them share.

    Raises
    ------
    InputError
        When they differ, or there is nothing at all.
    """
    lengths: Mapping[str, int] = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        counted = ", ".join(f"{count} of {name.replace('_', ' ')}" for name, count in lengths.items())
        raise InputError(
            "The model cannot be evaluated.",
            f"The lists do not belong together: {counted}.",
            "Give one prediction for every case, in the same order.",
        )
    count = next(iter(lengths.values()))
    if count == 0:
        raise InputError(
            "The model cannot be evaluated.",
            "There is no case.",
            "Choose data with at least one case that has both a reference and a prediction.",
        )
    return count


def finite(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """The values as float64.

    Raises
    ------
    InputError
        When they are not numbers, or one is NaN or infinite.
    """
    array = _numbers(values, what)
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise InputError(
            "The model cannot be evaluated.",
            f"{bad} of {array.size} {what} are not finite numbers.",
            "Find the cases for which the model gives no number, and repair or leave out those.",
        )
    return array


def probabilities(values: ArrayLike, what: str = "probabilities") -> NDArray[np.float64]:
    """The values as float64 between 0 and 1.

    Raises
    ------
    InputError
        When one lies outside, by more than rounding, or is not finite.
    """
    array = finite(values, what)
    if array.size and (array.min() < -1e-6 or array.max() > 1 + 1e-6):
        raise InputError(
            "The model cannot be evaluated.",
            f"The {what} reach from {array.min():.4g} to {array.max():.4g}; 0 to 1 is possible.",
            "Apply a sigmoid or a softmax to the model's output first.",
        )
    return np.clip(array, 0.0, 1.0)


def outcomes(values: ArrayLike, what: str = "reference labels") -> NDArray[np.float64]:
    """0 or 1 for every case, NaN where nobody knows.

    Raises
    ------
    InputError
        When another value occurs.
    """
    array = _numbers(values, what)
    other = array[~np.isin(array, (0.0, 1.0)) & ~np.isnan(array)]
    if other.size:
        raise InputError(
            "The model cannot be evaluated.",
            f"Among the {what} is {other[0]:g}; 0, 1 or an empty value is possible.",
            "Check which column or file the labels were read from.",
        )
    return array


def class_numbers(values: ArrayLike, count: int, what: str = "reference classes") -> NDArray[np.intp]:
    """Whole numbers from 0 to `count` - 1.

    Raises
    ------
    InputError
        When another value occurs.
    """
    array = finite(values, what)
    wrong = array[(array != np.floor(array)) | (array < 0) | (array >= count)]
    if wrong.size:
        raise InputError(
            "The model cannot be evaluated.",
            f"Among the {what} is {wrong[0]:g}, but the model knows classes 0 to {count - 1}.",
            "Check that the labels and the model's classes are in the same order and of the same number.",
        )
    return array.astype(np.intp)


def _numbers(values: ArrayLike, what: str) -> NDArray[np.float64]:
    try:
        return np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(
            "The model cannot be evaluated.",
            f"The {what} are not numbers, or not the same number of them for every case.",
            "Check which column or file they were read from.",
            details=repr(error),
        ) from error
