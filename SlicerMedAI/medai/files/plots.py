"""A plot as a picture, where matplotlib is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medai.errors import DependencyError
from medai.result import Plot

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9")  # Okabe and Ito's
_INK, _GRID = "#1f2a37", "#d8dee6"


def write_png(target: Path, plot: Plot) -> None:
    """Draw points, lines and a band; the same numbers give the same bytes.

    Raises
    ------
    DependencyError
        When matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise DependencyError(
            "The plot cannot be drawn.",
            "The package matplotlib is missing.",
            "Install it: pip install matplotlib (in Slicer: slicer.util.pip_install('matplotlib')).",
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_GRID, linewidth=0.6)
    x = _numbers(plot, plot.x)
    shown = [title for title in plot.y if title not in plot.band]
    for n, title in enumerate(shown):
        y, color = _numbers(plot, title), _COLORS[n % len(_COLORS)]
        known = ~np.isnan(y)
        points = title in plot.points
        if points or not plot.band:
            axes.plot(x[known], y[known], "o" if points else "-", color=color, label=_plain(title), zorder=3)
            continue
        low, high = (_numbers(plot, edge) for edge in plot.band)
        inside = ~np.isnan(low) & ~np.isnan(high)
        axes.fill_between(x[inside], low[inside], high[inside], color=color, alpha=0.2, linewidth=0)
        label = f"{title}, band: {plot.band[0]} to {plot.band[1]}"
        axes.plot(x[known], y[known], "-", color=color, linewidth=1.8, label=_plain(label))
    axes.set_xlabel(_plain(plot.x_label or plot.x), color=_INK)
    axes.set_ylabel(_plain(plot.y_label or ", ".join(shown)), color=_INK)
    axes.set_title(_plain(plot.name), color=_INK, fontsize=11)
    axes.ticklabel_format(useOffset=False)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(target, format="png", facecolor="white", metadata={"Software": None})


def _numbers(plot: Plot, title: str) -> NDArray[np.float64]:
    return np.array(plot.table.columns[title], dtype=np.float64)


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # which would start a formula
