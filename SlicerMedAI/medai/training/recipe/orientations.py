"""Positions of an image that a network learns to be the same.

A classifier that has learned from mirrored or turned images looks at each in these positions as well, a denoiser at
every window where that was asked for: it is no more right about one than about another, but errs in each on its own
account, so that the mean is nearer to the truth than any. Mirrors and right angles cost no interpolation.
"""

from __future__ import annotations

from itertools import combinations, permutations

from medai.engine.mirrors import mirrors
from medai.training.recipe.plan import Plan

Axes = tuple[int, ...]


def flipped(plan: Plan) -> Axes:
    """Spatial axes along which a network learns from mirrored images (``"flip"``), 0 for the first.

    What is told, found or made as a whole picture keeps its upright: left and right alone are exchanged.
    """
    if "flip" not in (plan.parameters.augmentation or ()):
        return ()
    upright = plan.task in ("classify", "synthesize") or (plan.task == "detect" and plan.dimensions == 2)
    return tuple(range(1 if upright else plan.dimensions))


def positions(plan: Plan) -> tuple[list[Axes], list[Axes]]:
    """Positions in which an image fills the same grid, and which a network has learned to be the same.

    Parameters
    ----------
    plan : Plan
        Of any training; what is no classifier sees an image as it is, so nothing is exchanged or mirrored.

    Returns
    -------
    list of tuple of int
        Orders of a batch's spatial axes (2 for the first). Of a classifier that learned from images without an upright
        (``"turn"``), those that exchange axes of the same length.
    list of tuple of int
        Of each of these, the axes to mirror along. None, or two, where there is no upright: with the orders 24
        positions of a cube, half of all. None, or from left to right, where images were mirrored (``"flip"``).
    """
    if plan.task != "classify":
        return [()], [()]
    chosen = plan.parameters.augmentation or ()
    axes = tuple(range(2, 2 + len(plan.patch)))
    if "turn" in chosen:
        lengths = list(plan.patch)
        orders = [order for order in permutations(axes) if [lengths[axis - 2] for axis in order] == lengths]
        return orders, [(), *combinations(axes, 2)]
    return [axes], list(mirrors(axis + 2 for axis in flipped(plan)))


def views(plan: Plan) -> list[Axes]:
    """Of each look that a denoiser takes at a window the spatial axes to mirror along, 0 for the first.

    Those that differ most from the window as it is: two are mirrored along all axes or none, four along an even number
    of them.
    """
    axes, count = flipped(plan), plan.parameters.views
    if count == 1 or not axes:
        return [()]
    if count == 2:
        return [(), axes]
    every = list(mirrors(axes))
    even = [view for view in every if len(view) % 2 == 0]
    return even if count == len(even) else every


def inferer_of_positions(plan: Plan) -> str | None:
    """An inferer that gives the mean of the network's output over `positions`, with nothing but torch; None for one."""
    orders, sides = positions(plan)
    if len(orders) * len(sides) == 1:
        return None
    # Mirrors go through the network together, which is several times as fast; all at once might be too much for memory.
    return (
        f"$lambda image, network, *_, **__: torch.cat([network(torch.cat([image.permute(0, 1, *order).flip(mirrored) "
        f"for mirrored in {sides}])).reshape({len(sides)}, len(image), -1) for order in {orders}]).mean(0)"
    )
