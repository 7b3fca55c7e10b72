"""One training in several processes, started by ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor, distributed

from medai.training.components.averages import mean_of_all
from medai.training.components.batch_norms import norms_of_whole_batches


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
    return float(mean_of_all(torch.tensor(value, dtype=torch.float64, device=kind)))


def shared(network: torch.nn.Module) -> torch.nn.Module:
    """The network, where there are several processes with gradients averaged, and batches normalised, over all."""
    if world() == 1:
        return network
    return torch.nn.parallel.DistributedDataParallel(normed(network))


def of_whole_batch(loss: Callable[..., Tensor], *parts: Tensor) -> Tensor:
    """A loss of what all processes have, with the gradient that `shared` makes that of the whole.

    The mean of each process's loss is another number where a loss divides by something that differs between them:
    voxels of a structure, labels that are known, weights of the classes that are met.

    Parameters
    ----------
    loss : callable
    *parts : Tensor, shape (B, ...)
        This process's, of the same shape in all of them.
    """
    if not distributed.is_initialized():
        return loss(*parts)
    total = loss(*map(of_all, parts))
    # Every process knows the gradient of its own part only, and a mean is taken of them.
    return total.detach() + world() * (total - total.detach())


def of_all(part: Tensor) -> Tensor:
    """What all processes have, in the order of the whole batch; the gradient is that of this process's part.

    Parameters
    ----------
    part : Tensor, shape (B, ...)
        This process's, of the same shape in all of them.
    """
    if not distributed.is_initialized():
        return part
    # Labels are whole numbers in one process and not in another, where one is missing.
    part = part.as_subclass(Tensor).float().contiguous()
    found = [torch.empty_like(part) for _ in range(world())]
    distributed.all_gather(found, part.detach())
    found[rank()] = part
    return torch.cat(found)


def own(whole: Tensor) -> Tensor:
    """This process's part of what belongs to the whole batch, of shape (B, ...)."""
    return whole.chunk(world())[rank()]


def own_of(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make the same whole batch, and give this process's part of it."""
    return lambda *args, **kwargs: own(make(*args, **kwargs))


def normed(network: torch.nn.Module) -> torch.nn.Module:
    """The network, with batches normalised over all processes."""
    return network if world() == 1 else norms_of_whole_batches(network)


def stepping(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer, whose steps go along the mean of the gradients of all processes.

    What `shared` does while gradients arise: it cannot where two networks go through each other.
    """
    if world() > 1:
        optimizer.register_step_pre_hook(_meet)
    return optimizer


def _meet(optimizer: torch.optim.Optimizer, *_: object) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad = mean_of_all(parameter.grad)


class WholeBatch(torch.nn.Module):  # type: ignore[misc]
    """`of_whole_batch` as MONAI's trainers take it.

    Parameters
    ----------
    loss : torch.nn.Module
        Of predictions and targets.
    """

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """The same in every process."""
        return of_whole_batch(self.loss, pred, target)
