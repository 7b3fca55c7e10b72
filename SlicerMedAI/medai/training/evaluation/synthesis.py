"""How a generator's images compare with real ones: how like, how varied, and whether they are copies.

Nothing here knows where the images come from; all functions take arrays.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from medai.errors import InputError
from medai.training.evaluation.bootstrap import Interval
from medai.training.evaluation.undefined import Undefined

Floats = NDArray[np.float64]
Images = NDArray[np.float32]

_DRAWS = 100
_FOLDS = 5
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first (Wang et al., Asilomar 2003)
_WINDOW, _SMALL_WINDOW = 7, 3


def frechet_distance(made: Floats, real: Floats) -> float:
    """Distance of two sets of feature vectors, each taken for a normal distribution (Heusel et al., NeurIPS 2017).

    Parameters
    ----------
    made, real : ndarray, shape (N, F) and (M, F)
        At least two vectors of at least two numbers each.
    """
    import torch
    from monai.metrics import FIDMetric
    from scipy.linalg import LinAlgWarning

    with warnings.catch_warnings():
        # MONAI still asks SciPy for what it will do by itself one day.
        warnings.filterwarnings("ignore", ".*`disp` argument.*", DeprecationWarning)
        warnings.simplefilter("ignore", LinAlgWarning)  # images without any variety have a distance too
        found = FIDMetric()(torch.as_tensor(made, dtype=torch.float64), torch.as_tensor(real, dtype=torch.float64))
    return max(float(found), 0.0)


def frechet_with_floor(made: Floats, real: Floats, *, seed: int = 0, draws: int = _DRAWS) -> dict[str, Interval]:
    """Fréchet distance of synthetic to real images, beside that of real images to other real images.

    The distance is larger the fewer images it is computed from, so both are means over draws of equally many: a half
    of the real images against as many synthetic ones, and against the other half.

    Parameters
    ----------
    made, real : ndarray, shape (N, F) and (M, F)
    seed : int
    draws : int

    Returns
    -------
    dict of str to Interval
        ``"fid"`` and ``"fid_real"``, with the 2.5 and 97.5 percentiles over the draws.
    """
    half = min(len(real) // 2, len(made))
    if half < 2:
        nothing = Undefined("too few images")
        return dict.fromkeys(("fid", "fid_real"), Interval(nothing, nothing, nothing))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        order = rng.permutation(len(real))
        one, other = real[order[:half]], real[order[half : 2 * half]]
        some = made[rng.permutation(len(made))[:half]]
        found.append((frechet_distance(some, one), frechet_distance(other, one)))
    table = np.array(found)
    low, high = np.quantile(table, (0.025, 0.975), axis=0)
    return {
        name: Interval(float(table[:, n].mean()), float(low[n]), float(high[n]))
        for n, name in enumerate(("fid", "fid_real"))
    }


def likeness_of_pairs(images: Images, *, seed: int = 0) -> Floats:
    """Multi-scale structural similarity of images drawn in pairs, each image in one pair only.

    A generator that always gives the same image has 1; compare with that of real images (Odena et al., ICML 2017).

    Parameters
    ----------
    images : ndarray, shape (N, \\*spatial)
        2D or 3D, values from 0 to 1.
    seed : int
        Of the pairs.

    Returns
    -------
    ndarray, shape (N // 2,)
    """
    import torch
    from monai.metrics import MultiScaleSSIMMetric

    window, scales = scales_of(images.shape[1:])
    weights = [weight / sum(_WEIGHTS[:scales]) for weight in _WEIGHTS[:scales]]
    metric = MultiScaleSSIMMetric(images.ndim - 1, data_range=1.0, kernel_size=window, weights=weights)
    order = np.random.default_rng(seed).permutation(len(images))
    pairs = order[: len(images) // 2 * 2].reshape(-1, 2)
    one, other = (torch.from_numpy(np.ascontiguousarray(images[pairs[:, n], None])) for n in (0, 1))
    found = [float(metric(one[n : n + 1], other[n : n + 1])) for n in range(len(pairs))]
    return np.array(found, dtype=np.float64)


def scales_of(shape: Sequence[int]) -> tuple[int, int]:
    """Edge of the window and number of scales (1 to 5) of MS-SSIM, as large as the image allows.

    Raises
    ------
    InputError
        When an edge is shorter than the smallest window.
    """
    least = min(shape)
    if least < _SMALL_WINDOW:
        raise InputError(
            "The images cannot be compared.",
            f"They are {' x '.join(map(str, shape))} voxels; at least {_SMALL_WINDOW} along every edge are needed.",
            "Use a model that makes larger images.",
        )
    window = _WINDOW if least >= 2 * _WINDOW else _SMALL_WINDOW
    # The second is what MONAI asks for.
    fits = [n for n in range(1, 6) if least >> (n - 1) >= window and least // max(1, n - 1) ** 2 > window - 1]
    return window, max(fits)


def nearest(images: Images, among: Images, *, mirrored: Sequence[int] = ()) -> tuple[NDArray[np.intp], Floats]:
    """For every image the one of others that is nearest, by the root of the mean squared difference of their voxels.

    Parameters
    ----------
    images, among : ndarray, shape (N, ...) and (M, ...)
    mirrored : sequence of int
        Axes (1 is the first after N) along which a mirror image of another is a copy too.

    Returns
    -------
    ndarray of int, shape (N,)
        Which one.
    ndarray, shape (N,)
        How far.
    """
    import torch

    flips = [axes for count in range(len(mirrored) + 1) for axes in combinations(mirrored, count)]
    rows = torch.from_numpy(np.ascontiguousarray(images.reshape(len(images), -1), dtype=np.float32))
    best: NDArray[np.float32] | None = None
    for axes in flips:
        others = np.flip(among, axes) if axes else among
        columns = torch.from_numpy(np.ascontiguousarray(others.reshape(len(among), -1), dtype=np.float32))
        # By products it would be faster, and the distance of an image to its copy not 0.
        apart = torch.cdist(rows, columns, compute_mode="donot_use_mm_for_euclid_dist").numpy()
        best = apart if best is None else np.minimum(best, apart)
    assert best is not None
    which = best.argmin(axis=1)
    return which, best[np.arange(len(best)), which].astype(np.float64) / np.sqrt(rows.shape[1])


def told_apart(made: Floats, real: Floats, *, seed: int = 0) -> tuple[NDArray[np.intp], Floats]:
    """What a logistic regression that has not seen an image says of it: real or synthetic?

    Parameters
    ----------
    made, real : ndarray, shape (N, F) and (M, F)
    seed : int
        Of the five folds of the cross-validation.

    Returns
    -------
    ndarray of int, shape (N + M,)
        1 for the synthetic ones, which come first.
    ndarray, shape (N + M,)
        Probability to be synthetic.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.model_selection import StratifiedKFold, cross_val_predict  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

    truth = np.repeat([1, 0], [len(made), len(real)])
    folds = min(_FOLDS, len(made), len(real))
    if folds < 2:
        return truth, np.full(len(truth), np.nan)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000))
    divided = StratifiedKFold(folds, shuffle=True, random_state=seed)
    said = cross_val_predict(model, np.concatenate([made, real]), truth, cv=divided, method="predict_proba")
    return truth, np.asarray(said[:, 1], dtype=np.float64)
