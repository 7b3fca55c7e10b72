"""Validate now and then, keep the best weights, and stop when nothing gets better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from medai.training.components.distributed import is_first
from medai.training.components.files import replace_file


class Validation:
    """Runs an evaluator after every `every` epochs and after the last.

    Parameters
    ----------
    evaluator : Engine or None
        Its key metric is higher for better weights. None keeps the weights of the last epoch.
    network : torch.nn.Module
        Whose weights are kept.
    path : str
        Where they are kept, as a plain state dict.
    every : int
    patience : int
        Validations without a better score until the training ends; 0 for never.
    """

    def __init__(
        self, evaluator: Engine | None, network: torch.nn.Module, path: str, *, every: int = 1, patience: int = 0
    ) -> None:
        self.evaluator, self.network, self.path = evaluator, network, Path(path)
        self.every, self.patience = every, patience
        self.best, self.best_epoch, self.without = -math.inf, 0, 0

    def attach(self, engine: Engine) -> None:
        """Called by MONAI's engines."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"best": self.best, "best_epoch": self.best_epoch, "without": self.without}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.best, self.best_epoch, self.without = state["best"], state["best_epoch"], state["without"]

    @property
    def exhausted(self) -> bool:
        """Whether the training should end."""
        return 0 < self.patience <= self.without

    def __call__(self, engine: Engine) -> None:
        epoch, last = engine.state.epoch, engine.state.epoch == engine.state.max_epochs
        if self.evaluator is None:
            if last:
                self._keep(epoch)
            return
        if epoch % self.every and not last:
            return
        self.evaluator.run(epoch)
        score = float(self.evaluator.state.metrics[self.evaluator.state.key_metric_name])
        if score > self.best or not self.best_epoch:
            self.best, self.without = (score if score == score else -math.inf), 0  # noqa: PLR0124 - NaN
            self._keep(epoch)
        else:
            self.without += 1
        if self.exhausted:
            engine.terminate()

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if is_first():
            state = _plain(self.network.state_dict())
            replace_file(self.path, lambda file: torch.save(state, file))


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in the usual order of memory; one that has several names, as DynUNet's have, stays one."""
    found: dict[tuple[int, torch.Size], Tensor] = {}
    for value in state.values():
        found.setdefault((value.data_ptr(), value.shape), value.detach().cpu().contiguous())
    return {name: found[value.data_ptr(), value.shape] for name, value in state.items()}
