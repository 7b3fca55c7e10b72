"""Where an image lies in relation to another: the rigid motion between them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms import SpatialResample
from numpy.typing import NDArray

from medai.volume import Volume

_SEED = 20_240_601
_SAMPLES, _EVEN_SAMPLES = 20_000, 50_000
_FARTHEST_MM = 40.0  # at the corners of the image; a refinement that leads farther has found something else
_LARGEST = 128
_SHRINKS, _SMOOTHINGS_MM = (4, 2, 1), (4.0, 2.0, 0.0)
_log = logging.getLogger(__name__)


def rigid(fixed: MetaTensor, moving: MetaTensor) -> NDArray[np.float64]:
    """The motion that leads from places in `fixed` to the places that look the same in `moving`.

    Mutual information (Mattes et al., IEEE TMI 2003) is made largest by gradient descent, from coarse to fine,
    beginning with the best of: both centres of the images, both centres of brightness, and no motion. The same images
    always give the same motion.

    Parameters
    ----------
    fixed, moving : MetaTensor, shape (C, i, j, k)
        Only the first channel is looked at.

    Returns
    -------
    ndarray, shape (4, 4)
        Points in RAS mm, (x, y, z, 1) to (x, y, z, 1).
    """
    images = _on_axes(fixed), _on_axes(moving)
    with _one_thread():
        return _registered(*images)


def rigid_between(fixed: Volume, moving: Volume) -> NDArray[np.float64]:
    """`rigid` for two images of one patient and one kind, to a small share of a voxel.

    Where mutual information has come to rest, the correlation of both images is made largest (Powell's method, over
    evenly chosen voxels): that is blunt between kinds of images and far from the goal, but sharp here.
    """
    images = _on_axes(_tensor(fixed)), _on_axes(_tensor(moving))
    with _one_thread():
        return _refined(_registered(*images), *images)


def _refined(matrix: NDArray[np.float64], fixed: sitk.Image, moving: sitk.Image) -> NDArray[np.float64]:
    centre = np.array(fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()]))
    motion = sitk.Euler3DTransform()
    motion.SetCenter(centre.tolist())
    motion.SetMatrix(matrix[:3, :3].ravel().tolist(), 1e-6)
    motion.SetTranslation((matrix[:3, :3] @ centre + matrix[:3, 3] - centre).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(min(1.0, _EVEN_SAMPLES / float(np.prod(fixed.GetSize()))), _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsPowell(
        numberOfIterations=20, maximumLineIterations=30, stepLength=1.0, stepTolerance=1e-4, valueTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([1])
    method.SetSmoothingSigmasPerLevel([1.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(motion, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        _log.warning("An alignment was not refined: %s", str(error).strip().splitlines()[-1])
        return matrix
    found = _matrix(motion)
    ends = np.array(fixed.GetOrigin()), np.array(fixed.TransformIndexToPhysicalPoint(fixed.GetSize()))
    strayed = max(float(np.linalg.norm((found - matrix) @ [*end, 1.0])) for end in ends)
    return found if strayed < _FARTHEST_MM else matrix


def _tensor(volume: Volume) -> MetaTensor:
    values = torch.from_numpy(np.asarray(volume.array, dtype=np.float32).T[np.newaxis].copy())
    return MetaTensor(values, affine=torch.from_numpy(volume.affine.copy()))


def _registered(*images: sitk.Image) -> NDArray[np.float64]:
    registration = _registration(images[0])
    starts = _starts(*images)
    scores = [_score(registration, start, *images) for start in starts]
    best = int(np.argmin(scores))
    if not np.isfinite(scores[best]):
        _log.warning("An image has nothing in common with the template; only their centres were brought together.")
        return _matrix(starts[0])
    found = sitk.Euler3DTransform(starts[best])
    registration.SetInitialTransform(found, inPlace=True)
    try:
        registration.Execute(*images)
    except RuntimeError as error:  # it lost the image on its way
        _log.warning("An image was aligned roughly only: %s", str(error).strip().splitlines()[-1])
        return _matrix(starts[best])
    return _matrix(found if _score(registration, found, *images) <= scores[best] else starts[best])


def _registration(fixed: sitk.Image) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    fine = [n for n in _SHRINKS if n == 1 or min(fixed.GetSize()) // n >= 12]
    method.SetMetricSamplingStrategy(method.RANDOM)
    voxels = float(np.prod(fixed.GetSize()))
    method.SetMetricSamplingPercentagePerLevel([min(1.0, _SAMPLES * n**3 / voxels) for n in fine], _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=5e-4, numberOfIterations=250, relaxationFactor=0.7, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(fine)
    method.SetSmoothingSigmasPerLevel([_SMOOTHINGS_MM[_SHRINKS.index(n)] for n in fine])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return method


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of several threads depend, in their last digit, on who finishes first."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _starts(fixed: sitk.Image, moving: sitk.Image) -> list[sitk.Euler3DTransform]:
    made = sitk.CenteredTransformInitializer
    kinds = sitk.CenteredTransformInitializerFilter
    centres = sitk.Euler3DTransform(made(fixed, moving, sitk.Euler3DTransform(), kinds.GEOMETRY))
    starts = [centres]
    try:
        starts.append(sitk.Euler3DTransform(made(fixed, moving, sitk.Euler3DTransform(), kinds.MOMENTS)))
    except RuntimeError:
        _log.debug("An image without brightness has no centre of it.")
    still = sitk.Euler3DTransform(centres)
    still.SetTranslation((0.0, 0.0, 0.0))
    return [*starts, still]


def _score(method: Any, motion: sitk.Euler3DTransform, fixed: sitk.Image, moving: sitk.Image) -> float:
    method.SetInitialTransform(sitk.Euler3DTransform(motion), inPlace=False)
    try:
        return float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:  # they do not touch
        return float("inf")


def _on_axes(image: MetaTensor) -> sitk.Image:
    """The image on a grid along R, A and S, whatever way its own voxels run, in coordinates of RAS mm."""
    channel = image[:1].as_tensor().to(torch.float32).nan_to_num()
    affine = to_affine_nd(3, image.affine.cpu().numpy().astype(np.float64))
    size = np.array(channel.shape[1:])
    ends = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in size], indexing="ij")).reshape(3, -1)
    corners = affine[:3, :3] @ ends + affine[:3, 3:]
    extent = corners.max(axis=1) - corners.min(axis=1)
    spacing = np.maximum(np.sort(np.linalg.norm(affine[:3, :3], axis=0))[1], extent.max() / _LARGEST).repeat(3)
    origin = corners.min(axis=1) + spacing / 2
    grid = np.diag([*spacing, 1.0])
    grid[:3, 3] = origin
    low, high = (float(value) for value in np.quantile(channel.numpy(), (0.005, 0.995)))
    scaled = (channel.clamp(low, high) - low) / ((high - low) or 1.0)
    placed = MetaTensor(scaled, affine=torch.from_numpy(affine))
    shape = np.maximum(np.ceil(extent / spacing - 1e-6).astype(int), 4).tolist()
    resample = SpatialResample(padding_mode="zeros", dtype=torch.float32)
    values = resample(placed, dst_affine=torch.from_numpy(grid), spatial_size=shape)[0].numpy()
    found = sitk.GetImageFromArray(np.ascontiguousarray(values.T, dtype=np.float32))
    found.SetSpacing(spacing.tolist())
    found.SetOrigin(origin.tolist())
    return found


def _matrix(motion: sitk.Euler3DTransform) -> NDArray[np.float64]:
    center = np.array(motion.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(motion.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = center + np.array(motion.GetTranslation()) - matrix[:3, :3] @ center
    return matrix
