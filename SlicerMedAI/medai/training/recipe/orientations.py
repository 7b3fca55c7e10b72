"""A classifier of images that have no upright looks at them from several sides, and so finds the same in each of them.

A network that has learned from turned images is no more right about one position than about another, but errs in each
on its own account: the mean over positions is nearer to the truth than any. Right angles cost no interpolation.
"""

from __future__ import annotations

from itertools import combinations, permutations

from medai.training.recipe.plan import Plan


def has_no_upright(plan: Plan) -> bool:
    """Whether a classifier learns from images that are turned at random."""
    return plan.task == "classify" and "turn" in (plan.parameters.augmentation or ())


def orientations(patch: tuple[int, ...]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Positions in which a patch fills the same grid, and which lead but to each other when one follows the other.

    Parameters
    ----------
    patch : tuple of int
        Pixels or voxels along each axis.

    Returns
    -------
    list of tuple of int
        Orders of a batch's spatial axes (2 for the first): those that exchange axes of the same length.
    list of tuple of int
        Of each of these, the axes to mirror along: none, or two. 24 positions of a cube, half of those that there are.
    """
    axes = range(2, 2 + len(patch))
    orders = [order for order in permutations(axes) if [patch[axis - 2] for axis in order] == list(patch)]
    return orders, [(), *combinations(axes, 2)]


def inferer_from_all_sides(plan: Plan) -> str:
    """An inferer that gives the mean of the network's output over `orientations`, with nothing but torch."""
    orders, mirrors = orientations(plan.patch)
    # Mirrors go through the network together, which is several times as fast; all at once might be too much for memory.
    return (
        f"$lambda image, network, *_, **__: torch.cat([network(torch.cat([image.permute(0, 1, *order).flip(mirrored) "
        f"for mirrored in {mirrors}])).reshape({len(mirrors)}, len(image), -1) for order in {orders}]).mean(0)"
    )
