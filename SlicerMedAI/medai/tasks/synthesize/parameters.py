"""What a person may choose of the images a network is to make."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from medai.tasks.parameters import TaskParameters, count, wrong


@dataclass(frozen=True, eq=False)
class SynthesizeParameters(TaskParameters):
    """What a person may choose.

    Parameters
    ----------
    count : int
        How many images.
    seed : int
        Image `number` of a seed is always the same; 0 or more.
    first : int
        Number of the first image, counted from 0.
    condition : str or None
        What all of them are to show, as the model calls it; by default they take turns.
    walk : (int, int) or None
        In place of `seed`: the images lie on the way from the first one of one seed to the first of another.
    steps : int or None
        Images on the whole way, its ends included; by default as many as are made.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    count: int = 1
    seed: int = 0
    first: int = 0
    condition: str | None = None
    walk: tuple[int, int] | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._checked("count", count("count", self.count))
        for name in ("seed", "first"):
            self._checked(name, _natural(name, getattr(self, name)))
        if self.condition is not None and not (isinstance(self.condition, str) and self.condition):
            raise wrong("condition", self.condition, "It is the name of something that the model can make")
        if self.walk is not None:
            if not isinstance(self.walk, (list, tuple)) or len(self.walk) != 2:
                raise wrong("walk", self.walk, "It is the two seeds between which to walk, such as (1, 2)")
            self._checked("walk", tuple(_natural("walk", seed) for seed in self.walk))
        if self.steps is not None:
            self._checked("steps", count("steps", self.steps))
            if self.first + self.count > self.steps:
                raise wrong(
                    "steps", self.steps, f"The way has fewer images than the {self.first + self.count} asked for"
                )

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        if self.walk is None:
            text["seed"] = str(self.seed)
        else:
            text |= {"walk": f"{self.walk[0]} to {self.walk[1]}", "steps": str(self.steps or self.first + self.count)}
        text["first"] = str(self.first)
        text["count"] = str(self.count)
        return text | ({"condition": self.condition} if self.condition is not None else {})


def _natural(name: str, value: object) -> int:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not (whole and 0 <= int(value) < 2**63):  # type: ignore[call-overload]  # an Integral
        raise wrong(name, value, "It is a whole number, 0 or more, below 2 to the power of 63")
    return int(value)  # type: ignore[call-overload, no-any-return]
