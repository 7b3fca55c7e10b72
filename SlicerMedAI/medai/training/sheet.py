"""A contact sheet of what the network will see: the training's own cases, prepared as its configuration says."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.training.components.files import replace_file

SHEET = "runs/contact_sheet.png"
_COLUMNS = 6
_INCHES = 1.6
_MARGIN, _ABOVE = 0.02, 0.15  # round a picture; and above it, where its name stands: in widths of a picture
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
    height = 1 + _ABOVE
    figure = Figure(figsize=(_COLUMNS * _INCHES, rows * height * _INCHES))
    FigureCanvasAgg(figure)
    # All in one coordinate system, a picture's place being a unit wide: making axes takes longer than drawing in them.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for place in range(count):
        row, column = divmod(place, _COLUMNS)
        sample = dataset[len(dataset) + place]
        sample = sample[0] if isinstance(sample, list) else sample
        boxes = np.asarray(sample.get("box", ()), np.float64)
        image = np.asarray(sample["image"])[0]
        at = column, row * height + _ABOVE
        _draw(axes, at, _through(image, boxes) if len(boxes) else image, boxes, sample.get("label"))
        name = literal(str(sample.get("name", "")))
        axes.text(at[0] + _MARGIN, at[1], name, fontsize=5, va="bottom", clip_on=True)
    axes.set(xlim=(0, _COLUMNS), ylim=(rows * height, 0), aspect="equal")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    path = root / SHEET
    replace_file(path, lambda file: file.write(content.getvalue()))
    return path


def _draw(axes: Any, at: tuple[float, float], image: NDArray[Any], boxes: NDArray[Any], label: Any) -> None:
    """A picture whose upper left corner is there, with its outlines, boxes or values."""
    values = np.zeros(0) if label is None else np.asarray(label)
    mapped = values.shape[1:] == image.shape
    shown, outline = _fullest(image, values[0] if mapped else np.zeros_like(image))
    # Voxels are squares, and the longer edge fills the place.
    voxel = (1 - 2 * _MARGIN) / max(shown.shape)
    left, top = (
        corner + (1 - size * voxel) / 2 for corner, size in zip(at, (shown.shape[1], shown.shape[0]), strict=True)
    )
    extent = (left, left + shown.shape[1] * voxel, top + shown.shape[0] * voxel, top)
    axes.imshow(shown, cmap="gray", extent=extent)
    if mapped and outline.any():
        x, y = (
            start + (np.arange(size) + 0.5) * voxel for start, size in zip((left, top), shown.shape[::-1], strict=True)
        )
        axes.contour(x, y, outline > 0, levels=[0.5], colors="#ffb000", linewidths=0.8)
    for i, j in _corners(boxes):
        axes.plot(left + (i + 0.5) * voxel, top + (j + 0.5) * voxel, color="#ffb000", linewidth=0.8)
    if not mapped:
        told = ", ".join(f"{value:g}" for value in values.ravel()[:_MOST_VALUES])
        axes.text(at[0] + 1 - _MARGIN, at[1], told, fontsize=6, ha="right", va="bottom")


def _through(image: NDArray[Any], boxes: NDArray[Any]) -> NDArray[Any]:
    """The slice through the middle of the first box; a picture as it is."""
    return image if image.ndim == 2 else image[:, :, min(int((boxes[0, 2] + boxes[0, 5]) / 2), image.shape[2] - 1)]


def _corners(boxes: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Boxes seen along the third axis, as closed lines of indices along the first and along the second."""
    for box in boxes.reshape(len(boxes), 2, -1) if len(boxes) else ():
        low, high = box[:, :2]
        yield np.array([low[0], high[0], high[0], low[0], low[0]]), np.array([low[1], low[1], high[1], high[1], low[1]])


def _fullest(image: NDArray[Any], label: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The slice with most of the label; the middle one without any."""
    if image.ndim == 2:
        return image.T, label.T
    marked = (label > 0).sum(axis=(0, 1))
    k = int(marked.argmax()) if marked.any() else image.shape[2] // 2
    return image[:, :, k].T, label[:, :, k].T
