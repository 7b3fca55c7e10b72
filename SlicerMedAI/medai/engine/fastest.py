"""For one job: the fastest network that is known, and the search for a faster one once the job proves to be long."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.bundles.quantized import in_float
from medai.engine.backend_names import AUTO, PYTORCH

if TYPE_CHECKING:
    import torch

    from medai.bundles.pipeline import Pipeline
    from medai.engine.backends import Backends, Ready

_WORTH_CONVERTING_S = 1.0
_LONGEST_WAIT_S = 600.0


class Fastest:
    """One model's network for one job: the same from its first window to its last.

    Parameters
    ----------
    backends : Backends or None
        What may compute it; None for PyTorch alone.
    pipeline : Pipeline
        The model, loaded.
    requested : str
        ``"auto"`` or a backend's name.
    known : dict
        Converted networks of this model that earlier jobs have loaded, which live as long as the model does.
    """

    def __init__(
        self, backends: Backends | None, pipeline: Pipeline, requested: str, known: dict[Hashable, Ready]
    ) -> None:
        self._backends = backends if requested != PYTORCH else None
        self._known = known
        self._pipeline = pipeline
        self._requested = requested
        self._window: tuple[int, tuple[int, ...] | None] = (0, None)
        self._ready: Ready | None = None
        self._since: float | None = None

    def network(self, image: torch.Tensor, while_waiting: Callable[[], None]) -> torch.nn.Module:
        """The network to call.

        A backend that was asked for by name is waited for, ten minutes at most; with ``"auto"`` nobody waits.

        Parameters
        ----------
        image : Tensor, shape (1, C, *spatial)
            That it will be called for.
        while_waiting : callable
            Called several times a second; may raise to stop.
        """
        if self._requested == PYTORCH:
            return in_float(self._pipeline.network)
        if self._backends is None:
            return self._pipeline.network
        by_name = self._requested != AUTO
        return self.ready(image, while_waiting, longest_wait_s=_LONGEST_WAIT_S if by_name else 0.0).network

    def ready(self, image: torch.Tensor, while_waiting: Callable[[], None], *, longest_wait_s: float) -> Ready:
        """The network with its name, and why it is this one.

        Parameters
        ----------
        image, while_waiting
            As for `network`.
        longest_wait_s : float
            For a form that has to be made first; 0 to begin none now.
        """
        if self._backends is None:
            from medai.engine.backends import Ready

            return Ready(in_float(self._pipeline.network), PYTORCH, "PyTorch: chosen by you")
        if self._ready is None:
            self._window = _window(self._pipeline.inferer, image)
            self._ready = self._known.get(self._key) or self._ask(begin=longest_wait_s > 0)
            if self._ready.awaits and longest_wait_s > 0:
                until = time.monotonic() + longest_wait_s
                while time.monotonic() < until and not self._backends.wait(0.2, self._ready.awaits):
                    while_waiting()
                self._ready = self._ask(begin=False)
            if self._ready.name != PYTORCH:
                self._known[self._key] = self._ready
        return self._ready

    def at_once(self, network: torch.nn.Module, image: torch.Tensor) -> int:
        """How many windows of an image a network from here is best given together."""
        from medai.engine.backends.converted import at_once

        channels, roi_size = _window(self._pipeline.inferer, image)
        return at_once(network, (channels, *roi_size)) if roi_size is not None else 1

    @property
    def _key(self) -> Hashable:
        return self._requested, self._window

    @property
    def reason(self) -> str:
        """Why this one, for a person; empty where PyTorch is what anybody expects."""
        if self._requested == PYTORCH:
            return "PyTorch: chosen by you"
        if self._ready is not None and getattr(self._ready.network, "gave_up", False):
            return "PyTorch: the faster form of this model failed, and PyTorch went on"
        told = self._ready is not None and (self._ready.name != PYTORCH or self._requested != AUTO)
        return self._ready.reason if self._ready is not None and told else ""

    def at_window(self) -> None:
        """Called at every window: a job of more than a moment is worth a conversion for the next one."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        # What was asked for by name was tried before the first window, and waited for.
        settled = self._ready is None or self._ready.name != PYTORCH or self._requested != AUTO
        if settled or now - self._since < _WORTH_CONVERTING_S:
            return
        self._since = float("inf")
        self._ask(begin=True)

    def _ask(self, *, begin: bool) -> Ready:
        from medai.bundles import integrity

        assert self._backends is not None
        pipeline = self._pipeline
        channels, roi_size = self._window
        return self._backends.network(
            Path(pipeline.root),
            integrity.digest(pipeline.root),
            pipeline.network,
            pipeline.device,
            roi_size=roi_size,
            channels=channels,
            requested=self._requested,
            begin=begin,
        )


def _window(inferer: Any, image: torch.Tensor) -> tuple[int, tuple[int, ...] | None]:
    """Channels and spatial size of what the network is called with; None where it takes whole images."""
    channels, axes = int(image.shape[1]), image.ndim - 2
    roi = getattr(inferer, "roi_size", None)
    if roi is None:
        return channels, None
    return channels, (roi,) * axes if isinstance(roi, int) else tuple(int(size) for size in roi)
