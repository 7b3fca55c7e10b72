"""Which case comes when, and with which random numbers, depends on seed, epoch and case alone."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from monai.transforms import EnsureTyped, RandGaussianNoised, RandRotated

from medai.errors import InputError
from medai.training.components.sampling import EpochBatches, EpochDataset, weights_by_class


@pytest.fixture
def a_noisy_dataset() -> EpochDataset:
    cases = [{"image": np.full((1, 6, 6), n, np.float32)} for n in range(5)]
    steps = [
        EnsureTyped(keys="image", track_meta=False),
        RandRotated(keys="image", prob=0.5, range_x=1.0),
        RandGaussianNoised(keys="image", prob=1.0),
    ]
    return EpochDataset(cases, steps, seed=3)


def test_a_case_is_the_same_whenever_it_is_asked_for(a_noisy_dataset):
    first = a_noisy_dataset[7]["image"].clone()
    a_noisy_dataset[2], a_noisy_dataset[13]
    assert torch.equal(a_noisy_dataset[7]["image"], first)


def test_a_case_differs_from_epoch_to_epoch(a_noisy_dataset):
    assert not torch.equal(a_noisy_dataset[2]["image"], a_noisy_dataset[2 + 5]["image"])


def test_a_worker_process_would_see_the_same(a_noisy_dataset):
    elsewhere = pickle.loads(pickle.dumps(a_noisy_dataset))
    for key in (1, 8, 24):
        assert torch.equal(elsewhere[key]["image"], a_noisy_dataset[key]["image"])


def test_what_is_not_kept_in_memory_is_the_same(a_noisy_dataset):
    fresh = EpochDataset(a_noisy_dataset.data, a_noisy_dataset.transform.transforms, seed=3, cache_rate=0.0)
    assert torch.equal(fresh[9]["image"], a_noisy_dataset[9]["image"])


def test_every_case_comes_once_in_an_epoch_and_in_another_order_in_the_next():
    batches = EpochBatches(12, 4, seed=1)
    batches.epoch = 1
    first = [key - 12 for batch in batches for key in batch]
    batches.epoch = 2
    second = [key - 24 for batch in batches for key in batch]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_what_does_not_fill_a_batch_waits_for_the_next_epoch():
    batches = EpochBatches(10, 4)
    assert len(batches) == len(list(batches)) == 2
    assert len(EpochBatches(3, 8)) == 1


def test_processes_share_every_batch():
    whole = list(EpochBatches(12, 4, seed=1))
    shares = [list(EpochBatches(12, 4, seed=1, rank=rank, world=2)) for rank in range(2)]
    assert [sorted(one + two) for one, two in zip(*shares, strict=True)] == [sorted(batch) for batch in whole]


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(InputError, match="3 processes cannot share a batch of 4"):
        EpochBatches(12, 4, world=3)


def test_nothing_to_train_on_is_told():
    with pytest.raises(InputError, match="nothing to train on"):
        EpochBatches(0, 4)


def test_rare_classes_are_drawn_as_often_as_common_ones():
    cases = [{"label": int(n < 10)} for n in range(100)]
    batches = EpochBatches(100, 10, weights=weights_by_class(cases))
    drawn = Counter()
    for epoch in range(40):
        batches.epoch = epoch
        drawn.update(cases[key % 100]["label"] for batch in batches for key in batch)
    assert 0.45 < drawn[1] / (drawn[0] + drawn[1]) < 0.55


def test_of_several_findings_the_rarest_counts():
    cases = [{"label": [1, 0]}, {"label": [1, 0]}, {"label": [1, 1]}, {"label": [0, 0]}]
    weights = weights_by_class(cases)
    assert weights[2] > weights[0]
    assert weights[3] == pytest.approx(1.0)
