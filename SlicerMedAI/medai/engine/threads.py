"""How many threads PyTorch computes with, and work that goes on beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

_Given = TypeVar("_Given")
_Found = TypeVar("_Found")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch computes with `count` threads, as far as this thread calls it.

    For many small steps one is best: several have to meet after each of them, and on a busy computer the last one
    arrives a time slice later.
    """
    before = torch.get_num_threads()
    if count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count != before:
            torch.set_num_threads(before)


def ahead(compute: Callable[[_Given], _Found], given: Iterable[_Given], count: int) -> Iterator[_Found]:
    """``map(compute, given)``, with the next one computed in a thread of its own while the last one is used.

    Two results are in memory at once. Closing the iterator waits for what is being computed.

    Parameters
    ----------
    compute : callable
        Runs without gradients. What it raises is raised here, in its turn.
    given : iterable
        Taken in this thread, one item further than what was yielded.
    count : int
        Threads that PyTorch computes with, as far as that thread calls it.
    """

    def without_gradients(item: _Given) -> _Found:
        with torch.inference_mode():  # a thread has a mode of its own
            return compute(item)

    with ThreadPoolExecutor(1, "window", torch.set_num_threads, (count,)) as thread:
        coming: Future[_Found] | None = None
        for item in given:
            following = thread.submit(without_gradients, item)
            if coming is not None:
                yield coming.result()
            coming = following
        if coming is not None:
            yield coming.result()
