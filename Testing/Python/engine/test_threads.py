"""Work beside a network: in order, one ahead, and never more than one."""

from __future__ import annotations

import threading

import pytest
import torch

from medai.engine.threads import ahead, threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_number_of_threads_is_the_one_before_when_it_is_over(two_threads):
    with threads(1):
        assert torch.get_num_threads() == 1
    with pytest.raises(KeyError), threads(1):
        raise KeyError
    assert torch.get_num_threads() == 2


def test_the_next_is_computed_while_the_last_is_used():
    begun = [threading.Event() for _ in range(3)]

    def compute(n):
        begun[n].set()
        return n * n

    results = ahead(compute, range(3), 1)
    assert next(results) == 0
    assert begun[1].wait(5)
    assert list(results) == [1, 4]


def test_items_are_taken_one_further_than_what_was_given_out():
    taken = []

    def items():
        for n in range(5):
            taken.append(n)
            yield n

    results = ahead(lambda n: n, items(), 1)
    for n in range(3):
        assert next(results) == n
        assert taken == list(range(n + 2))


def test_a_failure_comes_in_its_turn():
    def compute(n):
        if n == 1:
            raise MemoryError
        return n

    results = ahead(compute, range(3), 1)
    assert next(results) == 0
    with pytest.raises(MemoryError):
        next(results)


def test_stopping_early_leaves_no_thread_behind():
    results = ahead(lambda n: n, range(100), 1)
    next(results)
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("window")]


def test_nothing_is_recorded_for_gradients():
    weight = torch.ones(1, requires_grad=True)
    assert not any(found.requires_grad for found in ahead(lambda n: weight * n, range(3), 1))


def test_the_other_thread_has_its_own_number_of_threads(two_threads):
    with threads(1):
        found = list(ahead(lambda _: torch.get_num_threads(), range(3), 2))
        assert torch.get_num_threads() == 1
    assert found == [2, 2, 2]
    assert torch.get_num_threads() == 2
