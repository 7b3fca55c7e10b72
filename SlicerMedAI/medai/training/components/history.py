"""How a training went: one row per epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys, GanKeys

from medai.training.components.distributed import is_first, mean
from medai.training.components.files import replace_file

Row = dict[str, float]
_LOSSES = {"loss": CommonKeys.LOSS, "generator_loss": GanKeys.GLOSS, "discriminator_loss": GanKeys.DLOSS}


class History:
    """Keeps the mean loss (in a contest of two networks, of each), the learning rate and, where there was a validation,
    its scores of every epoch.

    Parameters
    ----------
    path : str
        The JSON file that is written after every epoch.
    evaluator : Engine or None
        Whose scores are kept.
    """

    def __init__(self, path: str, evaluator: Engine | None) -> None:
        self.path = Path(path)
        self.evaluator = evaluator
        self.rows: list[Row] = []
        self._sums: Row = {}
        self._count, self._rate = 0, 0.0

    def attach(self, engine: Engine) -> None:
        """Called by MONAI's engines."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_STARTED, self._note_rate)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.rows = [dict(row) for row in state["rows"]]

    def __call__(self, engine: Engine) -> None:
        row: Row = {"epoch": engine.state.epoch}
        row |= {name: mean(total / self._count) for name, total in self._sums.items()}
        row["learning_rate"] = self._rate
        if self.evaluator is not None and getattr(self.evaluator.state, "epoch", 0) == engine.state.epoch:
            row |= {name: float(value) for name, value in self.evaluator.state.metrics.items()}
        self.rows.append(row)
        if is_first():
            text = json.dumps(self.rows, indent=1).encode()
            replace_file(self.path, lambda file: file.write(text))

    def _begin(self, _: Engine) -> None:
        self._sums, self._count = {}, 0

    def _note_rate(self, engine: Engine) -> None:
        # Before the step: the schedule is one further after it.
        optimizer = getattr(engine, "optimizer", None) or engine.g_optimizer
        self._rate = float(optimizer.param_groups[0]["lr"])

    def _add(self, engine: Engine) -> None:
        output = engine.state.output
        first = output[0] if isinstance(output, list) else output
        for name, key in _LOSSES.items():
            if key in first:
                self._sums[name] = self._sums.get(name, 0.0) + float(first[key])
        self._count += 1
