"""What a person may choose for a detection."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from medai.tasks.parameters import ImageParameters, names, wrong


@dataclass(frozen=True, eq=False)
class DetectParameters(ImageParameters):
    """What a person may choose, besides what every task on images lets them.

    Parameters
    ----------
    region : Region, tuple of Region, or None
        Boxes to look in, RAS mm: what is found with its centre outside all of them is left out. The network still sees
        the whole image, which it needs to judge what it sees.
    threshold : float or None
        Score, 0 to 1, from which on something is a finding. The model's operating point by default, 0.5 where it has
        none.
    largest_overlap : float
        Of two boxes of a class that share more than this of the volume they have together (intersection over union, in
        mm), only the one with the higher score is kept. Models leave out what overlaps by themselves, most of them from
        less than this on. 1 keeps all that the model gives.
    classes : tuple of str, or None
        Names of the classes to look for; all by default.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    threshold: float | None = None
    largest_overlap: float = 0.5
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold is not None:
            self._checked("threshold", _share("threshold", self.threshold))
        self._checked("largest_overlap", _share("largest_overlap", self.largest_overlap))
        if self.classes is not None:
            self._checked("classes", names("classes", self.classes, "class's name"))

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        if self.threshold is not None:
            text["threshold"] = f"{self.threshold:g}"
        if self.largest_overlap != DetectParameters.largest_overlap:
            text["largest_overlap"] = f"{self.largest_overlap:g}"
        if self.classes:
            text["classes"] = ", ".join(self.classes)
        return text


def _share(name: str, value: object) -> float:
    if not (isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) <= 1):
        raise wrong(name, value, "It is a number from 0 to 1")
    return float(value)
