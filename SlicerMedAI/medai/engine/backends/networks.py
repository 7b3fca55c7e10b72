"""The one door to this room: for a model's network, the fastest form of it that gives the same labels here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch

from medai.bundles.quantized import IN_INT8, in_float, in_int8
from medai.engine.backend_names import AUTO
from medai.engine.backends import choice as choices
from medai.engine.backends import eager, identity, kinds
from medai.engine.backends.cache import Cache
from medai.engine.backends.choice import Choice, Measured
from medai.engine.backends.conversion import Conversions
from medai.engine.backends.converted import ConvertedNetwork
from medai.engine.backends.measuring import Measuring
from medai.engine.backends.task import Task
from medai.engine.memory import is_out_of_memory

INT8 = "int8"
"""Name of a model's own 8-bit form, with which no other is compared: it was judged when it was made."""
_USUAL = {2: (256, 256), 3: (96, 96, 96)}
_log = logging.getLogger("medai.engine.backends")


@dataclass(frozen=True, eq=False)
class Ready:
    """A network to call.

    Parameters
    ----------
    network : torch.nn.Module
        Takes and gives what the model's own network does.
    name : str
        ``"torch"``, ``"openvino"``, ``"onnxruntime"``, or another form of PyTorch (``"torch:channels_last"``).
    reason : str
        Why this one, for a person.
    awaits : str
        What to name to `Backends.wait` while a faster one is being made; empty when none is.
    measured : tuple of Measured
        How fast and how faithful each form is that was tried.
    """

    network: torch.nn.Module
    name: str
    reason: str
    awaits: str = ""
    measured: tuple[Measured, ...] = ()


