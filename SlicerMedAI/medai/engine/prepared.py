"""Preprocessed images kept for the next call, and prepared ahead of it.

A second job on the same image (another threshold, another region, a mirror) need not resample and normalise it again,
and the next frame of a sequence is prepared while the network works on this one.
"""

from __future__ import annotations

import copy
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from medai.volume import Volume

Data = dict[Any, Any]
Prepare = Callable[["Sequence[Volume]"], Data]
_BUDGET = 1 << 30


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
        self._kept: OrderedDict[str, Future[Data]] = OrderedDict()
        self._one_at_a_time = threading.Lock()  # MONAI's transforms keep state while they run
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="prepare")

    def get(self, owner: str, prepare: Prepare, volumes: Sequence[Volume]) -> Data:
        """The preprocessed batch, prepared now unless it is there already.

        Parameters
        ----------
        owner : str
            What else the result depends on: the model's digest and its device.
        prepare : callable
            Makes the batch.
        volumes : sequence of Volume
            The images; found again by their content, not by their name.
        """
        key = _key(owner, volumes)
        future = self._kept.get(key)
        if future is None:
            with self._one_at_a_time:
                return self._keep(key, _done(prepare(volumes)))
        return self._keep(key, future)

    def begin(self, owner: str, prepare: Prepare, volumes: Sequence[Volume]) -> None:
        """Prepare in the background what `get` will ask for next."""
        key = _key(owner, volumes)
        if key in self._kept:
            return

        def work() -> Data:
            with self._one_at_a_time:
                return prepare(volumes)

        self._kept[key] = self._ahead.submit(work)

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()

    def _keep(self, key: str, future: Future[Data]) -> Data:
        self._kept.pop(key, None)  # gone if it raises: the next call tries again
        data = future.result()
        if _size(data) <= self._budget:
            self._kept[key] = future
            self._make_room()
        return _untouched(data)

    def _make_room(self) -> None:
        sizes = {key: _size(future.result()) for key, future in self._kept.items() if future.done()}
        for key in list(sizes):
            if sum(sizes.values()) <= self._budget:
                break
            del sizes[key], self._kept[key]


def _key(owner: str, volumes: Sequence[Volume]) -> str:
    told = hashlib.blake2b(owner.encode())
    for volume in volumes:
        told.update(f"{volume.array.shape}{volume.array.dtype.str}{volume.modality}".encode())
        told.update(volume.affine.tobytes())
        for plane in volume.array:
            told.update(np.ascontiguousarray(plane).data)
    return told.hexdigest()


def _done(data: Data) -> Future[Data]:
    future: Future[Data] = Future()
    future.set_result(data)
    return future


def _untouched(data: Data) -> Data:
    """The same voxels under records of their own: undoing a preprocessing takes its record apart."""
    fresh: Data = {}
    for name, value in data.items():
        if hasattr(value, "applied_operations"):
            twin = value.as_tensor().view_as(value.as_tensor())
            fresh[name] = type(value)(
                twin, meta=copy.deepcopy(value.meta), applied_operations=copy.deepcopy(value.applied_operations)
            )
            fresh[name].is_batch = getattr(value, "is_batch", False)
        else:
            fresh[name] = copy.deepcopy(value) if isinstance(value, (dict, list)) else value
    return fresh


def _size(data: Data) -> int:
    return sum(int(value.nbytes) for value in data.values() if hasattr(value, "nbytes"))
