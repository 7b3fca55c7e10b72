"""What a person may choose for a classification."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

from medai.tasks.parameters import ImageParameters, one_of, wrong, yes_or_no

METHODS = ("grad_cam", "grad_cam_pp", "occlusion")
"""How a classifier's answer is explained, see `medai.tasks.explain`."""


@dataclass(frozen=True, eq=False)
class ViewParameters(ImageParameters):
    """What may be chosen of the parts of an image that are classified one by one.

    Parameters
    ----------
    region : Region, tuple of Region, or None
        Boxes to look in, RAS mm, each classified for itself; the whole image by default. A box that is turned against
        the image's axes stands for the smallest block of voxels around it.
    slice_index : int or None
        Of a model of single slices: the one slice to classify, counted from 0; every slice by default.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    slice_index: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slice_index is not None:
            whole = isinstance(self.slice_index, Integral) and not isinstance(self.slice_index, bool)
            if not (whole and int(self.slice_index) >= 0):
                raise wrong("slice_index", self.slice_index, "It is the number of a slice, counted from 0")
            self._checked("slice_index", int(self.slice_index))

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        if self.slice_index is not None:
            text["slice_index"] = str(self.slice_index)
        return text


@dataclass(frozen=True, eq=False)
class ClassifyParameters(ViewParameters):
    """What a person may choose, besides what every task on images lets them.

    Parameters
    ----------
    tta : bool
        Test-time augmentation: classify the image mirrored in every way the model was trained on as well, and take the
        mean of the probabilities. For models that were trained on mirrored images only.
    ensemble : tuple of Path
        Folders of further models of the same classes; the mean of all probabilities is taken.
    explain : bool or str
        Also make a volume of what in the image speaks for the finding: by one of `METHODS`, True for ``"grad_cam"``.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    tta: bool = False
    ensemble: tuple[Path, ...] = ()
    explain: bool | str = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._checked("tta", yes_or_no("tta", self.tta))
        paths = tuple(self.ensemble) if isinstance(self.ensemble, (list, tuple)) else (self.ensemble,)
        if not all(isinstance(path, (str, Path)) for path in paths):
            raise wrong("ensemble", self.ensemble, "It is the folders of further models")
        self._checked("ensemble", tuple(Path(path) for path in paths))
        if isinstance(self.explain, str):
            one_of("explain", self.explain, METHODS)
        elif yes_or_no("explain", self.explain):
            self._checked("explain", METHODS[0])

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        if self.tta:
            text["tta"] = "True"
        if self.ensemble:
            text["ensemble"] = ", ".join(path.name for path in self.ensemble)
        if self.explain:
            text["explain"] = str(self.explain)
        return text
