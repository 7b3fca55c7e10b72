"""Preprocessed images kept for the next call, and prepared ahead of it.

A second job on the same image (another threshold, another region, a mirror) need not resample and normalise it again,
and the next frame of a sequence is prepared while the network works on this one.
"""

from __future__ import annotations

import copy
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from medai.volume import Volume

Data = dict[Any, Any]
_BUDGET = 1 << 30
_HASHED_AT_ONCE = 4


class Preparing(Protocol):
    """What prepares images: a `medai.bundles.pipeline.Pipeline`."""

    def preprocess(self, volumes: Sequence[Volume]) -> Data:
        """A batch of one image."""


class PreparedImages:
    """The last preprocessed images.

    Parameters
    ----------
    budget_bytes : int
        How much memory they may take together; the one used longest ago goes first, and one larger than this is not
        kept at all.
    """

    def __init__(self, budget_bytes: int = _BUDGET) -> None:
        self._budget = budget_bytes
        self._kept: OrderedDict[tuple[int, str], tuple[Preparing, Future[Data]]] = OrderedDict()
        self._one_at_a_time = threading.Lock()  # MONAI's transforms keep state while they run
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="prepare")

    def get(self, pipeline: Preparing, volumes: Sequence[Volume]) -> Data:
        """The preprocessed batch, prepared now unless it is there already.

        Parameters
        ----------
        pipeline : Pipeline
            Prepares, and owns what it prepared: only it can undo its own transforms afterwards.
        volumes : sequence of Volume
            The images; found again by their content, not by their name.
        """
        key = _key(pipeline, volumes)
        kept = self._kept.get(key)
        if kept is None:
            with self._one_at_a_time:
                return self._keep(key, pipeline, _done(pipeline.preprocess(volumes)))
        return self._keep(key, *kept)

    def begin(self, pipeline: Preparing, volumes: Sequence[Volume]) -> None:
        """Prepare in the background what `get` will ask for next."""
        key = _key(pipeline, volumes)
        if key in self._kept:
            return

        def work() -> Data:
            with self._one_at_a_time:
                return pipeline.preprocess(volumes)

        self._kept[key] = (pipeline, self._ahead.submit(work))

    def forget(self, pipeline: Preparing) -> None:
        """Forget what belongs to a pipeline that is going."""
        for key in [key for key, (owner, _) in self._kept.items() if owner is pipeline]:
            del self._kept[key]

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()

    def _keep(self, key: tuple[int, str], pipeline: Preparing, future: Future[Data]) -> Data:
        self._kept.pop(key, None)  # gone if it raises: the next call tries again
        data = future.result()
        if _size(data) > self._budget:
            return data
        self._kept[key] = (pipeline, future)
        self._make_room()
        return _copied(data)

    def _make_room(self) -> None:
        sizes = {key: _size(future.result()) for key, (_, future) in self._kept.items() if _is_there(future)}
        for key in list(sizes):
            if sum(sizes.values()) <= self._budget:
                break
            del sizes[key], self._kept[key]


def _key(pipeline: Preparing, volumes: Sequence[Volume]) -> tuple[int, str]:
    told = hashlib.sha1(usedforsecurity=False)
    with ThreadPoolExecutor(_HASHED_AT_ONCE) as threads:
        for volume in volumes:
            told.update(f"{volume.array.shape}{volume.array.dtype.str}{volume.modality}".encode())
            told.update(volume.affine.tobytes())
            for part in threads.map(_hash, np.array_split(volume.array, _HASHED_AT_ONCE)):
                told.update(part)
    return id(pipeline), told.hexdigest()


def _hash(planes: NDArray[Any]) -> bytes:
    told = hashlib.sha1(usedforsecurity=False)  # the fastest there is, on any processor
    for plane in planes:
        told.update(np.ascontiguousarray(plane).data)
    return told.digest()


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
