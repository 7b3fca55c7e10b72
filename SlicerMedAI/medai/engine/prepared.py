"""Preprocessed images kept for the next call, and prepared ahead of it.

A second job on the same image (another threshold, another region, a mirror) need not resample and normalise it again,
and the next frame of a sequence is prepared while the network works on this one.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from medai.volume import Volume

Data = dict[Any, Any]
_BUDGET = 1 << 30


class Preparing(Protocol):
    """What prepares images: a `medai.bundles.pipeline.Pipeline`."""

    def preprocess(self, volumes: Sequence[Volume]) -> Data:
        """A batch of one image."""


@dataclass(eq=False)
class _Kept:
    """One batch, or the promise of one.

    Parameters
    ----------
    owner : Pipeline
        Prepares it.
    inputs : tuple of Volume
        What it is made of. Comparing voxels takes a tenth of the time that any digest of them does.
    batch : Future
    is_own : bool
        Whether the inputs are copies; those of somebody else may change when a job is over.
    """

    owner: Preparing
    inputs: tuple[Volume, ...]
    batch: Future[Data]
    is_own: bool = False

    @property
    def nbytes(self) -> int:
        """Of a batch that is there, and of what it is made of."""
        return _size(self.batch.result()) + sum(volume.array.nbytes for volume in self.inputs)

    def is_for(self, pipeline: Preparing, volumes: Sequence[Volume]) -> bool:
        return (
            self.owner is pipeline
            and len(self.inputs) == len(volumes)
            and all(_is_same(*pair) for pair in zip(self.inputs, volumes, strict=True))
        )


class PreparedImages:
    """The last preprocessed images.

    Parameters
    ----------
    budget_bytes : int
        How much memory they and what they are made of may take together; the one used longest ago goes first, and one
        larger than this is not kept at all.
    """

    def __init__(self, budget_bytes: int = _BUDGET) -> None:
        self._budget = budget_bytes
        self._kept: list[_Kept] = []  # the one used longest ago is the first
        self._one_at_a_time = threading.Lock()  # MONAI's transforms keep state while they run
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="prepare")

    def get(self, pipeline: Preparing, volumes: Sequence[Volume]) -> Data:
        """The preprocessed batch, prepared now unless it is there already.

        Parameters
        ----------
        pipeline : Pipeline
            Prepares, and owns what it prepared: only it can undo its own transforms afterwards.
        volumes : sequence of Volume
            The images; found again by their voxels and their place, not by their name.
        """
        kept = self._found(pipeline, volumes)
        if kept is None:
            with self._one_at_a_time:
                kept = _Kept(pipeline, tuple(volumes), _done(pipeline.preprocess(volumes)))
        else:
            self._kept.remove(kept)  # gone if it failed: the next call tries again
        data = kept.batch.result()
        if kept.nbytes > self._budget:
            return data
        if not kept.is_own:
            kept.inputs, kept.is_own = tuple(map(_copy, volumes)), True
        self._kept.append(kept)
        self._make_room()
        return _copied(data)

    def begin(self, pipeline: Preparing, volumes: Sequence[Volume]) -> None:
        """Prepare in the background what `get` will ask for next."""
        if self._found(pipeline, volumes) is not None:
            return

        def work() -> Data:
            with self._one_at_a_time:
                return pipeline.preprocess(volumes)

        self._kept.append(_Kept(pipeline, tuple(volumes), self._ahead.submit(work)))

    def forget(self, pipeline: Preparing) -> None:
        """Forget what belongs to a pipeline that is going."""
        self._kept = [kept for kept in self._kept if kept.owner is not pipeline]

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()

    def _found(self, pipeline: Preparing, volumes: Sequence[Volume]) -> _Kept | None:
        return next((kept for kept in reversed(self._kept) if kept.is_for(pipeline, volumes)), None)

    def _make_room(self) -> None:
        there = [kept for kept in self._kept if _is_there(kept.batch)]
        while sum(kept.nbytes for kept in there) > self._budget:
            self._kept.remove(there.pop(0))


def _is_same(one: Volume, other: Volume) -> bool:
    """Whether two images are prepared alike: of the same voxels, bit by bit, at the same place."""
    return (
        (one.array.shape, one.array.dtype, one.modality) == (other.array.shape, other.array.dtype, other.modality)
        and np.array_equal(one.affine, other.affine)
        and (one.array is other.array or np.array_equal(_bits(one.array), _bits(other.array)))
    )


def _copy(volume: Volume) -> Volume:
    return replace(volume, array=volume.array.copy(), affine=volume.affine.copy())


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    """The values as whole numbers, as wide as they can be: of floats, some are never equal to themselves."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.int64 if flat.nbytes % 8 == 0 else np.uint8)


def _done(data: Data) -> Future[Data]:
    future: Future[Data] = Future()
    future.set_result(data)
    return future


def _is_there(future: Future[Data]) -> bool:
    """Whether it is prepared; what has failed is told to whom it was prepared for."""
    return future.done() and future.exception() is None


def _copied(data: Data) -> Data:
    """The same with voxels and records of its own.

    A network may work in place, and undoing a preprocessing takes its record apart.
    """
    return {name: value.clone() if hasattr(value, "clone") else copy.deepcopy(value) for name, value in data.items()}


def _size(data: Data) -> int:
    return sum(int(value.nbytes) for value in data.values() if hasattr(value, "nbytes"))
