"""What a person may choose for a comparison of two visits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

from medai.tasks.parameters import TaskParameters, one_of, wrong, yes_or_no
from medai.tasks.segment.parameters import SegmentParameters
from medai.volume import Volume

APPEARANCES = ("bright", "any")


@dataclass(frozen=True, eq=False)
class ChangeParameters(TaskParameters):
    """What a person may choose.

    Parameters
    ----------
    lesions : tuple of two Volumes, or None
        Masks of the lesions before and after (above 0 is lesion), each lying where its own visit's image lies, on any
        grid. Without, lesions are where the images differ.
    segmentation : mapping, or None
        Of a job with a model: what was chosen for the segmentation of both visits
        (`medai.tasks.segment.Parameters`). Its structures are compared in place of lesions.
    mask : Volume or None
        Where to look (above 0), at the place of the second visit. By default the brain, or all of the patient where
        there is none.
    appearance : str
        Without masks: ``"bright"`` when lesions are brighter than the tissue around them, as in FLAIR and T2 images
        (what else changes, such as the fluid around a shrinking brain, is left out then), ``"any"`` for every change.
    threshold : float
        Without masks: a lesion's largest change, in standard deviations of unchanged tissue. It reaches as far as half
        of that.
    smallest_mm3 : float
        Smaller lesions, and smaller changes of a lesion, count as none.
    tolerance : float
        With masks or a model: by which share a lesion's or structure's volume may differ and still count as unchanged.
    align : bool
        Whether the images are brought together first. Without, they are taken to lie right.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    lesions: tuple[Volume, Volume] | None = None
    segmentation: Mapping[str, object] | None = None
    mask: Volume | None = None
    appearance: str = "bright"
    threshold: float = 7.0
    smallest_mm3: float = 20.0
    tolerance: float = 0.2
    align: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lesions is not None:
            masks = tuple(self.lesions) if isinstance(self.lesions, (list, tuple)) else ()
            if len(masks) != 2 or not all(isinstance(mask, Volume) for mask in masks):
                raise wrong("lesions", self.lesions, "It is two masks, of the lesions before and after, or nothing")
            self._checked("lesions", masks)
        if self.segmentation is not None:
            SegmentParameters.of(self.segmentation)
        if self.mask is not None and not isinstance(self.mask, Volume):
            raise wrong("mask", self.mask, "It is a mask of where to look, or nothing")
        one_of("appearance", self.appearance, APPEARANCES)
        self._checked("threshold", _positive("threshold", self.threshold))
        self._checked("smallest_mm3", _positive("smallest_mm3", self.smallest_mm3))
        self._checked("tolerance", _positive("tolerance", self.tolerance))
        self._checked("align", yes_or_no("align", self.align))

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        masks = {"lesions": self.lesions or (), "mask": (self.mask,) if self.mask else ()}
        text |= {name: ", ".join(volume.name for volume in volumes) for name, volumes in masks.items() if volumes}
        if self.segmentation is not None:
            text |= SegmentParameters.of(self.segmentation).as_text()
        for name in ("appearance", "threshold", "smallest_mm3", "tolerance", "align"):
            value = getattr(self, name)
            if value != getattr(type(self), name):
                text[name] = f"{value:g}" if isinstance(value, float) else str(value)
        return text


def _positive(name: str, value: object) -> float:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and 0 < float(value) < float("inf")):  # type: ignore[arg-type]  # a Real
        raise wrong(name, value, "It is a number above 0")
    return float(value)  # type: ignore[arg-type]
