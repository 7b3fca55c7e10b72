"""Where a network runs, and why there."""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from medai.errors import DependencyError, InputError


@dataclass(frozen=True)
class Device:
    """A device of this computer.

    Parameters
    ----------
    name : str
        As PyTorch calls it: ``"cpu"``, ``"cuda:0"``, ``"mps"``.
    reason : str
        Why this one, for a person: "CPU: no NVIDIA GPU was found".
    """

    name: str
    reason: str


def choose_device(requested: str = "auto") -> Device:
    """The device to run on. Imports torch, so call it in the worker.

    Parameters
    ----------
    requested : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.

    Raises
    ------
    InputError
        When there is no such kind of device, or no GPU of that number.
    DependencyError
        When the requested kind of device cannot be used on this computer. ``"auto"`` never raises.
    """
    requested = requested.strip().lower()
    if requested == "auto":
        return _best()
    if requested == "cpu":
        return Device("cpu", "CPU: chosen by you")
    if requested == "mps":
        problem = _mps_problem()
        if problem:
            raise _unavailable("Apple GPU", problem)
        return Device("mps", "Apple GPU: chosen by you")
    match = re.fullmatch(r"cuda(?::(\d{1,3}))?", requested)
    if not match:
        raise InputError(
            f"'{requested}' is not a device.",
            "Known are auto, cpu, cuda, cuda:0, cuda:1 and so on, and mps.",
            "Choose 'auto' to let the best device be found.",
        )
    problem = _cuda_problem()
    if problem:
        raise _unavailable("NVIDIA GPU", problem)
    import torch

    number = int(match[1] or 0)
    if number >= torch.cuda.device_count():
        raise InputError(
            f"There is no NVIDIA GPU number {number} in this computer.",
            f"It has {torch.cuda.device_count()}, counted from 0.",
            "Choose another device, or 'auto'.",
        )
    return Device(f"cuda:{number}", f"GPU: {_gpu_name(number)}, chosen by you")


def describe_expected_device() -> Device:
    """What ``"auto"`` will probably choose, told without importing torch: for a panel, before any job has run.

    An expectation only: whether the driver and PyTorch fit together is known when the job runs.
    """
    if _nvidia_driver_present():
        return Device("cuda:0", "GPU expected: an NVIDIA driver is installed")
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Device("mps", "Apple GPU expected")
    return Device("cpu", "CPU expected: no NVIDIA driver was found")


def _best() -> Device:
    problem = _cuda_problem()
    if not problem:
        import torch

        # The GPU with the most free memory: the display's own is often nearly full.
        number = max(range(torch.cuda.device_count()), key=lambda n: (torch.cuda.mem_get_info(n)[0], -n))
        return Device(f"cuda:{number}", f"GPU: {_gpu_name(number)} was found")
    if not _mps_problem():
        return Device("mps", "Apple GPU: it was found")
    return Device("cpu", f"CPU: {problem}")


def _cuda_problem() -> str:
    """Why no NVIDIA GPU can be used, or an empty text when one can."""
    import torch

    if not torch.backends.cuda.is_built():
        return (
            "an NVIDIA driver is installed, but this PyTorch was built without GPU support"
            if _nvidia_driver_present()
            else "no NVIDIA GPU was found"
        )
    try:
        if not torch.cuda.is_available():
            return (
                "an NVIDIA driver is installed, but PyTorch cannot use it (is it too old?)"
                if _nvidia_driver_present()
                else "no NVIDIA GPU was found"
            )
        # A GPU that is too old for this PyTorch is "available" until the first kernel is launched.
        (torch.ones(1, device="cuda") + 1).item()
    except (RuntimeError, AssertionError) as error:
        return f"the NVIDIA GPU does not work with this PyTorch ({str(error).splitlines()[0]})"
    return ""


def _mps_problem() -> str:
    import torch

    return "" if torch.backends.mps.is_available() else "no Apple GPU was found"


def _gpu_name(number: int) -> str:
    import torch

    free, total = torch.cuda.mem_get_info(number)
    return f"{torch.cuda.get_device_name(number)} ({free / 2**30:.0f} of {total / 2**30:.0f} GB free)"


def _nvidia_driver_present() -> bool:
    windows_library = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "nvcuda.dll"
    return (
        shutil.which("nvidia-smi") is not None
        or Path("/proc/driver/nvidia/version").exists()
        or (platform.system() == "Windows" and windows_library.exists())
    )


def _unavailable(kind: str, problem: str) -> DependencyError:
    return DependencyError(
        f"The {kind} you asked for cannot be used.",
        f"{problem[0].upper()}{problem[1:]}.",
        "Choose 'auto' or 'cpu'; or install the driver and the build of PyTorch that belong to it.",
    )
