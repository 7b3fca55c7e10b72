"""A labelled structure that shrinks smoothly, with all that is around it.

The structure's volume decays as exp(-rate * time) when the flow's divergence is -rate inside of it. Of all velocity
fields with a given divergence, the gradient of a potential moves the least; it is found by solving Poisson's equation
with Fourier transforms. The flow of a stationary velocity, by scaling and squaring (Arsigny et al., MICCAI 2006), is a
diffeomorphism: nothing folds or tears (such simulations: Karacali and Davatzikos, IEEE Trans Med Imaging 25 (2006)
649).
"""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from medai.errors import InputError
from medai.volume import Volume

Floats = NDArray[np.float64]

_MARGIN = 8  # voxels around the image, in which what flows towards the structure is made up for
_SOFT = 1.0  # voxels, over which the divergence fades at the structure's surface
_SQUARINGS = 5
_ROUNDS = 3
_CLOSE = 1e-4


class Shrinkage:
    """How one image changes while a structure in it loses volume.

    Parameters
    ----------
    image, label : Volume
        On one grid; all that is not 0 in the label is the structure.

    Raises
    ------
    InputError
        When the label marks nothing, or lies on another grid.
    """

    def __init__(self, image: Volume, label: Volume) -> None:
        if not image.same_grid(label, 1e-2) or not np.asarray(label.array, dtype=np.float64).any():
            raise InputError(
                f"No series can be simulated from '{image.name}'.",
                "Its label map marks nothing, or does not lie on the image's grid.",
                "Give an image with a label map of the structure that is to shrink.",
            )
        self.image, self.label = image, label
        self._scan = _image(image.array.reshape(image.shape).astype(np.float32), image.spacing)
        self._low = float(image.array.min())
        self._labels = _image(label.array.reshape(label.shape).astype(np.float32), image.spacing)
        self._mask = sitk.Cast(self._labels > 0, sitk.sitkFloat32)
        self._velocity = _velocity(np.asarray(label.array, dtype=np.float64).reshape(label.shape) > 0, image.spacing)
        self._pace = 1.0
        self._voxel_ml = image.voxel_volume_ml
        self._before = float(sitk.GetArrayViewFromImage(self._mask).sum(dtype=np.float64))

    @property
    def volume_ml(self) -> float:
        """Of the structure, before it shrinks."""
        return self._before * self._voxel_ml

    def shrunken(self, share: float, pose: sitk.Transform | None = None) -> tuple[Volume, Volume, float]:
        """The image after the structure has lost a share of its volume.

        Parameters
        ----------
        share : float
            0 to below 1; below 0 it grows.
        pose : SimpleITK.Transform, optional
            From the new image's places to those of the patient, in mm of the grid: how the patient lies this time.

        Returns
        -------
        image, label : Volume
            On the grid of the image; float32, and the type of the label map.
        volume_ml : float
            Of the structure, voxels at its surface counted by the part of them that is inside.

        Raises
        ------
        InputError
            When the share is no such number.
        """
        if not -1 < share < 0.95:
            raise InputError(
                f"A structure cannot lose {share:.0%} of its volume.", "", "Choose a smaller rate or time."
            )
        flow, volume = self._flow(share)
        whole = sitk.CompositeTransform(3)
        whole.AddTransform(sitk.DisplacementFieldTransform(flow))
        if pose is not None:
            whole.AddTransform(pose)  # the last that is added is applied first
        scan = sitk.Resample(self._scan, self._scan, whole, sitk.sitkBSpline, self._low)
        high = float(self.image.array.max())
        values = np.clip(sitk.GetArrayFromImage(scan), self._low, high)
        return (
            Volume(values, self.image.affine, self.image.name, self.image.modality),
            Volume(self._labelled(whole), self.image.affine, self.label.name),
            volume,
        )

    def _labelled(self, moved: sitk.Transform) -> NDArray[np.generic]:
        """Of every voxel the structure that most of it belongs to: the nearest voxel would hide small motions."""
        present = [value for value in np.unique(self.label.array) if value]
        parts = [
            sitk.GetArrayFromImage(
                sitk.Resample(sitk.Cast(self._labels == float(value), sitk.sitkFloat32), moved, sitk.sitkLinear, 0.0)
            )
            for value in present
        ]
        inside = np.sum(parts, axis=0) > 0.5
        chosen = np.asarray(present, dtype=self.label.array.dtype)[np.argmax(parts, axis=0)]
        return np.where(inside, chosen, np.zeros((), dtype=chosen.dtype))

    def _flow(self, share: float) -> tuple[sitk.Image, float]:
        """Displacements from where things will be to where they were, and the volume they leave.

        The structure's surface is not all in one voxel, so the flow lasts a little longer or shorter than it would take
        in theory: by what its own effect says.
        """
        wanted = -math.log1p(-share)
        flow, left = self._after(self._pace * wanted)
        for _ in range(_ROUNDS):
            reached = -math.log(left / self._before)
            if abs(reached - wanted) < _CLOSE or not reached:
                break
            self._pace *= wanted / reached  # nearly the same whatever the share, so the next one begins with it
            flow, left = self._after(self._pace * wanted)
        return flow, left * self._voxel_ml

    def _after(self, lasts: float) -> tuple[sitk.Image, float]:
        flow = _exponential(-lasts * self._velocity, self.image.spacing)
        moved = sitk.Resample(self._mask, sitk.DisplacementFieldTransform(sitk.Image(flow)), sitk.sitkLinear, 0.0)
        return flow, float(sitk.GetArrayViewFromImage(moved).sum(dtype=np.float64))


