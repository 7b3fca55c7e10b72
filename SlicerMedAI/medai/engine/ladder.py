"""Run a model within the memory there is: when it runs out, step down to something smaller and say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from medai.engine.devices import Device
from medai.engine.mirrors import Axes, Mirrored
from medai.errors import OutOfMemoryError
from medai.volume import Affine, Volume

if TYPE_CHECKING:
    from medai.bundles.pipeline import Pipeline
    from medai.bundles.prediction import Prediction
    from medai.engine.loaded import LoadedModels
    from medai.engine.regions import Block

OnWindow = Callable[[int, int], None]
"""Called with the windows done and those there are; may raise to stop."""


class Choices(Protocol):
    """What a person chose of how the network is run; see `medai.tasks.segment.SegmentParameters`."""

    @property
    def overlap(self) -> float | None: ...
    @property
    def sw_batch_size(self) -> int | None: ...
    @property
    def backend(self) -> str: ...


@dataclass(frozen=True)
class _Rung:
    """One way to run the model.

    Parameters
    ----------
    device : Device
        Where.
    sw_batch_size : int or None
        Windows per forward pass; None is the model's own number.
    """

    device: Device
    sw_batch_size: int | None = None


class Ladder:
    """One model for one job, on the highest rung that its memory allows. Once down, it stays down for the job.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    device : Device
        Where to begin.
    loaded : LoadedModels
        Where the model is found or kept.
    choices : Choices
        What the person chose.
    tell : callable
        Hears of every step down, in a person's words.
    """

    def __init__(
        self, root: Path, device: Device, loaded: LoadedModels, choices: Choices, tell: Callable[[str], None]
    ) -> None:
        self._root = root
        self._loaded = loaded
        self._choices = choices
        self._tell = tell
        self._rung = _Rung(device, choices.sw_batch_size)
        self._pipeline: Pipeline | None = None

    @property
    def device(self) -> Device:
        """Where the model runs now."""
        return self._rung.device

    @property
    def pipeline(self) -> Pipeline:
        """The model, loaded when it is first needed."""
        if self._pipeline is None:
            self._pipeline = self._loaded.get(self._root, self.device.name)
        return self._pipeline

    def prepare_ahead(self, volumes: Sequence[Volume]) -> None:
        """Begin to preprocess, in the background, what `predict` will be asked for next."""
        self._loaded.prepared.begin(self.pipeline, volumes)

    def model_affine(self, volumes: Sequence[Volume]) -> Affine:
        """(i, j, k) of the preprocessed image to RAS mm."""
        batch = self._loaded.prepared.get(self.pipeline, volumes)
        return np.asarray(self.pipeline.image_of(batch).affine.cpu().squeeze(0), dtype=np.float64)

    def predict(self, volumes: Sequence[Volume], axes: Axes, block: Block | None, on_window: OnWindow) -> Prediction:
        """The model's labels for one image, on its grid.

        Parameters
        ----------
        volumes : sequence of Volume
            One per input of the model.
        axes : tuple of int
            Spatial axes along which the network sees its input mirrored.
        block : tuple of slice, or None
            Slices along (k, j, i) outside of which no labels are needed.
        on_window : callable
            Hears of every window.

        Raises
        ------
        OutOfMemoryError
            When there is no smaller way left.
        """
        while True:
            try:
                return self._predict(volumes, axes, block, on_window)
            except OutOfMemoryError:
                lower = self._lower()
                if lower is None:
                    raise
                step, self._rung = lower
            self._tell(f"Memory ran out; {step}.")

    def _predict(self, volumes: Sequence[Volume], axes: Axes, block: Block | None, on_window: OnWindow) -> Prediction:
        pipeline = self.pipeline
        batch = self._loaded.prepared.get(pipeline, volumes)
        total = pipeline.count_windows(batch, overlap=self._choices.overlap)
        on_window(0, total)
        network = Mirrored(pipeline.network, axes) if axes else pipeline.network
        sample = pipeline.infer(
            batch,
            network,
            overlap=self._choices.overlap,
            sw_batch_size=self._rung.sw_batch_size,
            on_window=lambda done: on_window(done, total),
        )
        return pipeline.postprocess(sample, volumes[0])

    def _lower(self) -> tuple[str, _Rung] | None:
        """The next rung, and what it means in half a sentence; None on the lowest."""
        rung = self._rung
        windows_at_once = rung.sw_batch_size or int(getattr(self.pipeline.inferer, "sw_batch_size", 1))
        if windows_at_once > 1 and self._choices.sw_batch_size is None:
            return "the image was processed one window at a time instead", replace(rung, sw_batch_size=1)
        return None
