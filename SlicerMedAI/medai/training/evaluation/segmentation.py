"""How well one structure's mask fits its reference: overlap, distance of surfaces in mm, volume.

Where a mask is empty
---------------------
Both empty: the structure is rightly absent. Dice is `Undefined` and not counted in means, as in MONAI
(``ignore_empty``) and nnU-Net; a 1 would reward easy cases and a 0 would punish a right answer. Only one empty: Dice
is 0. Surface distances need two surfaces and are `Undefined` whenever one is missing: no number in mm stands for "not
found" (Maier-Hein et al., Nature Methods 2024, "Metrics reloaded", on empty references). Such cases are counted
instead, so read distances beside the number of missed structures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.metrics import compute_dice
from monai.metrics.utils import get_edge_surface_distance
from numpy.typing import NDArray

from medai.errors import GeometryError
from medai.training.evaluation.undefined import Undefined

Mask = NDArray[np.bool_]

UNITS = {
    "dice": "",
    "surface_distance_mm": "mm",
    "hd95_mm": "mm",
    "volume_error_ml": "mL",
    "volume_error_percent": "%",
    "volume_reference_ml": "mL",
    "volume_prediction_ml": "mL",
}


def segmentation_metrics(reference: Mask, prediction: Mask, spacing: Sequence[float]) -> dict[str, float]:
    """Metrics of one structure in one image.

    Parameters
    ----------
    reference, prediction : ndarray of bool, shape (K, J, I) or (J, I)
        The structure by a person and by the model, on the same grid.
    spacing : sequence of float
        Voxel size in mm along the array's axes: ``(k, j, i)``, or ``(j, i)`` with a slice of 1 mm.

    Returns
    -------
    dict of str to float
        ``dice``; ``surface_distance_mm``, the average over the surface voxels of both masks of the distance to the
        other surface; ``hd95_mm``, the larger of the two directed 95th percentiles (Hausdorff distance without the
        worst 5 %); ``volume_error_ml`` (prediction minus reference), ``volume_error_percent`` of the reference;
        ``volume_reference_ml`` and ``volume_prediction_ml``.

    Raises
    ------
    GeometryError
        When the masks are not on the same grid, or the spacing does not fit.
    """
    if reference.shape != prediction.shape or reference.ndim != len(spacing) or not np.all(np.asarray(spacing) > 0):
        raise GeometryError(
            "The segmentation cannot be compared with its reference.",
            f"The reference has {reference.shape} voxels, the prediction {prediction.shape}, with a spacing of "
            f"{tuple(float(s) for s in spacing)} mm.",
            "Bring both to the same grid first.",
        )
    y, p = np.asarray(reference, bool), np.asarray(prediction, bool)
    voxel_ml = float(np.prod(spacing)) / 1000.0
    real, said = int(y.sum()) * voxel_ml, int(p.sum()) * voxel_ml
    distance, hd95 = _surface_distances(y, p, spacing)
    return {
        "dice": _dice(y, p),
        "surface_distance_mm": distance,
        "hd95_mm": hd95,
        "volume_error_ml": said - real,
        "volume_error_percent": 100 * (said - real) / real if real else Undefined("the reference is empty"),
        "volume_reference_ml": real,
        "volume_prediction_ml": said,
    }


def _dice(y: Mask, p: Mask) -> float:
    import torch

    if not y.any() and not p.any():
        return Undefined("absent in the reference and in the prediction")
    masks = (torch.as_tensor(m[None, None].astype(np.uint8)) for m in (p, y))
    return float(compute_dice(*masks, include_background=True, ignore_empty=False).item())


def _surface_distances(y: Mask, p: Mask, spacing: Sequence[float]) -> tuple[float, float]:
    import torch

    if not y.any() or not p.any():
        missing = "in the reference" if not y.any() else "in the prediction"
        nothing = Undefined(
            "absent in the reference and in the prediction" if not y.any() and not p.any() else f"absent {missing}"
        )
        return nothing, nothing
    # In a single slice every voxel would be surface, seen from the third direction.
    flat = [axis for axis, size in enumerate(y.shape) if size == 1 and y.ndim == 3][:1]
    kept = [s for axis, s in enumerate(spacing) if axis not in flat]
    masks = (torch.as_tensor(np.squeeze(m, tuple(flat))) for m in (p, y))
    _, distances, _ = get_edge_surface_distance(*masks, spacing=kept, symmetric=True)
    directed = [d.double().numpy() for d in distances]
    return float(np.concatenate(directed).mean()), float(max(np.percentile(d, 95) for d in directed))
