"""Several segmentations of one image combined into one, and where they disagree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medai.result import Labelmap, Segment

_PLANES = 16


def vote(labelmaps: Sequence[Labelmap], casting: Labelmap | None = None) -> tuple[Labelmap, NDArray[np.float32]]:
    """The label that most segmentations give each voxel, and the share of those that disagree with it.

    Votes are counted a few planes at a time, so that memory does not grow with the number of segments.

    Parameters
    ----------
    labelmaps : sequence of Labelmap
        On one grid, one or more. Segments are the same when their names are, in any case of letters; the first
        labelmap's colours, codes and order are kept.
    casting : Labelmap, optional
        Decides where equally many votes stand against each other; without it, or where it has none of these labels,
        the one cast first wins.

    Returns
    -------
    labelmap : Labelmap
        The winners.
    disagreement : ndarray of float32, shape (K, J, I)
        1 minus the winner's share of the votes: 0 where all agree, below 1 everywhere (variation ratio; Freeman,
        Elementary Applied Statistics, 1965). For overlapping segments the largest over the layers.
    """
    everyone = [*labelmaps, *([casting] if casting is not None else [])]
    segments, layered = _united(everyone)
    first = labelmaps[0]
    if layered:
        masks = [[_mask(labelmap, segment) for labelmap in everyone] for segment in segments]
        counted = [_most_common(layer[: len(labelmaps)], layer[len(labelmaps) :]) for layer in masks]
        array = np.stack([winner for winner, _ in counted]).astype(np.uint8)
        united = tuple(
            Segment(s.name, 1, s.color, layer, s.category, s.type, s.modifier) for layer, s in enumerate(segments)
        )
        worst = np.maximum.reduce([disagreement for _, disagreement in counted])
        return Labelmap(array, first.affine, united, first.name), worst
    values = {segment.name.casefold(): segment.value for segment in segments}
    arrays = [_renumbered(labelmap, values) for labelmap in everyone]
    winner, disagreement = _most_common(arrays[: len(labelmaps)], arrays[len(labelmaps) :])
    return Labelmap(winner, first.affine, segments, first.name), disagreement


def _united(labelmaps: Sequence[Labelmap]) -> tuple[tuple[Segment, ...], bool]:
    """All segments of all labelmaps, each with a value of its own, and whether they need layers."""
    layered = any(labelmap.array.ndim == 4 for labelmap in labelmaps)
    united: dict[str, Segment] = {}
    for labelmap in labelmaps:
        for segment in labelmap.segments:
            united.setdefault(segment.name.casefold(), segment)
    taken: set[int] = set()
    segments = []
    for segment in united.values():
        value = segment.value if segment.value not in taken else max(taken) + 1
        taken.add(value)
        segments.append(
            Segment(segment.name, value, segment.color, 0, segment.category, segment.type, segment.modifier)
        )
    return tuple(segments), layered


def _mask(labelmap: Labelmap, segment: Segment) -> NDArray[np.unsignedinteger]:
    for own in labelmap.segments:
        if own.name.casefold() == segment.name.casefold():
            return labelmap.mask(own).view(np.uint8)
    return np.zeros(labelmap.layers.shape[1:], np.uint8)


def _renumbered(labelmap: Labelmap, values: dict[str, int]) -> NDArray[np.unsignedinteger]:
    highest = max((segment.value for segment in labelmap.segments), default=0)
    table = np.zeros(max(highest, int(labelmap.array.max())) + 1, np.min_scalar_type(max(values.values(), default=0)))
    for segment in labelmap.segments:
        table[segment.value] = values[segment.name.casefold()]
    renumbered: NDArray[np.unsignedinteger] = table[labelmap.array]
    return renumbered


def _most_common(
    votes: Sequence[NDArray[np.unsignedinteger]], casting: Sequence[NDArray[np.unsignedinteger]]
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.float32]]:
    winner = np.empty_like(votes[0], dtype=np.result_type(*votes))
    disagreement = np.empty(votes[0].shape, np.float32)
    for start in range(0, len(winner), _PLANES):
        planes = slice(start, start + _PLANES)
        cast = np.stack([vote[planes] for vote in votes])
        best, support = cast[0].copy(), np.zeros(cast.shape[1:], np.uint16)
        for candidate in (*(vote[planes] for vote in casting), *cast):
            same = (cast == candidate).sum(axis=0, dtype=np.uint16)
            better = same > support
            best[better], support[better] = candidate[better], same[better]
        winner[planes] = best
        disagreement[planes] = 1 - support / len(cast)
    return winner, disagreement
