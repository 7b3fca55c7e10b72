"""What a person may choose for a segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medai.tasks.parameters import ImageParameters, names, wrong, yes_or_no
from medai.volume import Region


@dataclass(frozen=True, eq=False)
class SegmentParameters(ImageParameters):
    """What a person may choose, besides what every task on images lets them.

    Parameters
    ----------
    region : Region, tuple of Region, "auto", or None
        Boxes to segment in, RAS mm; the whole image by default. Several boxes give each its own segments, named after
        the box. With ``"auto"`` the boxes are found in the image (see `medai.engine.locate`), by a model that can.
    segments : tuple of str, or None
        Names of the segments to keep; all by default.
    tta : bool
        Test-time augmentation: segment the image mirrored in every way the model was trained on as well, and let the
        results vote. Takes as many times longer, up to eight, and adds an uncertainty volume. For models that were
        trained on mirrored images only.
    ensemble : tuple of Path
        Folders of further models of the same structures that vote with the first; adds an uncertainty volume.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    region: Region | tuple[Region, ...] | Literal["auto"] | None = None  # type: ignore[assignment]  # one more kind
    segments: tuple[str, ...] | None = None
    tta: bool = False
    ensemble: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segments is not None:
            self._checked("segments", names("segments", self.segments, "segment's name"))
        self._checked("tta", yes_or_no("tta", self.tta))
        paths = tuple(self.ensemble) if isinstance(self.ensemble, (list, tuple)) else (self.ensemble,)
        if not all(isinstance(path, (str, Path)) for path in paths):
            raise wrong("ensemble", self.ensemble, "It is the folders of further models")
        self._checked("ensemble", tuple(Path(path) for path in paths))

    @property
    def votes(self) -> bool:
        """Whether several results are combined into one, so that their disagreement can be told."""
        return self.tta or bool(self.ensemble)

    @property
    def finds_region(self) -> bool:
        """Whether the regions are to be found in the image."""
        return isinstance(self.region, str) and self.region == "auto"

    @property
    def regions(self) -> tuple[Region, ...]:
        """The boxes given, always a tuple; empty when they are to be found."""
        return () if self.finds_region else super().regions

    @property
    def _region_rule(self) -> str:
        return "It is a Region, several of them, 'auto', or nothing"

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        if self.finds_region:
            text["region"] = "auto"
        if self.segments:
            text["segments"] = ", ".join(self.segments)
        if self.tta:
            text["tta"] = "True"
        if self.ensemble:
            text["ensemble"] = ", ".join(path.name for path in self.ensemble)
        return text