def _velocity(mask: NDArray[np.bool_], spacing: tuple[float, float, float]) -> Floats:
    """Velocity of unit rate, shape (K, J, I, 3), mm along (i, j, k): its divergence is -1 in the structure."""
    soft = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(_image(mask.astype(np.float32)), _SOFT))
    wide = np.pad(-soft.astype(np.float64), _MARGIN)
    source = np.fft.rfftn(wide - wide.mean())
    step = spacing[::-1]
    waves = [
        2 * np.pi * (np.fft.rfftfreq if axis == 2 else np.fft.fftfreq)(wide.shape[axis], step[axis])
        for axis in range(3)
    ]
    grids = np.meshgrid(*waves, indexing="ij")
    squared = sum(wave**2 for wave in grids)
    squared[0, 0, 0] = 1.0
    inside = tuple(slice(_MARGIN, -_MARGIN) for _ in range(3))
    along = [np.fft.irfftn(-1j * wave / squared * source, s=wide.shape, axes=(0, 1, 2))[inside] for wave in grids]
    return np.stack(along[::-1], axis=-1)


def _exponential(velocity: Floats, spacing: tuple[float, float, float]) -> sitk.Image:
    """Displacement field of the flow after unit time."""
    flow = _image(velocity / 2**_SQUARINGS, spacing, vector=True)
    for _ in range(_SQUARINGS):
        twice = sitk.CompositeTransform(3)
        twice.AddTransform(sitk.DisplacementFieldTransform(sitk.Image(flow)))
        twice.AddTransform(sitk.DisplacementFieldTransform(sitk.Image(flow)))
        flow = sitk.TransformToDisplacementField(
            twice, sitk.sitkVectorFloat64, flow.GetSize(), flow.GetOrigin(), flow.GetSpacing(), flow.GetDirection()
        )
    return flow


def _image(array: NDArray[np.floating], spacing: tuple[float, ...] = (1, 1, 1), *, vector: bool = False) -> sitk.Image:  # type: ignore[type-arg]
    """An image on the grid's own axes: where the grid lies in the patient does not matter to what happens in it."""
    made = sitk.GetImageFromArray(array, isVector=vector)
    made.SetSpacing([float(edge) for edge in spacing])
    return made
