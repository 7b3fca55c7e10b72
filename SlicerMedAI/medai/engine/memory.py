"""Tell running out of memory from every other failure."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from medai.errors import OutOfMemoryError

_PHRASES = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "unable to allocate",  # numpy
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error`, or whatever caused it, is a lack of memory of the computer or of its GPU."""
    return any(
        isinstance(cause, MemoryError) or any(phrase in str(cause).lower() for phrase in _PHRASES)
        for cause in _causes(error)
    )


def out_of_memory(error: BaseException, device: str) -> OutOfMemoryError:
    """The same failure in a person's words."""
    gpu = device.startswith("cuda") and not any(isinstance(cause, MemoryError) for cause in _causes(error))
    return OutOfMemoryError(
        "The GPU ran out of memory." if gpu else "The computer ran out of memory.",
        "The image is too large for the memory that is free now.",
        "Draw a region around the structure and look at that alone, close other programs"
        + (", or choose the CPU as device." if gpu else ", or use a computer with more memory."),
        details="".join(traceback.format_exception(error)),
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
