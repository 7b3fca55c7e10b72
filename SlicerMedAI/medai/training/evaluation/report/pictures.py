"""The worst cases as pictures."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from medai.training.evaluation.boxes import BoxArray
from medai.training.evaluation.cases import AnyCase, DetectionCase, RestorationCase, SegmentationCase
from medai.training.evaluation.findings import Details, DetectionDetails, SegmentationDetails, SynthesisDetails, Worst
from medai.training.evaluation.kinds.detect import confident
from medai.training.evaluation.kinds.segment import structure_mask
from medai.training.evaluation.report import drawing
from medai.training.evaluation.report.drawing import Picture
from medai.training.evaluation.report.slices import View, fullest, grey
from medai.volume import Volume

Mask = NDArray[np.bool_]
_RESTORED, _PAIR = ("Model", "Reference"), ("Synthetic", "Nearest real")


def case_picture(worst: Worst, details: Details) -> Picture | None:
    """The case as a person would look at it; None when it came without an image."""
    case = worst.case
    figure = None
    if isinstance(case, SegmentationCase) and isinstance(details, SegmentationDetails):
        figure = _segmentation(case, details)
    elif isinstance(case, RestorationCase):
        figure = _restoration(case, _PAIR if isinstance(details, SynthesisDetails) else _RESTORED)
    elif isinstance(case, DetectionCase) and isinstance(details, DetectionDetails) and case.image is not None:
        figure = _detection(case, case.image, details)
    elif case.image is not None:
        figure = _plain(case.image)
    return Picture(figure, _alt(case, worst.caption), case.name, worst.caption) if figure else None


def _alt(case: AnyCase, caption: str) -> str:
    shown = {
        SegmentationCase: "Slice with the reference as a solid and the model as a dashed contour",
        RestorationCase: "The image before and after, its reference and their difference",
        DetectionCase: "Image with reference boxes solid and the model's boxes dashed",
    }.get(type(case), "Image")
    return f"{shown}. {caption}"


def _plain(image: Volume) -> bytes:
    view = View(image.affine, image.shape)
    stack = view.stack(image.array)
    figure, (axes,) = drawing.new_figure(3.4, 3.4)
    _show(axes, grey(stack[len(stack) // 2]), view)
    return drawing.png(figure)


def _segmentation(case: SegmentationCase, details: SegmentationDetails) -> bytes | None:
    grid = case.image if case.image is not None else case.reference
    masks = [
        [structure_mask(image, label, value) for image in (case.reference, case.prediction)]
        for label, value in details.labels.items()
    ]
    shape = masks[0][0].shape
    if case.image is not None and case.image.shape != shape:
        return None
    view = View(np.asarray(grid.affine), (shape[0], shape[1], shape[2]))
    wrong = np.any([y != p for y, p in masks], axis=0)
    present = np.any([y | p for y, p in masks], axis=0)
    shown = fullest(view.stack(wrong if wrong.any() else present))
    figure, (axes,) = drawing.new_figure(3.4, 3.4)
    background = (
        grey(view.stack(case.image.array)[shown])
        if case.image is not None
        else np.full(view.stack(wrong)[shown].shape, 0.85)
    )
    _show(axes, background, view)
    for y, p in masks:
        for mask, color, style in ((y, drawing.REFERENCE, "solid"), (p, drawing.PREDICTION, "dashed")):
            flat = view.stack(mask)[shown]
            if flat.any():
                # One pixel of frame, so that a contour closes at the edge of the image.
                framed = np.pad(flat.astype(float), 1)
                rows, columns = (np.arange(-1, n + 1) for n in flat.shape)
                # White below, because blue on black is not seen.
                axes.contour(columns, rows, framed, [0.5], colors="white", linewidths=2.6, linestyles=style)
                axes.contour(columns, rows, framed, [0.5], colors=color, linewidths=1.6, linestyles=style)
    _zoom(axes, view.stack(present)[shown], background.shape)
    return drawing.png(figure)


def _detection(case: DetectionCase, image: Volume, details: DetectionDetails) -> bytes:
    view = View(image.affine, image.shape)
    said = confident(case.prediction, details.threshold)
    boxes = [(_voxels(case, box, image), "reference", 1.0) for box in _each(case.reference)]
    boxes += [(_voxels(case, box, image), "model", float(box.scores[0])) for box in _each(said)]
    everything = np.sum([view.stack(mask.astype(np.uint8)) for mask, _, _ in boxes], axis=0) if boxes else None
    shown = fullest(everything) if everything is not None else (1 if view.shape[0] == 1 else image.shape[0]) // 2
    figure, (axes,) = drawing.new_figure(3.6, 3.4)
    _show(axes, grey(view.stack(image.array)[shown]), view)
    for mask, who, score in boxes:
        flat = view.stack(mask)[shown]
        if not flat.any():
            continue
        rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
        corner = (columns[0] - 0.5, rows[0] - 0.5)
        width, height = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
        color, style = (drawing.REFERENCE, "-") if who == "reference" else (drawing.PREDICTION, "--")
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="white", linewidth=3))
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=color, linewidth=1.8, linestyle=style))
        if who == "model":
            label = {"facecolor": drawing.PREDICTION, "edgecolor": "none", "pad": 1.2}
            axes.text(*corner, f"{score:.2f}", fontsize=8, color="white", va="bottom", bbox=label)
    return drawing.png(figure)


def _each(boxes: BoxArray) -> list[BoxArray]:
    return [
        BoxArray(boxes.corners[n : n + 1], boxes.classes[n : n + 1], boxes.scores[n : n + 1]) for n in range(len(boxes))
    ]


def _voxels(case: DetectionCase, box: BoxArray, image: Volume) -> Mask:
    """Voxels of the image in a box."""
    half = box.dimensions
    low, high = box.corners[0, :half], box.corners[0, half:]
    if case.axes is None:
        # From edges of voxels to their centres; a 2D box lies in every slice.
        low, high = np.append(low, -np.inf)[:3], np.append(high, np.inf)[:3]
        bounds = np.stack([low, high]) - 0.5
    else:
        ends = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
        ras = ends @ np.asarray(case.axes).T
        inverse = np.linalg.inv(image.affine)
        ijk = ras @ inverse[:3, :3].T + inverse[:3, 3]
        bounds = np.stack([ijk.min(axis=0), ijk.max(axis=0)])
    mask = np.zeros(image.shape, bool)
    # At least the voxel that the centre of a tiny box is in.
    inside = [
        slice(max(0, min(int(np.ceil(a)), round((a + b) / 2))), max(int(np.floor(b)), round((a + b) / 2)) + 1)
        for a, b in np.clip(bounds.T, -1, np.array(image.shape[::-1])[:, None])
    ]
    mask[inside[2], inside[1], inside[0]] = True
    return mask


def _restoration(case: RestorationCase, names: tuple[str, str]) -> bytes | None:
    if case.reference.channels > 1:
        return None
    view = View(case.reference.affine, case.reference.shape)
    reference = view.stack(case.reference.array).astype(np.float64)
    restored = view.stack(case.restored.array).astype(np.float64)
    shown = fullest(restored - reference)
    window = case.data_range or tuple(np.percentile(reference[shown], (0.5, 99.5)))
    low, high = float(window[0]), float(window[1])
    shades = (grey(restored[shown], (low, high)), grey(reference[shown], (low, high)))
    panels = list(zip(names, shades, strict=True))
    if case.degraded is not None:
        panels.insert(0, ("Before", grey(view.stack(case.degraded.array)[shown], (low, high))))
    error = np.abs(restored[shown] - reference[shown])
    reach = float(np.percentile(error, 99.5)) or 1.0
    panels.append((f"|Difference|, white = {reach:.3g}", grey(error, (0.0, reach))))
    figure, axes = drawing.new_figure(2.3 * len(panels), 2.6, len(panels))
    for one, (title, image) in zip(axes, panels, strict=True):
        _show(one, image, view)
        one.set_title(title, fontsize=9, color=drawing.INK)
    return drawing.png(figure)


def _show(axes: Axes, image: NDArray[np.float64], view: View) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, aspect=view.aspect, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    places = (
        (0.02, 0.5, "left", "center"),
        (0.98, 0.5, "right", "center"),
        (0.5, 0.98, "center", "top"),
        (0.5, 0.02, "center", "bottom"),
    )
    for letter, (x, y, across, along) in zip(view.letters, places, strict=True):
        if letter:
            dark = {"facecolor": "black", "edgecolor": "none", "alpha": 0.55, "pad": 1.0}
            axes.text(x, y, letter, transform=axes.transAxes, ha=across, va=along, fontsize=8, color="white", bbox=dark)


def _zoom(axes: Axes, present: NDArray[np.generic], shape: tuple[int, ...]) -> None:
    """Show the structures and some of what is around them."""
    rows, columns = np.flatnonzero(present.any(axis=1)), np.flatnonzero(present.any(axis=0))
    if not len(rows):
        return
    reach = max(int(np.ptp(rows)), int(np.ptp(columns)), 16)
    margin = 0.45 * reach
    limits = [
        (max(-0.5, found[0] - margin), min(size - 0.5, found[-1] + margin))
        for found, size in ((rows, shape[0]), (columns, shape[1]))
    ]
    axes.set_ylim(limits[0][1], limits[0][0])
    axes.set_xlim(*limits[1])