class Backends:
    """Chooses by what was measured on this computer, and has it measured in the background where nothing is known.

    Parameters
    ----------
    cache : Cache, optional
        Where converted models and choices are kept.
    conversions : Conversions, optional
        Makes them.

    Examples
    --------
    >>> with Backends() as backends:                                              # doctest: +SKIP
    ...     ready = backends.network(root, digest(root), pipeline.network, "cpu", roi_size=(96, 96, 96), channels=1)
    ...     pipeline.infer(data, ready.network)
    """

    def __init__(self, cache: Cache | None = None, conversions: Conversions | None = None) -> None:
        self._cache = cache or Cache()
        self._conversions = conversions or Conversions(self._cache)

    def network(
        self,
        root: Path,
        digest: str,
        pipeline_network: torch.nn.Module,
        device: str,
        *,
        roi_size: Sequence[int] | None,
        channels: int,
        requested: str = AUTO,
        begin: bool = True,
    ) -> Ready:
        """The fastest form known by now; returns at once, but for the second that a converted model takes to load.

        Keep what it gives: asking again loads it again.

        Parameters
        ----------
        root : Path
            The bundle's folder.
        digest : str
            `medai.bundles.integrity.digest` of it.
        pipeline_network : torch.nn.Module
            The bundle's own network on `device`, in eval mode; what is not better done otherwise is done by it.
        device : str
            As PyTorch calls it.
        roi_size : sequence of int, optional
            Spatial size of the windows; None when the model takes whole images, and 0 or less along axes where it
            does: then a form of the network is measured that takes any size.
        channels : int
            Of the windows.
        requested : str
            ``"auto"``, ``"torch"``, ``"openvino"`` or ``"onnxruntime"``.
        begin : bool
            Whether to begin to find out, in the background, what is not known yet.

        Raises
        ------
        InputError
            When there is no backend of that name.
        DependencyError
            When the backend asked for is not installed. ``"auto"`` never raises.
        """
        plain = Ready(pipeline_network, eager.PLAIN, "PyTorch: chosen by you")
        kinds.for_request(requested)
        if requested == eager.PLAIN:
            return Ready(in_float(pipeline_network), plain.name, plain.reason)
        if in_int8(pipeline_network):
            return Ready(pipeline_network, INT8, IN_INT8)
        roi = _window(pipeline_network, roi_size)
        if not roi:
            return _because(plain, "PyTorch: other backends are for networks with convolutions in two or three axes")
        if device != "cpu":
            return self._on_gpu(plain, digest, device, (channels, *roi), requested)
        usable = self._cache.usable()
        if not usable and not self._cache.readable():
            return _because(plain, "PyTorch: there is no private folder to keep a faster form of this model in")
        # Half of the threads to measure with, because a job runs at the same time.
        threads = max(1, torch.get_num_threads() // 2)
        task = Task(str(root), digest, channels, roi, requested, str(self._cache.folder), threads)
        return self._on_cpu(plain, task, begin=begin and usable)

    @property
    def pid(self) -> int | None:
        """Of the process that works in the background."""
        return self._conversions.pid

    def wait(self, timeout_s: float | None = None, awaits: str = "") -> bool:
        """Whether what was begun in the background has ended within that time: all of it, or what a `Ready` awaits."""
        return self._conversions.wait(timeout_s, awaits)

    def close(self) -> None:
        """End what runs in the background."""
        self._conversions.close()

    def __enter__(self) -> Backends:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_cpu(self, plain: Ready, task: Task, *, begin: bool) -> Ready:
        key = task.key()
        entry = self._cache.read(key)
        choice = choices.known(entry.content) if entry is not None else None
        if entry is None or choice is None:
            if self._conversions.start(task) if begin else self._conversions.is_open(key):
                reason = "PyTorch: whether another backend is faster here is being found out meanwhile"
                return Ready(plain.network, plain.name, reason, key)
            if begin:
                return _because(plain, "PyTorch: no faster form of this model could be made")
            return _because(plain, "PyTorch: whether another backend is faster here is not known yet")
        try:
            network = plain.network
            if choice.backend in kinds.CONVERTERS:
                run = kinds.CONVERTERS[choice.backend].load(entry.files, torch.get_num_threads(), task.window)
                network = ConvertedNetwork(network, run, choice.window)
            else:
                network = eager.in_form(network, choice.backend)
        except Exception as error:
            _log.warning("A converted model cannot be loaded, PyTorch is used: %s", error)
            # What is amiss here may be well in another program that shares the cache.
            if not isinstance(error, (ImportError, OSError)) and not is_out_of_memory(error):
                self._cache.drop(key)
            return _because(plain, "PyTorch: the faster form of this model could not be loaded")
        return Ready(network, choice.backend, _told(choice), measured=choice.measured)

    def _on_gpu(self, plain: Ready, digest: str, device: str, window: tuple[int, ...], requested: str) -> Ready:
        """PyTorch's forms, measured here and now: a few windows take a GPU a moment."""
        aside = f"; {kinds.title(requested)} is for the CPU only" if requested in kinds.CONVERTERS else ""
        if not device.startswith("cuda"):
            return _because(plain, f"PyTorch on this GPU{aside}")
        key = identity.key(
            digest, device=device, requested=eager.PLAIN, channels=window[0], roi_size=window[1:], backends=""
        )
        usable = self._cache.usable()
        entry = self._cache.read(key) if usable or self._cache.readable() else None
        try:
            choice = choices.known(entry.content) if entry is not None else None
            if choice is None:
                choice = _measured(plain.network, window, device)
                if usable:
                    self._cache.write(key, choice.to_json())
            network = eager.in_form(plain.network, choice.backend)
        except Exception as error:  # out of the GPU's memory, above all
            _log.info("PyTorch's other forms could not be measured: %s", error)
            return _because(plain, f"PyTorch on this GPU{aside}")
        return Ready(network, choice.backend, f"{_told(choice)}{aside}", measured=choice.measured)


def _measured(network: torch.nn.Module, window: tuple[int, ...], device: str) -> Choice:
    choice, _ = Measuring(network, window, device).choose({}, Path())
    return choice


def _told(choice: Choice) -> str:
    if choice.winner is not None:
        return choices.sentence(kinds.title(choice.backend), choice.winner)
    if choice.measured:
        return "PyTorch: nothing else was found to be faster on this computer"
    return "PyTorch: this model could not be brought into a form that is faster and gives the same labels"


def _window(network: torch.nn.Module, roi_size: Sequence[int] | None) -> tuple[int, ...]:
    """The size to measure with, each axis that varies from image to image as large as is usual; empty when the network
    has no convolutions to tell the number of axes from."""
    ranks = [parameter.ndim - 2 for parameter in network.parameters() if parameter.ndim in (4, 5)]
    if roi_size is None:
        return _USUAL[max(ranks)] if ranks else ()
    usual = _USUAL.get(len(roi_size), ())
    return tuple(int(size) if size > 0 else most for size, most in zip(roi_size, usual, strict=True)) if usual else ()


def _because(ready: Ready, reason: str) -> Ready:
    return Ready(ready.network, ready.name, reason)
