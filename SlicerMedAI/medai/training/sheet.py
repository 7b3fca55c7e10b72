"""A contact sheet of what the network will see: the training's own cases, prepared as its configuration says."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.training.components.files import replace_file

SHEET = "runs/contact_sheet.png"
_COLUMNS = 6
_INCHES = 1.6
_MOST_VALUES = 8


def write_sheet(root: Path, dataset: Any, *, count: int = 24) -> Path:
    """Draw cases of the first epochs; label maps lie over them as outlines, classes stand below.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    dataset : EpochDataset
        Of the training.
    count : int
        How many cases; few cases come several times, each time changed otherwise.

    Returns
    -------
    Path
        The PNG file, ``runs/contact_sheet.png``.

    Raises
    ------
    WriteError
        When it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from medai.training.evaluation.report.drawing import literal

    rows = math.ceil(count / _COLUMNS)
    figure = Figure(figsize=(_COLUMNS * _INCHES, rows * _INCHES * 1.15), layout="constrained")
    FigureCanvasAgg(figure)
    for place in range(rows * _COLUMNS):
        axes = figure.add_subplot(rows, _COLUMNS, place + 1)
        axes.set_axis_off()
        if place >= count:
            continue
        sample = dataset[len(dataset) + place]
        sample = sample[0] if isinstance(sample, list) else sample
        boxes = np.asarray(sample.get("box", ()), np.float64)
        image = np.asarray(sample["image"])[0]
        _draw(axes, _through(image, boxes) if len(boxes) else image, sample.get("label"))
        _draw_boxes(axes, boxes)
        axes.text(0, 1, literal(str(sample.get("name", ""))), fontsize=5, transform=axes.transAxes, va="bottom")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    path = root / SHEET
    replace_file(path, lambda file: file.write(content.getvalue()))
    return path


def _draw(axes: Any, image: NDArray[Any], label: Any) -> None:
    values = np.zeros(0) if label is None else np.asarray(label)
    if values.shape[1:] == image.shape:
        shown, outline = _fullest(image, values[0])
        axes.imshow(shown, cmap="gray")
        if outline.any():
            axes.contour(outline > 0, levels=[0.5], colors="#ffb000", linewidths=0.8)
        return
    axes.imshow(_fullest(image, np.zeros_like(image))[0], cmap="gray")
    axes.set_title(", ".join(f"{value:g}" for value in values.ravel()[:_MOST_VALUES]), fontsize=7)


def _through(image: NDArray[Any], boxes: NDArray[Any]) -> NDArray[Any]:
    """The slice through the middle of the first box; a picture as it is."""
    return image if image.ndim == 2 else image[:, :, min(int((boxes[0, 2] + boxes[0, 5]) / 2), image.shape[2] - 1)]


def _draw_boxes(axes: Any, boxes: NDArray[Any]) -> None:
    """Boxes seen along the third axis."""
    for box in boxes.reshape(len(boxes), 2, -1) if len(boxes) else ():
        low, high = box[:, :2]
        i, j = [low[0], high[0], high[0], low[0], low[0]], [low[1], low[1], high[1], high[1], low[1]]
        axes.plot(i, j, color="#ffb000", linewidth=0.8)


def _fullest(image: NDArray[Any], label: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The slice with most of the label; the middle one without any."""
    if image.ndim == 2:
        return image.T, label.T
    marked = (label > 0).sum(axis=(0, 1))
    k = int(marked.argmax()) if marked.any() else image.shape[2] // 2
    return image[:, :, k].T, label[:, :, k].T
