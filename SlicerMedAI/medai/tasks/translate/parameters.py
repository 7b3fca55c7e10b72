"""What a person may choose for a translation."""

from __future__ import annotations

from dataclasses import dataclass

from medai.tasks.parameters import ImageParameters


@dataclass(frozen=True, eq=False)
class TranslateParameters(ImageParameters):
    """What every task on images lets a person choose.

    Parameters
    ----------
    region : Region, tuple of Region, or None
        Boxes to translate in, RAS mm; outside of them the result is 0. The whole image by default.
    """
