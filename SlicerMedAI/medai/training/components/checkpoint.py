"""The whole state of a training after every epoch, so that it goes on after a break as if there had been none."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from medai.errors import JobError, ReadError
from medai.training.components.distributed import is_first
from medai.training.components.files import replace_file
from medai.training.components.validation import Validation


class Checkpoint:
    """Writes one file after every epoch; the one before stays until the new one is complete.

    Parameters
    ----------
    path : str
    parts : mapping of str to object
        What has a state: network, optimizer, learning rate schedule, history, validation...
    """

    def __init__(self, path: str, parts: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.parts = dict(parts)

    def attach(self, engine: Engine) -> None:
        """Called by MONAI's engines."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.check)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def check(self, engine: Engine) -> None:
        """After an epoch's last step, before anything is judged or saved: whether the weights still are numbers.

        Raises
        ------
        JobError
            When they are not; what was saved stays.
        """
        if engine.state.iteration % (engine.state.epoch_length or 1):
            return
        networks = [part for part in self.parts.values() if isinstance(part, torch.nn.Module)]
        if not all(bool(torch.isfinite(weights).all()) for network in networks for weights in network.parameters()):
            raise JobError(
                f"The training went astray in epoch {engine.state.epoch}.",
                "Its steps were so large that the weights of the network are no numbers any more.",
                "Begin anew (--overwrite) with a lower learning_rate or a gradient_clip; or keep the best (--finish).",
            )

    def __call__(self, engine: Engine) -> None:
        if is_first():
            state: dict[str, Any] = {name: part.state_dict() for name, part in self._all(engine).items()}
            state["epoch"], state["iteration"] = engine.state.epoch, engine.state.iteration
            replace_file(self.path, lambda file: torch.save(state, file))

    def resume(self, engine: Engine) -> bool:
        """Go back to the last checkpoint, where there is one.

        Returns
        -------
        bool
            Whether there is anything left to train.

        Raises
        ------
        ReadError
            When the file is damaged or belongs to another training.
        """
        if not self.path.is_file():
            return True
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            for name, part in self._all(engine).items():
                part.load_state_dict(state[name])
        except (OSError, RuntimeError, ValueError, KeyError, EOFError, struct.error, pickle.UnpicklingError) as error:
            raise ReadError(
                "The training cannot go on from where it was.",
                f"What was saved of it ('{self.path.name}') is damaged, or belongs to another training.",
                "Start it anew.",
                details=repr(error),
            ) from error
        engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        exhausted = any(part.exhausted for part in self.parts.values() if isinstance(part, Validation))
        return engine.state.epoch < engine.state.max_epochs and not exhausted

    def _all(self, engine: Engine) -> dict[str, Any]:
        scaler = getattr(engine, "scaler", None) or getattr(engine, "scaler_", None)
        return {**self.parts, **({} if scaler is None else {"scaler": scaler})}
