"""What measuring on this computer has found for one model: the form it runs in, and why."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from medai.engine.backends.eager import PLAIN

LEAST_RATIO = 1.1
"""A form less than 10 % faster than PyTorch is not worth having."""
_REFUSAL_S = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Measured:
    """One form of a network that was tried.

    Parameters
    ----------
    backend : str
        ``"openvino"``, ``"onnxruntime"``, or a form of PyTorch as named by `medai.engine.backends.eager.forms`.
    ratio : float
        How many times faster than PyTorch's plain form.
    agreement : float
        Part of the voxels with the same label, 0 to 1.
    """

    backend: str
    ratio: float
    agreement: float


@dataclass(frozen=True)
class Choice:
    """The form chosen.

    Parameters
    ----------
    backend : str
        As in `Measured`; ``"torch"`` for the network as it is.
    measured : tuple of Measured
        Every form that agreed.
    refused : dict
        Why a form was not usable, by its name.
    window : tuple of int, optional
        (C, spatial) of the only windows that the chosen form was proven for.
    decided : float
        When, in seconds since 1970.
    """

    backend: str = PLAIN
    measured: tuple[Measured, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    window: tuple[int, ...] | None = None
    decided: float = field(default_factory=time.time, compare=False)

    @property
    def winner(self) -> Measured | None:
        """What was measured for the chosen form; None for PyTorch's plain form."""
        return next((one for one in self.measured if one.backend == self.backend), None)

    @property
    def holds(self) -> bool:
        """Whether it is to be relied on still. A refusal is for a week: what was in the way may be gone by then."""
        refusal = self.backend == PLAIN and bool(self.refused)
        return not refusal or abs(time.time() - self.decided) < _REFUSAL_S

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> Choice:
        """The same choice again.

        Raises
        ------
        ValueError
            When the content is none.
        """
        try:
            window = content["window"]
            choice = cls(
                str(content["backend"]),
                tuple(
                    Measured(str(one["backend"]), float(one["ratio"]), float(one["agreement"]))
                    for one in content["measured"]
                ),
                {str(name): str(why) for name, why in content["refused"].items()},
                None if window is None else tuple(int(size) for size in window),
                float(content.get("decided", 0.0)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a choice of a backend") from error
        if choice.backend != PLAIN and choice.winner is None:
            raise ValueError(f"the choice '{choice.backend}' was never measured")
        return choice


def known(content: Any) -> Choice | None:
    """The choice that was kept; None when there is none that can be read and holds."""
    try:
        choice = Choice.from_json(content)
    except ValueError:
        return None
    return choice if choice.holds else None


def best(measured: tuple[Measured, ...], required: str = "") -> str:
    """The fastest form that is worth having; the required one, however slow, when it is among those measured."""
    if any(one.backend == required for one in measured):
        return required
    fastest = max(measured, key=lambda one: one.ratio, default=None)
    return fastest.backend if not required and fastest is not None and fastest.ratio >= LEAST_RATIO else PLAIN


def sentence(title: str, measured: Measured) -> str:
    """For a person: how fast, how faithful."""
    speed = (
        f"{measured.ratio:.1f} times faster than plain PyTorch"
        if measured.ratio >= 1
        else f"{1 / measured.ratio:.1f} times slower than plain PyTorch"
    )
    # Rounded down, so that 99.996 % is never called all.
    agreement = f"{math.floor(measured.agreement * 1e4) / 100:g}"
    return f"{title}: {speed} on this computer, agrees with it on {agreement} % of test values"
