"""What keeps a training within bounds: a penalty on large weights, a limit to the gradient, an end to nonsense."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from ignite.engine import Engine, Events
from monai.engines import GanTrainer, IterationEvents
from monai.utils.enums import CommonKeys, GanKeys
from torch.nn import Parameter

from medai.errors import JobError


class SparsePenalty:
    """Adds the sum of the absolute weights to the loss (L1 regularisation); biases and norms are left out.

    Parameters
    ----------
    parameters : iterable of Parameter
        Of the network.
    factor : float
        Weight of the sum.
    """

    def __init__(self, parameters: Iterable[Parameter], factor: float) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.ndim > 1]
        self.factor = factor

    def attach(self, engine: Engine) -> None:
        """Called by MONAI's engines."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        output = engine.state.output
        output[CommonKeys.LOSS] = output[CommonKeys.LOSS] + self.factor * sum(p.abs().sum() for p in self.parameters)


class GradientLimit:
    """Scales the gradient down to a largest norm.

    Parameters
    ----------
    parameters : iterable of Parameter
        Of the network.
    largest : float
        Norm over all parameters together.
    """

    def __init__(self, parameters: Iterable[Parameter], largest: float) -> None:
        self.parameters = list(parameters)
        self.largest = largest

    def attach(self, engine: Engine) -> None:
        """Called by MONAI's engines."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        scaler = getattr(engine, "scaler", None) or getattr(engine, "scaler_", None)
        if scaler is not None:
            scaler.unscale_(engine.optimizer)
        torch.nn.utils.clip_grad_norm_(self.parameters, self.largest)


class FiniteLoss:
    """Ends a training whose loss is no number any more: nothing that follows would be one."""

    def attach(self, engine: Engine) -> None:
        """Called by MONAI's engines."""
        # A contest tells its losses only when both steps are done; no checkpoint is written before the epoch's end.
        contest = isinstance(engine, GanTrainer)
        engine.add_event_handler(Events.ITERATION_COMPLETED if contest else IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        scaler = getattr(engine, "scaler", None) or getattr(engine, "scaler_", None)
        output = engine.state.output
        losses = [output[key] for key in (CommonKeys.LOSS, GanKeys.GLOSS, GanKeys.DLOSS) if key in output]
        # With mixed precision on a GPU a step now and then overflows, and is left out.
        if scaler is None and not all(torch.isfinite(torch.as_tensor(loss)).all() for loss in losses):
            raise JobError(
                "The training has failed.",
                f"In epoch {engine.state.epoch} the loss was no longer a finite number: the steps were too large, or "
                "the processor's short numbers overflowed.",
                "Choose a smaller learning_rate or a gradient_clip, or leave out bf16, and start it anew.",
            )
