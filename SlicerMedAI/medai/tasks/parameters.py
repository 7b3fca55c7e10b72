"""What every task lets a person choose, and how a value that cannot be used is refused."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import TypeVar

import numpy as np

from medai.engine.backend_names import REQUESTS
from medai.errors import InputError
from medai.volume import Region

_Parameters = TypeVar("_Parameters", bound="TaskParameters")
_Made = TypeVar("_Made")
_SHORT = reprlib.Repr()  # a few lines of YAML that repeat each other make a list that takes years to write down
_SHORT.maxlevel = 2


@dataclass(frozen=True, eq=False)
class TaskParameters:
    """The base of every task's parameters.

    Parameters
    ----------
    device : str, or torch.device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    device: str = "auto"

    def __post_init__(self) -> None:
        kind = type(self.device)
        if (kind.__module__, kind.__qualname__) == ("torch", "device"):  # told so without importing torch
            self._checked("device", str(self.device))
        elif not isinstance(self.device, str):
            raise wrong("device", self.device, "It is a text such as 'auto', 'cpu' or 'cuda'")

    @classmethod
    def of(cls: type[_Parameters], given: Mapping[str, object]) -> _Parameters:
        """From a job's keyword arguments.

        Raises
        ------
        InputError
            When a name is unknown or a value cannot be used.
        """
        return made_of(cls, given, "this task")

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        return {"device": self.device}

    def _checked(self, name: str, value: object) -> None:
        """Keep the plain form of a value that was given in another."""
        object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False)
class ImageParameters(TaskParameters):
    """What every task on images lets a person choose.

    Parameters
    ----------
    region : Region, tuple of Region, or None
        Boxes to look in, RAS mm; the whole image by default.
    overlap : float, or None
        Overlap of neighbouring windows, 0 to below 1; the model's own by default.
    sw_batch_size : int, or None
        Windows per forward pass, 1 or more; the model's own by default.
    backend : str
        What computes the network: ``"auto"`` (the fastest that was measured to agree with PyTorch on this computer),
        ``"torch"``, ``"openvino"`` or ``"onnxruntime"``.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    region: Region | tuple[Region, ...] | None = None
    overlap: float | None = None
    sw_batch_size: int | None = None
    backend: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(isinstance(region, Region) for region in self.regions):
            raise wrong("region", self.region, self._region_rule)
        if self.overlap is not None:
            self._checked("overlap", fraction("overlap", self.overlap))
        if self.sw_batch_size is not None:
            self._checked("sw_batch_size", count("sw_batch_size", self.sw_batch_size))
        one_of("backend", self.backend, REQUESTS)

    @property
    def _region_rule(self) -> str:
        return "It is a Region, several of them, or nothing"

    @property
    def regions(self) -> tuple[Region, ...]:
        """The boxes given, always a tuple."""
        if isinstance(self.region, Region):
            return (self.region,)
        return tuple(self.region) if isinstance(self.region, Iterable) else ()

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        if self.regions:
            text["region"] = "; ".join(
                f"{region.name} center {numbers(region.center)} size {numbers(region.size)} mm RAS, "
                f"axes {numbers(region.axes.ravel())}".strip()
                for region in self.regions
            )
        if self.overlap is not None:
            text["overlap"] = f"{self.overlap:g}"
        if self.sw_batch_size is not None:
            text["sw_batch_size"] = str(self.sw_batch_size)
        if self.backend != "auto":
            text["backend"] = self.backend
        return text


def made_of(kind: type[_Made], given: Mapping[str, object], purpose: str) -> _Made:
    """A dataclass from names and values; what is left out keeps its default.

    Parameters
    ----------
    kind : type
        A dataclass that checks its values itself.
    given : mapping of str to object
    purpose : str
        What the values are chosen for, in a person's words.

    Raises
    ------
    InputError
        When a name is unknown or a value cannot be used.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InputError(
            f"'{unknown[0]}' cannot be chosen for {purpose}.",
            f"What can be chosen is: {', '.join(known)}.",
            "Correct the name, or leave it out.",
        )
    return kind(**given)


def wrong(name: str, value: object, rule: str) -> InputError:
    """The refusal of one value."""
    shown = _SHORT.repr(value) if isinstance(value, (list, tuple, Mapping, set)) else value
    return InputError(f"'{shown}' cannot be used for '{name}'.", f"{rule}.", "Correct it, or leave it out.")


# numpy's numbers count as numbers: parameters often come out of an array or a table.


def fraction(name: str, value: object) -> float:
    """A number from 0 to less than 1."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and 0 <= float(value) < 1):  # type: ignore[arg-type]  # a Real
        raise wrong(name, value, "It is a number from 0 to less than 1, such as 0.5")
    return float(value)  # type: ignore[arg-type]


def count(name: str, value: object, least: int = 1) -> int:
    """A whole number, 1 or more unless told otherwise."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not (whole and int(value) >= least):  # type: ignore[call-overload]  # an Integral
        raise wrong(name, value, f"It is a whole number, {least} or more")
    return int(value)  # type: ignore[call-overload, no-any-return]


def yes_or_no(name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise wrong(name, value, "It is True or False")
    return bool(value)


def names(name: str, value: object, what: str) -> tuple[str, ...]:
    """One text or several, as a tuple."""
    if isinstance(value, str):
        return (value,)
    given = tuple(value) if isinstance(value, Iterable) else ()
    if not given or not all(isinstance(one, str) for one in given):
        raise wrong(name, value, f"It is at least one {what}, or nothing")
    return tuple(str(one) for one in given)


def one_of(name: str, value: object, known: tuple[str, ...]) -> str:
    """One of the texts that are known."""
    if not isinstance(value, str) or value not in known:
        raise wrong(name, value, f"It is one of: {', '.join(known)}")
    return value


def numbers(values: object) -> str:
    """``(1, 2.5, 3)``"""
    return "(" + ", ".join(f"{value:.6g}" for value in np.asarray(values)) + ")"
