"""Pictures made with matplotlib, without a display and without its global state."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, GRID = "#1f2a37", "#d8dee6"
REFERENCE, PREDICTION = "#0072b2", "#d55e00"
"""Of Okabe and Ito's palette, which people with any colour vision can tell apart; lines differ in style as well."""

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#3d3d3d", "#56b4e9", "#7a3db8")
STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Picture:
    """A picture in the page: PNG, what it shows in words for those who cannot see it, title and caption."""

    png: bytes
    alt: str
    title: str
    caption: str = ""

    @property
    def uri(self) -> str:
        """The picture itself as an address, so that the page needs no other file."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def new_figure(width: float = 4.0, height: float = 3.3, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure in inches with axes side by side."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, columns, n + 1) for n in range(columns)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color("#7b8794")
        one.tick_params(colors=INK, labelsize=8)
        one.grid(color=GRID, linewidth=0.6)
        one.set_axisbelow(True)
    return figure, axes


def name_axes(axes: Axes, x: str, y: str) -> None:
    """Titles of both axes, with units."""
    # A dollar sign in somebody's class name would start a formula.
    axes.set_xlabel(literal(x), fontsize=9, color=INK)
    axes.set_ylabel(literal(y), fontsize=9, color=INK)


def literal(text: str, longest: int = 28) -> str:
    """Text that matplotlib draws as it is, shortened to fit."""
    short = text if len(text) <= longest or " (" in text else text[: longest - 1] + "…"
    return short.replace("$", r"\$")


def unit_square(axes: Axes) -> None:
    """Both axes from 0 to 1, with room for a line on the edge."""
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), aspect="equal")


def legend(axes: Axes, **where: Any) -> None:
    """Only when something has a name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7.5, frameon=True, framealpha=0.9, edgecolor=GRID, labelcolor=INK, **where)


def png(figure: Figure) -> bytes:
    """The figure as a PNG without the date and the program's name, so the same numbers give the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
