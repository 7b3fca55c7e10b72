"""Sheets of synthetic and of real images, and how far the ones are from the others."""

from __future__ import annotations

from collections.abc import Sequence

from medai.training.evaluation.findings import SynthesisDetails
from medai.training.evaluation.report import drawing
from medai.training.evaluation.report.drawing import Picture
from medai.training.evaluation.report.slices import View, grey
from medai.volume import Volume

_COLUMNS = 4


def synthesis_plots(details: SynthesisDetails) -> list[Picture]:
    """Synthetic images, real images, and the Fréchet distances."""
    return [
        _sheet(details.made, "Synthetic images", "Evenly taken of all that were made, none chosen."),
        _sheet(details.real, "Real images", "As the generator learned them, for comparison."),
        _frechet(details),
    ]


def _sheet(images: Sequence[Volume], title: str, caption: str) -> Picture:
    rows = -(-len(images) // _COLUMNS)
    figure, _ = drawing.new_figure(4.4, 1.1 * rows, 0)
    for place, image in enumerate(images):
        axes = figure.add_subplot(rows, _COLUMNS, place + 1)
        view = View(image.affine, image.shape)
        stack = view.stack(image.array)
        axes.imshow(grey(stack[len(stack) // 2], (0.0, 1.0)), cmap="gray", vmin=0, vmax=1, aspect=view.aspect)
        axes.set_axis_off()
    return Picture(drawing.png(figure), f"{title}, {len(images)} of them, a slice of each.", title, caption)


def _frechet(details: SynthesisDetails) -> Picture:
    figure, (axes,) = drawing.new_figure()
    said = []
    names = {"fid": ("synthetic to real", drawing.PREDICTION), "fid_real": ("real to real", drawing.REFERENCE)}
    for place, (key, (name, color)) in enumerate(names.items()):
        one = details.frechet[key]
        reach = [[one.value - one.low], [one.high - one.value]]
        axes.errorbar([place], [one.value], yerr=reach, fmt="o", color=color, capsize=4, markersize=6)
        said.append(f"{name} {one.value:.3g} ({one.low:.3g} to {one.high:.3g})")
    axes.set_xticks(range(len(names)), [name for name, _ in names.values()])
    axes.set(xlim=(-0.6, len(names) - 0.4), ylim=(0, None))
    drawing.name_axes(axes, "", "Fréchet distance")
    return Picture(
        drawing.png(figure),
        f"Fréchet distances: {'; '.join(said)}.",
        "Fréchet distance",
        "Mean and 95 % of many draws of half of the images; the nearer to that of real images, the better.",
    )
