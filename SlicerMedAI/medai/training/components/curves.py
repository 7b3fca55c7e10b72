"""Live curves for TensorBoard."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from ignite.engine import Engine, Events

from medai.training.components.distributed import is_first
from medai.training.components.history import History


class Curves:
    """Writes every row of a history as a point of each curve; does nothing where TensorBoard is not installed.

    Parameters
    ----------
    log_dir : str
        For ``tensorboard --logdir``.
    history : History
        Attached before this one.
    """

    def __init__(self, log_dir: str, history: History) -> None:
        self.log_dir, self.history = log_dir, history
        self._writer: Any = None

    def attach(self, engine: Engine) -> None:
        """Called by MONAI's engines."""
        if is_first() and find_spec("tensorboard") is not None:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)
            engine.add_event_handler(Events.COMPLETED, self._close)

    def __call__(self, engine: Engine) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed training drew after its last checkpoint is drawn anew.
            self._writer = SummaryWriter(self.log_dir, purge_step=engine.state.epoch)
        for name, value in self.history.rows[-1].items():
            if name != "epoch":
                self._writer.add_scalar(name, value, engine.state.epoch)
        self._writer.flush()

    def _close(self, _: Engine) -> None:
        if self._writer is not None:
            self._writer.close()
