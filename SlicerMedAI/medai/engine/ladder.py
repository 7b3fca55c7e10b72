"""Run a model within the memory there is: when it runs out, step down to something smaller and say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from medai.engine.devices import Device
from medai.engine.mirrors import Mirrored, Mirrors
from medai.engine.rungs import Rung, lower
from medai.engine.streaming.errors import WholeOutputError
from medai.errors import BundleError, OutOfMemoryError
from medai.volume import Affine, Volume

if TYPE_CHECKING:
    import torch

    from medai.bundles.pipeline import Data, Pipeline
    from medai.bundles.prediction import Prediction
    from medai.engine.fastest import Fastest
    from medai.engine.loaded import LoadedModels
    from medai.engine.regions import Block

_Found = TypeVar("_Found")
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
    mention : callable, optional
        Hears of which backend computes, and why; `tell` unless given.
    stem : str
        Which of the bundle's configurations, see `medai.bundles.encoders`.
    """

    def __init__(
        self,
        root: Path,
        device: Device,
        loaded: LoadedModels,
        choices: Choices,
        tell: Callable[[str], None],
        *,
        mention: Callable[[str], None] | None = None,
        stem: str = "inference",
    ) -> None:
        self._root = root
        self._stem = stem
        self._loaded = loaded
        self._choices = choices
        self._tell = tell
        self._mention = mention or tell
        self._rung = Rung(device, choices.sw_batch_size)
        self._steps: list[str] = []
        self._pipeline: Pipeline | None = None
        self._fastest: Fastest | None = None
        self._at_once = 1

    @property
    def device(self) -> Device:
        """Where the model runs now."""
        return self._rung.device

    @property
    def pipeline(self) -> Pipeline:
        """The model, loaded when it is first needed."""
        if self._pipeline is None:
            self._pipeline = self._loaded.get(self._root, self.device.name, self._stem)
            self._fastest = self._loaded.fastest(self._pipeline, self._choices.backend)
        return self._pipeline

    def prepare_ahead(self, volumes: Sequence[Volume]) -> None:
        """Begin to preprocess, in the background, what `predict` will be asked for next."""
        self._loaded.prepared.begin(self.pipeline, volumes)

    def model_affine(self, volumes: Sequence[Volume]) -> Affine:
        """(i, j, k) of the preprocessed image to RAS mm."""
        batch = self.preprocessed(volumes)
        return np.asarray(batch[self.pipeline.image_key(batch)].affine.cpu().squeeze(0), dtype=np.float64)

    @property
    def inferer(self) -> Any:
        """How the network goes over an image now."""
        changes = self._rung.changes(self.pipeline.inferer, self._at_once)
        return self.pipeline.inferer_for(**changes, overlap=self._choices.overlap)

    def preprocessed(self, volumes: Sequence[Volume]) -> Data:
        """A batch of one image, kept for the next call."""
        return self._loaded.prepared.get(self.pipeline, volumes)

    def infer(
        self, batch: Data, on_window: OnWindow, *, network: torch.nn.Module | None = None, inferer: Any = None
    ) -> Data:
        """The network's own output for a preprocessed batch, on the rung where the model is; to be called in `run`.

        Parameters
        ----------
        batch : dict
            From `preprocessed`.
        on_window : callable
            Hears of every window.
        network, inferer
            In place of the fastest that is known of the bundle's own, and of `inferer`.

        Returns
        -------
        dict
            As from `Pipeline.infer`.
        """
        total = self.pipeline.count_windows(batch, inferer=inferer or self.inferer)
        on_window(0, total)
        if network is None:
            network = self._network(batch, lambda: on_window(0, total))
        network = self._rung.in_precision(network)
        return self.pipeline.infer(
            batch, network, inferer=inferer or self.inferer, on_window=lambda n: self._at_window(on_window, n, total)
        )

    def predict(self, volumes: Sequence[Volume], seen: Mirrors, block: Block | None, on_window: OnWindow) -> Prediction:
        """The model's labels for one image, on its grid.

        Parameters
        ----------
        volumes : sequence of Volume
            One per input of the model.
        seen : tuple of tuple of int
            Mirrors in which the network sees its input, each by the spatial axes it is mirrored along; the mean of
            its outputs is taken.
        block : tuple of slice, or None
            Slices along (k, j, i) outside of which no labels are needed.
        on_window : callable
            Hears of every window.

        Raises
        ------
        OutOfMemoryError
            When there is no smaller way left.
        """
        return self.run(lambda: self._predict(volumes, seen, block, on_window), streamed=True)

    def run(self, compute: Callable[[], _Found], *, streamed: bool = False) -> _Found:
        """What a computation on `pipeline` gives, which is begun again one rung down whenever memory runs out.

        Parameters
        ----------
        compute : callable
        streamed : bool
            Whether it can go through the image in parts.

        Raises
        ------
        OutOfMemoryError
            When there is no smaller way left.
        """
        short: OutOfMemoryError | None = None
        while True:
            try:
                found = compute()
            except OutOfMemoryError as error:
                # Their frames would keep the memory that was too much.
                short = error.with_traceback(None)
                short.__cause__ = short.__context__ = None
            except BundleError:
                # Not every network takes windows of another size.
                if short is None or not self._rung.smaller_windows:
                    raise
            else:
                self._tell_what_computes()  # which may have changed on the way
                return found
            self._step_down(short, streamed)

    def _step_down(self, short: OutOfMemoryError, streamed: bool) -> None:
        self._loaded.give_back()
        following = lower(
            self._rung,
            self.pipeline.inferer,
            at_once=self._at_once,
            windows_chosen=self._choices.sw_batch_size is not None,
            merging_elsewhere=isinstance(short, WholeOutputError),
            streamed=streamed,
        )
        if following is None:
            raise self._exhausted(short)
        before = self.device
        step, self._rung = following
        if self.device.name != before.name:
            self._pipeline = None
        self._steps.append(step)
        self._tell(f"Memory ran out; {step}. The image was begun again.")

    def _exhausted(self, short: OutOfMemoryError) -> OutOfMemoryError:
        """What to raise when there is no smaller way left: with the ways that were tried."""
        tried = f" Tried in vain: {'; '.join(self._steps)}." if self._steps else ""
        return OutOfMemoryError(short.what, f"{short.why}{tried}", short.remedy, details=short.details)

    def _predict(
        self, volumes: Sequence[Volume], seen: Mirrors, block: Block | None, on_window: OnWindow
    ) -> Prediction:
        from medai.engine.streaming.predict import count, predict

        pipeline = self.pipeline
        batch = self.preprocessed(volumes)
        total = count(pipeline, batch, volumes[0], inferer=self.inferer, region=block)
        on_window(0, total)
        network = self._rung.in_precision(self._network(batch, lambda: on_window(0, total)))
        return predict(
            pipeline,
            batch,
            volumes[0],
            inferer=self.inferer,
            network=network if seen == ((),) else Mirrored(network, seen),
            on_window=lambda done: self._at_window(on_window, done, total),
            region=block,
            budget_bytes=self._rung.budget_bytes,
        )

    def _network(self, batch: Data, while_waiting: Callable[[], None]) -> torch.nn.Module:
        """The fastest that is known; why it is, is told. From then on `inferer` suits it."""
        pipeline, fastest = self.pipeline, self._fastest
        assert fastest is not None  # as the pipeline is there
        image = batch[pipeline.image_key(batch)]
        network = fastest.network(image, while_waiting)
        self._at_once = fastest.at_once(network, image)
        self._tell_what_computes()
        return network

    def _tell_what_computes(self) -> None:
        if self._fastest is not None and self._fastest.reason:
            self._mention(self._fastest.reason)

    def _at_window(self, on_window: OnWindow, done: int, total: int) -> None:
        if self._fastest is not None:
            self._fastest.at_window()
        on_window(done, total)
