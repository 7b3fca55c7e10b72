"""Keep the last models in memory, so that the second job starts at once."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from medai.engine.fastest import Fastest
from medai.engine.prepared import PreparedImages

if TYPE_CHECKING:
    from medai.bundles.pipeline import Pipeline
    from medai.engine.backends import Backends, Ready

_SHARE_OF_MEMORY = 8


class LoadedModels:
    """The last models used, and the last images prepared for them.

    Parameters
    ----------
    budget_bytes : int, optional
        How much memory the models' weights may take together; an eighth of the computer's by default. The model used
        longest ago goes first; the one in use always stays.
    backends : Backends or bool
        What computes the networks where it is faster than PyTorch; True makes its own when a model first runs, False
        leaves all to PyTorch.
    """

    def __init__(self, budget_bytes: int | None = None, *, backends: Backends | bool = False) -> None:
        self.budget_bytes = _an_eighth() if budget_bytes is None else budget_bytes
        self._backends = backends
        self.prepared = PreparedImages()
        self._pipelines: OrderedDict[tuple[Path, str, str, str], Pipeline] = OrderedDict()
        self._converted: WeakKeyDictionary[Pipeline, dict[Hashable, Ready]] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._pipelines)

    @property
    def backends(self) -> Backends | None:
        """What computes the networks, or None for PyTorch alone."""
        if self._backends is True:
            from medai.engine.backends import Backends

            self._backends = Backends()
        return self._backends or None

    def get(self, bundle_root: Path, device: str, stem: str = "inference") -> Pipeline:
        """The pipeline of a bundle's configuration on `device`, loaded again when any of its files has changed.

        Raises
        ------
        BundleTamperedError
            When a file is not the one that was pinned.
        BundleError
            When the bundle cannot be used; see `Pipeline`.
        """
        from medai.bundles import integrity

        root = bundle_root.resolve()
        key = (root, integrity.digest(root), device, stem)
        if key in self._pipelines:
            self._pipelines.move_to_end(key)
            return self._pipelines[key]
        integrity.check_pins(root)
        # An older state of the same files is of no use to anybody, and room is made before the new model comes.
        self._forget(other for other in list(self._pipelines) if other[0] == root and other[1] != key[1])
        self._make_room(_weights_on_disk(root))

        from medai.bundles.pipeline import Pipeline

        pipeline = self._pipelines[key] = Pipeline(root, device, stem)
        self._make_room(0)
        return pipeline

    def fastest(self, pipeline: Pipeline, requested: str) -> Fastest:
        """The fastest network of a loaded model, for one job.

        Parameters
        ----------
        pipeline : Pipeline
            From `get`.
        requested : str
            ``"auto"`` or a backend's name.
        """
        return Fastest(self.backends, pipeline, requested, self._converted.setdefault(pipeline, {}))

    def clear(self) -> None:
        """Forget all models and images, and give their memory back."""
        self.prepared.clear()
        self._forget(list(self._pipelines))

    @property
    def converting(self) -> int | None:
        """The id of the process that converts a model in the background now."""
        return None if isinstance(self._backends, bool) else self._backends.pid

    def close(self) -> None:
        """End what runs in the background, in order: it is begun again another time."""
        if not isinstance(self._backends, bool):
            self._backends.close()

    def give_back(self) -> None:
        """Forget everything but the model used last: memory is short."""
        self.prepared.clear()
        self._forget(list(self._pipelines)[:-1])

    def _make_room(self, coming: int) -> None:
        sizes = {key: _size(pipeline) for key, pipeline in self._pipelines.items()}
        keep_last = 0 if coming else 1
        leaving = []
        for key in list(sizes)[: len(sizes) - keep_last]:
            if sum(sizes.values()) + coming <= self.budget_bytes:
                break
            del sizes[key]
            leaving.append(key)
        self._forget(leaving)

    def _forget(self, keys: Iterable[tuple[Path, str, str, str]]) -> None:
        devices = set()
        for key in keys:
            self.prepared.forget(self._pipelines.pop(key))
            devices.add(key[2])
        for device in devices:
            _give_memory_back(device)


def _an_eighth() -> int:
    import psutil

    return int(psutil.virtual_memory().total) // _SHARE_OF_MEMORY


def _size(pipeline: Pipeline) -> int:
    tensors = [*pipeline.network.parameters(), *pipeline.network.buffers()]
    return sum(int(tensor.nbytes) for tensor in tensors)


def _weights_on_disk(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / "models").glob("*") if path.is_file())


def _give_memory_back(device: str) -> None:
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
