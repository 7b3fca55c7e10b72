"""One training in several processes, started by ``torchrun``."""

from __future__ import annotations

import os

import torch
from torch import distributed


def world() -> int:
    """Number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    """Whether this is the process that writes files."""
    return rank() == 0


def begin() -> None:
    """Join the other processes, where there are some."""
    if world() > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def end() -> None:
    """Leave the other processes, all at the same time: one that is still speaking would break down."""
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def device(name: str) -> torch.device:
    """The device of this process.

    Parameters
    ----------
    name : str
        ``"auto"`` or a PyTorch device. Of several processes, each takes its own GPU.
    """
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def mean(value: float) -> float:
    """The mean of a number over all processes."""
    if not distributed.is_initialized():
        return value
    kind = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    total = torch.tensor(value, dtype=torch.float64, device=kind)
    distributed.all_reduce(total)
    return float(total) / world()


def shared(network: torch.nn.Module) -> torch.nn.Module:
    """The network, with gradients averaged over all processes where there are several."""
    if world() == 1:
        return network
    return torch.nn.parallel.DistributedDataParallel(network)
