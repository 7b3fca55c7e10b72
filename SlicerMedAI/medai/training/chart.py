"""A training's history as a table and as a chart. Never imports torch: windows draw it while the worker trains."""

from __future__ import annotations

from collections.abc import Sequence

from medai.result import Plot, Table

UNSPOKEN = ("epoch", "learning_rate")
"""Columns of the table that are no curves."""


def curves(rows: Sequence[dict[str, float]]) -> tuple[Table, Plot]:
    """The history, and its loss and scores over epochs.

    Parameters
    ----------
    rows : sequence of dict
        One per epoch, see `medai.training.folder.history`.
    """
    titles = list(dict.fromkeys(name for row in rows for name in row))
    columns = {title(name): tuple(row.get(name, float("nan")) for row in rows) for name in titles}
    table = Table(columns, "training")
    drawn = tuple(title(name) for name in titles if name not in UNSPOKEN)
    return table, Plot(table, title("epoch"), drawn, "epoch", "loss, score", "training")


def title(name: str) -> str:
    """What people call a column of the history."""
    spelled = {"learning_rate": "Learning rate", "auroc": "AUROC", "map": "mAP@0.5", "psnr": "PSNR (dB)"}
    spelled |= {"generator_loss": "Generator loss", "discriminator_loss": "Discriminator loss"}
    return spelled.get(name, name.capitalize())
