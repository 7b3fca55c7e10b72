"""Keep the last models in memory, so that the second job starts at once."""

from __future__ import annotations

import gc
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medai.bundles.pipeline import Pipeline


class LoadedModels:
    """The last models used.

    Parameters
    ----------
    capacity : int
        How many stay in memory, 1 or more; the one used longest ago goes first.
    """

    def __init__(self, capacity: int = 2) -> None:
        self.capacity = max(capacity, 1)
        self._pipelines: OrderedDict[tuple[Path, str, str], Pipeline] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pipelines)

    def get(self, bundle_root: Path, device: str) -> Pipeline:
        """The bundle's pipeline on `device`, loaded again when any of its files has changed.

        Raises
        ------
        BundleTamperedError
            When a file is not the one that was pinned.
        BundleError
            When the bundle cannot be used; see `Pipeline`.
        """
        from medai.bundles import integrity

        root = bundle_root.resolve()
        key = (root, integrity.digest(root), device)
        if key in self._pipelines:
            self._pipelines.move_to_end(key)
            return self._pipelines[key]
        integrity.check_pins(root)
        # An older state of the same files is of no use to anybody, and room is made before the new model comes.
        stale = [other for other in self._pipelines if other[0] == root and other[1] != key[1]]
        for other in stale:
            del self._pipelines[other]
        while len(self._pipelines) >= self.capacity:
            self._pipelines.popitem(last=False)
        _give_memory_back(device)

        from medai.bundles.pipeline import Pipeline

        pipeline = self._pipelines[key] = Pipeline(root, device)
        return pipeline

    def clear(self) -> None:
        """Forget all models and give their memory back."""
        devices = {key[2] for key in self._pipelines}
        self._pipelines.clear()
        for device in devices:
            _give_memory_back(device)


def _give_memory_back(device: str) -> None:
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
