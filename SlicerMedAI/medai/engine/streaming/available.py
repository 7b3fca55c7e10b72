"""How much memory may still be taken."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

_CGROUP = Path("/sys/fs/cgroup")
# Limit, use, and the line of the statistics that says how much of the use is only cache.
_CGROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def available_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes that can be taken now without the computer, a container or a limit of this process ending it.

    Parameters
    ----------
    device : torch.device or str
        Where the memory is: a CUDA device has its own.
    """
    device = torch.device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What PyTorch holds but does not use is free for the asking.
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    return max(min(_limits()), 0)


def _limits() -> Iterator[int]:
    yield int(psutil.virtual_memory().available)
    for limit, use, statistics, cache in _CGROUP_FILES:
        bound, used = _number(_CGROUP / limit), _number(_CGROUP / use)
        if bound is not None and used is not None:
            yield bound - used + _cached(_CGROUP / statistics, cache)
    if sys.platform != "win32":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            yield int(soft - psutil.Process().memory_info().vms)


def _number(path: Path) -> int | None:
    """The number in a file; None where there is none, or it says "max"."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _cached(path: Path, line: str) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return next((int(text.split()[1]) for text in lines if text.startswith(line + " ")), 0)
    except (OSError, ValueError, IndexError):
        return 0
