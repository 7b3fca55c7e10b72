"""A person watches a training: where it stands, how it went, and a way to stop it."""

from __future__ import annotations

import time

from ignite.engine import Engine, Events

from medai.progress import Progress, Report
from medai.training.chart import UNSPOKEN, title
from medai.training.components.history import History

STAGE = "Training"


class Watch:
    """Tells of every step of a training, and lets it be stopped at any.

    Parameters
    ----------
    report : callable
        May raise `medai.errors.JobCancelled`.
    trainer : Engine
    evaluator : Engine or None
    history : History
        Attached to the trainer already.
    """

    def __init__(self, report: Report, trainer: Engine, evaluator: Engine | None, history: History) -> None:
        self._report, self._trainer, self._history = report, trainer, history
        self._clock = time.monotonic()
        self._first: int | None = None
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._epoch)
        if evaluator is not None:
            evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._validating)

    def _step(self, engine: Engine) -> None:
        if self._first is None:
            self._first = engine.state.iteration - 1
        self._tell()

    def _validating(self, _: Engine) -> None:
        self._tell()

    def _epoch(self, engine: Engine) -> None:
        row = self._history.rows[-1]
        said = [f"{title(name)} {value:.4f}" for name, value in row.items() if name not in UNSPOKEN]
        self._tell(f"Epoch {engine.state.epoch} of {engine.state.max_epochs}: {', '.join(said)}")

    def _tell(self, note: str = "") -> None:
        state = self._trainer.state
        total = state.max_epochs * state.epoch_length
        done = state.iteration
        spent = time.monotonic() - self._clock
        new = done - (self._first or 0)
        eta = spent / new * (total - done) if new >= 2 and spent >= 1 else None
        self._report(Progress(STAGE, done, total, spent, eta, note))
