"""Try every form of a network that might be faster on this device, and choose."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from medai.engine.backends import eager, probe
from medai.engine.backends.choice import Choice, Measured, best
from medai.engine.backends.converted import Runner, at_once, computed
from medai.engine.memory import is_out_of_memory

HALF_DEVIATION = 1e-2
"""As `medai.engine.backends.probe.LARGEST_DEVIATION`, for half precision and outputs from which labels are taken."""
_ENOUGH = 1.5
_MOST_OUTPUT_BYTES = 128 * 2**20  # of one probe image; a dozen times as much is in use while forms are compared
_log = logging.getLogger("medai.engine.backends")


class Converter(Protocol):
    """What a module such as `medai.engine.backends.openvino` offers."""

    NAME: str
    TITLE: str
    PACKAGES: tuple[str, ...]

    def version(self) -> str: ...

    def convert(self, network: torch.nn.Module, example: torch.Tensor, folder: Path, *, fixed: bool) -> None: ...

    def load(self, files: Mapping[str, bytes], threads: int, window: tuple[int, ...] | None) -> Runner: ...


@dataclass(frozen=True)
class Converted:
    """A converted model that agrees."""

    folder: Path
    network: torch.nn.Module
    window: tuple[int, ...] | None
    agreement: float


class Measuring:
    """One network, and the forms of it whose output agrees with its own on the probe images.

    Where outputs are large (many classes), the images are smaller than the network's window, so that a computer with
    little memory bears it.

    Parameters
    ----------
    network : torch.nn.Module
        In eval mode, on `device`.
    window : tuple of int
        (C, spatial) of what it is mostly called with.
    device : str
        As PyTorch calls it.
    """

    def __init__(self, network: torch.nn.Module, window: tuple[int, ...], device: str = "cpu") -> None:
        self._network = network
        self._window = window
        self._device = device
        self._labels = False
        self._refused: dict[str, str] = {}
        self._postponed: Exception | None = None
        self._bytes_per_voxel, any_size = self._told_by_output()
        most_voxels = _MOST_OUTPUT_BYTES / self._bytes_per_voxel if any_size and self._bytes_per_voxel else math.inf
        self._probed = (window[0], *probe.within(window[1:], most_voxels))
        self._images = [image.to(device) for image in probe.inputs(window[0], self._probed[1:])]

    @property
    def output_bytes(self) -> int:
        """Size of the network's output for the largest probe image, as far as it can be told beforehand."""
        return int(self._bytes_per_voxel * max(math.prod(image.shape) / image.shape[1] for image in self._images))

    def choose(
        self, converters: Mapping[str, Converter], scratch: Path, required: str = ""
    ) -> tuple[Choice, Path | None]:
        """The fastest form, and the folder of its files when it is a converted one.

        Parameters
        ----------
        converters : mapping
            By name, in the order in which they are tried; the later ones only when an earlier one is not fast enough.
        scratch : Path
            An empty folder.
        required : str
            Name of the only form wanted, however slow.

        Raises
        ------
        RuntimeError, MemoryError
            When memory runs out; nothing is known then.
        ImportError, OSError
            When this environment is in the way of every faster form; nothing is known then.
        """
        with torch.inference_mode():
            problem = self._own_output()
            if problem and self._probed != self._window:
                # It takes nothing but its window, however large its output is.
                self._probed = self._window
                self._images = [probe.inputs(self._window[0], self._window[1:])[0].to(self._device)]
                problem = self._own_output()
            if problem:
                return Choice(refused={eager.PLAIN: problem}), None
            measured: tuple[Measured, ...] = ()
            found: dict[str, Converted] = {}
            for name, converter in converters.items():
                if any(one.ratio >= _ENOUGH for one in measured):
                    break
                converted = self._converted(name, converter, scratch)
                if converted is not None:
                    found[name] = converted
                    measured += self._timed(name, converted.network, converted.agreement)
            if not required:
                measured += self._other_orders()
        backend = best(measured, required)
        chosen = found.get(backend)
        if self._postponed is not None and chosen is None:
            raise self._postponed
        choice = Choice(backend, measured, self._refused, chosen.window if chosen else None)
        return choice, chosen.folder if chosen else None

    def _told_by_output(self) -> tuple[float, bool]:
        """Bytes of the network's output for one voxel of its input, and whether it takes more than its own window: by
        the smallest image that it takes."""
        channels, *roi = self._window
        for size in ([32] * len(roi), probe.other_size(roi), roi):
            try:
                with torch.inference_mode():
                    output = self._network(torch.zeros(1, channels, *size, device=self._device))
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                continue  # a size that this network does not take
            told = output.nbytes / math.prod(size) if isinstance(output, torch.Tensor) else 0.0
            return told, size != roi
        return 0.0, False

    def _own_output(self) -> str:
        """Why the network is left as it is; ``""`` when it may be replaced. Keeps the images that it can take."""
        taken = []
        for index, image in enumerate(self._images):
            try:
                output = self._network(image)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                if index == 0:
                    return f"it cannot process its own window: {error}"
                continue  # a size that this network does not take
            if not isinstance(output, torch.Tensor):
                return "its output is not one tensor"
            if index == 0:
                self._labels = output.ndim > 2 and output.shape[1] > 1
            taken.append(image)
        self._images = taken
        return ""

    def _converted(self, name: str, converter: Converter, scratch: Path) -> Converted | None:
        """For all sizes where that agrees, else for the window alone."""
        # Without a pair among them, nothing is known of more than one window at a time. A form for one size is proven
        # with just this size.
        every_size = any(len(image) > 1 for image in self._images)
        own_window = self._probed == self._window
        for fixed in (*((False,) if every_size else ()), *((True,) if own_window else ())):
            folder = scratch / f"{name}{'-fixed' if fixed else ''}"
            window = self._window if fixed else None
            try:
                folder.mkdir()
                converter.convert(self._network, self._images[0], folder, fixed=fixed)
                files = {path.name: path.read_bytes() for path in folder.iterdir()}
                run = converter.load(files, torch.get_num_threads(), self._probed)
                network = _Bare(run, window)
                images = self._images[:1] if fixed else self._images
                agreement = self._verified(network, images, probe.LARGEST_DEVIATION)
                agreement = min(agreement, self._agreement_of_several(converter.load(files, 2, self._probed), window))
            except Exception as error:
                self._refuse(name, error)
                continue
            self._refused.pop(name, None)
            return Converted(folder, network, window, agreement)
        return None

    def _agreement_of_several(self, run: Runner, window: tuple[int, ...] | None) -> float:
        """For windows that are computed at the same time, where a form does that given more threads than measured
        with."""
        count = at_once(run, self._probed)
        if count == 1:
            return 1.0
        windows = [self._images[0].roll(number, -1) for number in range(count)]
        expected = torch.cat([self._network(one) for one in windows])
        return _sufficient(probe.compare(expected, _Bare(run, window)(torch.cat(windows))), probe.LARGEST_DEVIATION)

    def _other_orders(self) -> tuple[Measured, ...]:
        """PyTorch's own other forms, of a copy: they put the weights into another order."""
        measured: tuple[Measured, ...] = ()
        for name in eager.forms(self._device):
            half = name.endswith("float16")
            try:
                form = eager.in_form(copy.deepcopy(self._network), name)
                limit = HALF_DEVIATION if half and self._labels else probe.LARGEST_DEVIATION
                agreement = self._verified(form, self._images, limit)
                measured += self._timed(name, form, agreement)
            except Exception as error:
                self._refuse(name, error)
        return measured

    def _verified(self, form: probe.Network, images: list[torch.Tensor], limit: float) -> float:
        return _sufficient(probe.verify(self._network, form, images), limit)

    def _timed(self, name: str, form: probe.Network, agreement: float) -> tuple[Measured, ...]:
        wait = _waiting(self._device)
        ratios = probe.speed_ratios(self._network, {name: form}, self._images[0], synchronize=wait)
        return (Measured(name, ratios[name], agreement),)

    def _refuse(self, name: str, error: Exception) -> None:
        if is_out_of_memory(error):
            raise error  # says nothing about the form: another time there may be enough
        if isinstance(error, (ImportError, OSError)):
            _log.info("'%s' cannot be tried in this environment: %s", name, error)
            self._postponed = error
            return
        self._refused[name] = f"{type(error).__name__}: {error}"[:500]
        _log.info("'%s' is not used: %s", name, self._refused[name])


class _Bare(torch.nn.Module):  # type: ignore[misc]
    """A converted model with nothing behind it: what it cannot do fails."""

    def __init__(self, run: Runner, window: tuple[int, ...] | None) -> None:
        super().__init__()
        self._run = run
        self._window = window

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return computed(self._run, x, self._window)


def _sufficient(found: probe.Agreement, limit: float) -> float:
    """Part of the voxels with the same label."""
    if not found.suffices(limit):
        raise probe.DisagreementError(
            f"labels agree on {found.labels:.4%} of voxels, outputs differ by {found.deviation:.1e} of their range"
        )
    return found.labels


def _waiting(device: str) -> Callable[[], None]:
    if device.startswith("cuda"):
        return lambda: torch.cuda.synchronize(torch.device(device))
    return lambda: None
