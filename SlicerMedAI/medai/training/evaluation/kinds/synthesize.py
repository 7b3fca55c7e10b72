"""Findings of a generator: what it makes, beside the images it learned from and others that it never saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from medai.errors import InputError
from medai.training.evaluation.bootstrap import intervals
from medai.training.evaluation.cases import RestorationCase, Row, SynthesisCase
from medai.training.evaluation.classification import binary_metrics
from medai.training.evaluation.findings import (
    Findings,
    Options,
    SynthesisDetails,
    Worst,
    WorstCases,
    check_kind,
)
from medai.training.evaluation.summary import Estimate
from medai.training.evaluation.synthesis import frechet_with_floor, likeness_of_pairs, nearest, told_apart
from medai.training.evaluation.undefined import Undefined
from medai.volume import Volume

Floats = NDArray[np.float64]
MADE, LEARNED, HELD = "synthetic", "training", "held back"
_SHOWN = 12


def synthesis_findings(cases: Iterable[SynthesisCase], options: Options) -> Findings:
    """Evaluate a model that makes images.

    Parameters
    ----------
    cases : iterable of SynthesisCase
        All are kept in memory: every image is compared with every other.

    Raises
    ------
    InputError
        When there are fewer than four synthetic or real images, none to compare with, or they differ in size.
    """
    parts: dict[str, list[SynthesisCase]] = {MADE: [], LEARNED: [], HELD: []}
    for case in cases:
        check_kind(case, SynthesisCase)
        parts[case.origin].append(case)
    _check(parts)
    made, learned, held = parts.values()
    real = [*learned, *held]
    images = {name: _stack(part) for name, part in parts.items() if part}
    # What lies on its side is no copy of what stands; what is seen in a mirror is.
    mirrored = (images[MADE].ndim - 1,)
    distances, neighbours = {}, {}
    for name, part in ((MADE, made), (HELD, held)):
        if part:
            neighbours[name], distances[name] = nearest(images[name], images[LEARNED], mirrored=mirrored)
    truth, said = told_apart(_column(made, "traits"), _column(real, "traits"), seed=options.how.seed)
    frechet = frechet_with_floor(_column(made, "features"), _column(real, "features"), seed=options.how.seed)
    people = tuple(case.person(n) for n, case in enumerate([*made, *real]))
    estimates = [Estimate.of(key, one, len(made)) for key, one in frechet.items()]
    estimates += _likeness(images, options)
    estimates += _copying(distances, [case.person(n) for n, case in enumerate([*made, *held])], options)
    auroc = intervals(lambda t, s: {"auroc_synthetic": _auroc(t, s)}, (truth, said), people, options.how)
    estimates += [Estimate.of(key, one, len(truth)) for key, one in auroc.items()]
    chances = dict(zip([*made, *real], said.tolist(), strict=True))
    rows = [
        _row(case, learned[int(which)], float(apart), chances[case])
        for name, part in ((MADE, made), (HELD, held))
        if part
        for case, which, apart in zip(part, neighbours[name], distances[name], strict=True)
    ]
    return Findings(
        rows=rows,
        estimates=tuple(estimates),
        details=SynthesisDetails(_some(made), _some(real), distances, frechet),
        worst=_closest(made, learned, neighbours[MADE], distances, options.worst),
        people=people,
        settings={
            "synthetic images": str(len(made)),
            "real images": f"{len(learned)} that it learned from, {len(held)} held back",
        },
        notes=_notes(held),
    )


def _check(parts: dict[str, list[SynthesisCase]]) -> None:
    made, learned, held = parts.values()
    if len(made) < 4 or len(learned) + len(held) < 4 or not learned:
        raise InputError(
            "The generator cannot be evaluated.",
            f"There are {len(made)} synthetic images, {len(learned)} real ones that it learned from, and {len(held)} "
            "that were held back.",
            "Give at least four synthetic and four real images, with those that it learned from among them.",
        )
    shapes = {case.image.shape if case.image is not None else None for part in parts.values() for case in part}
    if len(shapes) > 1 or None in shapes:
        raise InputError(
            "The generator cannot be evaluated.",
            "The real and the synthetic images are not all of one size.",
            "Bring all images to one size first.",
        )


def _stack(cases: Sequence[SynthesisCase]) -> NDArray[np.float32]:
    """Shape (N, K, J, I), or (N, J, I) of pictures."""
    stacked = np.stack([case.image.array for case in cases if case.image is not None]).astype(np.float32)
    return stacked[:, 0] if stacked.shape[1] == 1 else stacked


def _column(cases: Sequence[SynthesisCase], name: str) -> Floats:
    return np.stack([np.asarray(getattr(case, name), dtype=np.float64) for case in cases])


def _likeness(images: dict[str, NDArray[np.float32]], options: Options) -> list[Estimate]:
    real = np.concatenate([part for name, part in images.items() if name != MADE])
    found = []
    for key, some in (("ms_ssim", images[MADE]), ("ms_ssim_real", real)):
        pairs = likeness_of_pairs(some, seed=options.how.seed)
        interval = intervals(lambda values, key=key: {key: float(values.mean())}, (pairs,), None, options.how)
        found.append(Estimate.of(key, interval[key], len(pairs)))
    return found


def _copying(distances: dict[str, Floats], people: Sequence[str], options: Options) -> list[Estimate]:
    """How near the synthetic images are to the training images, in parts of how near others of other people are."""
    if HELD not in distances:
        return []
    apart = np.concatenate([distances[MADE], distances[HELD]])
    is_made = np.repeat([True, False], [len(distances[MADE]), len(distances[HELD])])

    def metrics(values: Floats, made: NDArray[np.bool_]) -> dict[str, float]:
        if made.all() or not made.any():
            return {"nearest_ratio": np.nan, "copies": np.nan}
        median = float(np.median(values[~made]))
        ratio = float(np.median(values[made])) / median if median else Undefined("held-back images are copies")
        # Half as far as all but a few of the held-back images are (data may have an image twice): no coincidence.
        suspicious = 0.5 * float(np.quantile(values[~made], 0.05))
        return {"nearest_ratio": ratio, "copies": float((values[made] < suspicious).mean())}

    found = intervals(metrics, (apart, is_made), people, options.how)
    return [Estimate.of(key, one, len(distances[MADE])) for key, one in found.items()]


def _auroc(truth: NDArray[np.intp], said: Floats) -> float:
    if np.isnan(said).any():
        return Undefined("too few images")
    return binary_metrics(truth, said)["auroc"]


def _row(case: SynthesisCase, neighbour: SynthesisCase, apart: float, said: float) -> Row:
    return {
        "case": case.name,
        "patient": case.patient,
        "origin": case.origin,
        "nearest_training_case": neighbour.name,
        "distance": apart,
        "probability_synthetic": said,
    }


def _some(cases: Sequence[SynthesisCase]) -> tuple[Volume, ...]:
    chosen = np.linspace(0, len(cases) - 1, min(_SHOWN, len(cases))).round().astype(int)
    return tuple(cases[n].image for n in chosen)  # type: ignore[misc]  # `_check` has seen them


def _closest(
    made: Sequence[SynthesisCase],
    learned: Sequence[SynthesisCase],
    neighbours: NDArray[np.intp],
    distances: dict[str, Floats],
    limit: int,
) -> tuple[Worst, ...]:
    closest = WorstCases(limit)
    usual = f"; held-back real images: median {np.median(distances[HELD]):.3f}" if HELD in distances else ""
    for case, which, apart in zip(made, neighbours, distances[MADE], strict=True):
        neighbour = learned[int(which)]
        assert case.image is not None
        assert neighbour.image is not None
        pair = RestorationCase(
            name=case.name,
            reference=neighbour.image,
            restored=Volume(case.image.array, neighbour.image.affine, case.name),
            data_range=(0.0, 1.0),
        )
        closest.offer(pair, -float(apart), f"{apart:.3f} from '{neighbour.name}'{usual}")
    return closest.ranked()


def _notes(held: Sequence[SynthesisCase]) -> tuple[str, ...]:
    if held:
        return (
            "Distances are of all voxels, so smooth images are nearer to any other than noisy ones; look at the pairs.",
        )
    return ("No real image was held back, so it cannot be said how near is too near.",)
