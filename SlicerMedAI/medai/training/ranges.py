"""Whether a value may be chosen for a parameter, as the metadata of its field say: a range, or what is known."""

from __future__ import annotations

import dataclasses
import math
from contextlib import suppress
from numbers import Integral, Real
from typing import Any

from medai.tasks.parameters import wrong


def checked(each: dataclasses.Field[Any], value: object) -> object:
    """The value in its plain form.

    Raises
    ------
    InputError
        When the field's metadata do not allow it.
    """
    name, about = each.name, each.metadata
    if "known" in about:
        if not isinstance(value, str) or value not in about["known"]:
            raise wrong(name, value, f"It is one of: {', '.join(about['known'])}")
        return value
    if "range" in about:
        return in_range(name, value, about["range"], whole=isinstance(each.default, int), above=about["above"])
    if "each" in about:
        return None if value is None and each.default is None else _tuple(each, value)
    if "check" in about:
        return about["check"](name, value)
    if isinstance(each.default, bool) and not isinstance(value, bool):
        raise wrong(name, value, "It is True or False")
    return value


def in_range(name: str, value: object, limits: tuple[float, float], *, whole: bool, above: bool = False) -> float:
    """The number, within its limits; with `above`, the lower one is out of range itself.

    Raises
    ------
    InputError
    """
    low, high = limits
    if isinstance(value, str) and not whole:
        with suppress(ValueError):
            value = float(value)  # YAML takes 1e-3, a number without a point, for a text
    fits = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if fits:
        number = float(value)  # type: ignore[arg-type]  # a Real
        fits = math.isfinite(number) and low <= number <= high and not (above and number == low)
    if not fits:
        kind = "a whole number" if whole else "a number"
        limits_in_words = f"above {low:g} and at most {high:g}" if above else f"from {low:g} to {high:g}"
        raise wrong(name, value, f"It is {kind} {limits_in_words}")
    return int(value) if whole else float(value)  # type: ignore[call-overload, arg-type, no-any-return]


def _tuple(each: dataclasses.Field[Any], value: object) -> tuple[float, ...]:
    (low, high), counts = each.metadata["each"], each.metadata["counts"]
    whole = each.name == "patch_size"
    if not isinstance(value, (list, tuple)) or len(value) not in counts:
        raise wrong(each.name, value, f"It is a list of {' or '.join(map(str, counts))} numbers")
    return tuple(in_range(each.name, one, (low, high), whole=whole) for one in value)


def names_among(name: str, value: object, known: tuple[str, ...]) -> tuple[str, ...]:
    """The names, all of them known.

    Raises
    ------
    InputError
    """
    if not isinstance(value, (list, tuple)) or not all(one in known for one in value):
        raise wrong(name, value, f"It is a list of any of: {', '.join(known)}")
    return tuple(str(one) for one in value)
