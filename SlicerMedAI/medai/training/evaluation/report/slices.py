"""Which slice of a volume to show, and how a radiologist expects it on a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

from medai.volume import Affine

Array = NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class View:
    """How slices of one grid are shown.

    Axial slices have the front up, coronal and sagittal ones the head; the patient's right is on the left, the front
    of sagittal ones too. A grid of one slice is a picture and shown as it is stored. Slices are taken across the axis
    of coarsest spacing, so that the voxels on the page are the finest.

    Parameters
    ----------
    affine : ndarray, shape (4, 4)
        (i, j, k) to RAS in mm.
    shape : tuple of int
        (K, J, I).
    """

    affine: Affine
    shape: tuple[int, int, int]

    @property
    def _flat(self) -> bool:
        return self.shape[0] == 1

    @property
    def _axis(self) -> int:
        """Axis of the slices among R, A, S; of equally coarse ones the last, which is axial."""
        spacing = self._spacing
        return 2 - int(np.argmax(np.round(spacing[::-1], 3)))

    @property
    def _spacing(self) -> NDArray[np.float64]:
        """mm along R, A, S."""
        return np.asarray(apply_spacing(io_orientation(self.affine), np.linalg.norm(self.affine[:3, :3], axis=0)))

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width."""
        if self._flat:
            i, j, _ = np.linalg.norm(self.affine[:3, :3], axis=0)
            return float(j / i)
        columns, rows = (n for n in (0, 1, 2) if n != self._axis)
        return float(self._spacing[rows] / self._spacing[columns])

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Of the left, right, upper and lower edge; empty for a picture."""
        if self._flat:
            return "", "", "", ""
        return (("A", "P", "S", "I"), ("R", "L", "S", "I"), ("R", "L", "A", "P"))[self._axis]

    def stack(self, array: Array) -> Array:
        """All slices as shown, shape (slices, rows, columns[, C]), of an array (K, J, I[, C])."""
        if self._flat:
            return array
        ijk = np.swapaxes(array, 0, 2)
        ras = apply_orientation(ijk, io_orientation(self.affine))
        columns, rows = (n for n in (0, 1, 2) if n != self._axis)
        shown = np.moveaxis(ras, (self._axis, rows, columns), (0, 1, 2))
        return np.asarray(shown[:, ::-1, ::-1])


def apply_spacing(orientation: NDArray[np.float64], spacing: NDArray[np.float64]) -> list[float]:
    """Spacing along R, A, S from that along i, j, k."""
    order = orientation[:, 0].astype(int)
    return [float(spacing[list(order).index(axis)]) for axis in range(3)]


def fullest(stack: Array) -> int:
    """The slice with most in it; the middle one when there is nothing."""
    sums = np.abs(stack.astype(np.float64)).reshape(len(stack), -1).sum(axis=1)
    return int(sums.argmax()) if sums.any() else len(stack) // 2


def grey(image: Array, window: tuple[float, float] | None = None) -> NDArray[np.float64]:
    """Values from 0 to 1 for the screen: colours as they are, everything else by window or by percentiles."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if values.ndim == 3 and values.shape[-1] in (3, 4):
        top = 255.0 if values.max() > 1 else 1.0
        return np.clip(values[..., :3] / top, 0, 1)
    values = values[..., 0] if values.ndim == 3 else values
    low, high = window or np.percentile(values, (0.5, 99.5)).tolist()
    return np.asarray(np.clip((values - low) / max(high - low, 1e-12), 0, 1))
