"""Which case comes when, and with which random numbers: a function of seed, epoch and case alone.

So a training goes on after a break as if there had been none, and gives the same with any number of worker processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import CacheDataset
from monai.transforms import Compose
from torch.utils.data import Sampler

from medai.errors import InputError
from medai.training.data.item import parse_source
from medai.training.data.voxels import read_source


class EpochDataset(CacheDataset):  # type: ignore[misc]
    """Cases prepared with random numbers of their own in every epoch.

    Parameters
    ----------
    data : sequence of dict
    transform : sequence of callable
        Steps of the preparation; what comes before the first random one is kept in memory.
    seed : int
    cache_rate : float
        Share of the cases that are kept.
    """

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        transform: Sequence[Callable[..., Any]],
        *,
        seed: int = 0,
        cache_rate: float = 1.0,
    ) -> None:
        steps = Compose(transform)
        super().__init__(data, steps, cache_rate=cache_rate, runtime_cache=True, progress=False, num_workers=1)
        self.seed = seed

    def __getitem__(self, key: int) -> Any:
        """Case ``key % len`` as epoch ``key // len`` sees it."""
        epoch, index = divmod(int(key), len(self))
        self.transform.set_random_state(seed=_mixed(self.seed, epoch, index))
        return self._transform(index)


class EpochBatches(Sampler[list[int]]):  # type: ignore[misc]
    """Batches of one epoch, as keys of an `EpochDataset`; what does not fill a batch waits for the next epoch.

    Parameters
    ----------
    count : int
        Cases.
    batch_size : int
        Of all processes together.
    seed : int
    weights : sequence of float, optional
        How often each case is drawn, in relation to the others; then with replacement. Without, each comes once.
    rank, world : int
        Which of how many processes this is; each takes its share of every batch.
    members : int
        Networks that learn side by side: a batch is one batch for each of them, one after the other, of its own order
        and with random numbers of its own.
    together : int
        Cases, one after the other, that no two processes share.

    Raises
    ------
    InputError
        When a batch cannot be shared equally.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        seed: int = 0,
        weights: Sequence[float] | None = None,
        rank: int = 0,
        world: int = 1,
        members: int = 1,
        together: int = 1,
    ) -> None:
        if count < 1:
            raise InputError(
                "There is nothing to train on.", "No case of the data is for training.", "Choose other data."
            )
        self.count, self.batch_size, self.seed = count, min(batch_size, count), seed
        if world > 1 and self.batch_size % (world * together):
            raise InputError(
                f"{world} processes cannot share a batch of {self.batch_size} cases.",
                "Each takes an equal part, or the result would depend on their number.",
                f"Choose a batch size that is a multiple of {world * together}.",
            )
        self.weights = None if weights is None else np.asarray(weights, dtype=np.float64) / np.sum(weights)
        self.rank, self.world, self.members = rank, world, members
        self.epoch = 0

    def __len__(self) -> int:
        return self.count // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        # To the data each member's turn is an epoch of its own.
        orders = [self._order(self.epoch * self.members + member) for member in range(self.members)]
        share = self.batch_size // self.world
        for start in range(self.rank * share, len(self) * self.batch_size, self.batch_size):
            batches = [keys[start : start + share] for keys in orders]
            yield [key for batch in batches for key in batch]

    def _order(self, turn: int) -> list[int]:
        rng = np.random.default_rng((self.seed, turn))
        if self.weights is None:
            order = rng.permutation(self.count)
        else:
            order = rng.choice(self.count, self.count, p=self.weights)
        return [turn * self.count + int(index) for index in order]


class EpochSeed:
    """Tells every epoch's number to its batches, and begins it with random numbers of its own (for dropout)."""

    def __init__(self, batches: EpochBatches) -> None:
        self.batches = batches

    def attach(self, engine: Engine) -> None:
        """Called by MONAI's engines."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        self.batches.epoch = engine.state.epoch
        torch.manual_seed(_mixed(self.batches.seed, engine.state.epoch))


def weights_by_class(cases: Sequence[dict[str, Any]]) -> list[float]:
    """A weight per case, with which every class is drawn equally often; of several findings, the rarest counts."""
    return _weights([_found(case["label"]) for case in cases])


def weights_by_structure(cases: Sequence[dict[str, Any]], unknown: int | None = None) -> list[float]:
    """As `weights_by_class`, of the structures that each case's label map marks; the rarest counts.

    Parameters
    ----------
    cases : sequence of dict
        With the file of the label map under ``"label"``.
    unknown : int, optional
        Value that marks no structure.
    """
    values = [np.unique(read_source(parse_source(str(case["label"]), Path())).array) for case in cases]
    marked = [[int(value) for value in found if value not in (0, unknown)] or [0] for found in values]
    return _weights(marked)


def _weights(labels: Sequence[Sequence[int]]) -> list[float]:
    count = Counter(one for label in labels for one in label)
    return [1.0 / min(count[one] for one in label) for label in labels]


def _found(label: Any) -> list[int]:
    if isinstance(label, (list, tuple)):
        return [place for place, value in enumerate(label) if value == 1] or [-1]
    return [int(label)]


def _mixed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
