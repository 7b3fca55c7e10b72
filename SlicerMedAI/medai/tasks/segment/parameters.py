"""What a person may choose for a segmentation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medai.tasks.parameters import TaskParameters, count, fraction, names, numbers, one_of, wrong, yes_or_no
from medai.volume import Region

_BACKENDS = ("auto", "torch", "openvino", "onnxruntime")


@dataclass(frozen=True, eq=False)
class SegmentParameters(TaskParameters):
    """What a person may choose.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    region : Region, tuple of Region, "auto", or None
        Boxes to segment in, RAS mm; the whole image by default. Several boxes give each its own segments, named after
        the box. With ``"auto"`` the boxes are found in the image (see `medai.engine.locate`), by a model that can.
    segments : tuple of str, or None
        Names of the segments to keep; all by default.
    overlap : float, or None
        Overlap of neighbouring windows, 0 to below 1; the model's own by default.
    sw_batch_size : int, or None
        Windows per forward pass, 1 or more; the model's own by default.
    backend : str
        What computes the network: ``"auto"`` (the fastest that was measured to agree with PyTorch on this computer),
        ``"torch"``, ``"openvino"`` or ``"onnxruntime"``.
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

    region: Region | tuple[Region, ...] | Literal["auto"] | None = None
    segments: tuple[str, ...] | None = None
    overlap: float | None = None
    sw_batch_size: int | None = None
    backend: str = "auto"
    tta: bool = False
    ensemble: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(isinstance(region, Region) for region in self.regions):
            raise wrong("region", self.region, "It is a Region, several of them, 'auto', or nothing")
        if self.segments is not None:
            self._checked("segments", names("segments", self.segments, "segment's name"))
        if self.overlap is not None:
            self._checked("overlap", fraction("overlap", self.overlap))
        if self.sw_batch_size is not None:
            self._checked("sw_batch_size", count("sw_batch_size", self.sw_batch_size))
        one_of("backend", self.backend, _BACKENDS)
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
        if isinstance(self.region, Region):
            return (self.region,)
        return tuple(self.region) if isinstance(self.region, Iterable) and self.region != "auto" else ()

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        if self.finds_region:
            text["region"] = "auto"
        if self.regions:
            text["region"] = "; ".join(
                f"{region.name} center {numbers(region.center)} size {numbers(region.size)} mm RAS, "
                f"axes {numbers(region.axes.ravel())}".strip()
                for region in self.regions
            )
        if self.segments:
            text["segments"] = ", ".join(self.segments)
        if self.overlap is not None:
            text["overlap"] = f"{self.overlap:g}"
        if self.sw_batch_size is not None:
            text["sw_batch_size"] = str(self.sw_batch_size)
        if self.backend != "auto":
            text["backend"] = self.backend
        if self.tta:
            text["tta"] = "True"
        if self.ensemble:
            text["ensemble"] = ", ".join(path.name for path in self.ensemble)
        return text
