"""A few numbers of a code that can be compared between images of any size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medai.tasks.encode.coding import Coded

Floats = NDArray[np.float32]


def features(parts: Sequence[Coded]) -> tuple[tuple[str, ...], Floats]:
    """What the codes of a cohort are compared by.

    A code with a place in the image has as many cells as the image has room for. Of each of its channels the mean and
    the standard deviation over all cells are taken, every cell weighted with the brightness of the image there: so
    neither the size of the image, nor where in it the patient lies, nor the air around changes them much. The code of a
    network that takes images whole is taken as it is.

    Parameters
    ----------
    parts : sequence of Coded
        Of one image: one, or one for each of its slices.

    Returns
    -------
    names : tuple of str
    values : ndarray of float32, shape (F,)
    """
    # (C, cells of all parts)
    code = np.concatenate([part.code.reshape(len(part.code), -1) for part in parts], axis=1).astype(np.float64)
    if code.shape[1] == 1:
        return tuple(f"code {n}" for n in range(len(code))), code[:, 0].astype(np.float32)
    weight = np.concatenate([part.weight.ravel() for part in parts]).astype(np.float64)
    weight = weight / weight.sum() if weight.sum() > 0 else np.full(len(weight), 1 / len(weight))
    mean = code @ weight
    deviation = np.sqrt(np.maximum(((code - mean[:, np.newaxis]) ** 2) @ weight, 0))
    names = [f"{what} {n}" for what in ("mean", "SD") for n in range(len(code))]
    return tuple(names), np.concatenate([mean, deviation]).astype(np.float32)
