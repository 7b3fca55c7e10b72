"""What a person may choose for a denoising."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from medai.tasks.parameters import ImageParameters, wrong, yes_or_no


@dataclass(frozen=True, eq=False)
class DenoiseParameters(ImageParameters):
    """What a person may choose, besides what every task on images lets them.

    Parameters
    ----------
    region : Region, tuple of Region, or None
        Boxes to denoise in, RAS mm; outside of them not a voxel is changed. The whole image by default.
    strength : float
        How much of the noise that the model finds is taken away: 0 leaves the image as it is, 1 takes all of it.
    noise : bool
        Whether the removed noise is given as a volume too.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    strength: float = 1.0
    noise: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        number = isinstance(self.strength, Real) and not isinstance(self.strength, bool)
        if not (number and 0 <= float(self.strength) <= 1):
            raise wrong("strength", self.strength, "It is a number from 0 (nothing is changed) to 1 (all of the noise)")
        self._checked("strength", float(self.strength))
        self._checked("noise", yes_or_no("noise", self.noise))

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        if self.strength != 1:
            text["strength"] = f"{self.strength:g}"
        if self.noise:
            text["noise"] = "True"
        return text
