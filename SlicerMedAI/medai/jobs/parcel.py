"""Jobs and results on their way between processes: voxels through shared memory, the rest as a small pickle.

Pickle protocol 5 hands over every array's buffer beside the stream (PEP 574). All buffers of one object go into one
block, so the receiver sees them where they lie, without a copy.

numpy is imported when needed: a worker without it must still be able to hear its parent.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

from medai.jobs.memory import Block, NoSharedMemoryError

_ALIGNMENT = 64  # a cache line, and enough for every vector instruction
SMALLEST_BLOCK = 64 * 1024  # below, a system call for a block costs more than the bytes


@dataclass(frozen=True)
class Parcel:
    """What the socket carries.

    Parameters
    ----------
    stream : bytes
        The pickle without its buffers.
    parts : tuple of (int, int)
        Offset and size in bytes of every buffer in the block, in order.
    block : str
        Name of the shared block; ``""`` when the buffers follow through the socket instead.
    size : int
        Bytes in the block.
    """

    stream: bytes
    parts: tuple[tuple[int, int], ...]
    block: str = ""
    size: int = 0


class _Pickler(pickle.Pickler):
    """Pickles strided arrays beside the stream too, which numpy itself would copy into it byte by byte."""

    def reducer_override(self, obj: Any) -> Any:
        import numpy as np

        if type(obj) is np.ndarray and not obj.dtype.hasobject:
            if not (obj.flags.c_contiguous or obj.flags.f_contiguous):
                obj = np.ascontiguousarray(obj)
            return obj.__reduce_ex__(_PROTOCOL)
        return NotImplemented


_PROTOCOL: SupportsIndex = 5


def pack(content: object, name: str) -> tuple[Parcel, Block | None, list[memoryview]]:
    """Put `content` on its way.

    Parameters
    ----------
    content : object
        Anything that pickles.
    name : str
        Name for the shared block; no block of that name may exist.

    Returns
    -------
    parcel : Parcel
        To be sent through the socket.
    block : Block or None
        Filled; to be kept until the other side has attached it. None when none was needed or none could be had.
    buffers : list of memoryview
        To be sent through the socket after the parcel; empty when there is a block. They are views on `content`.
    """
    import numpy as np

    stream = io.BytesIO()
    pickled: list[pickle.PickleBuffer] = []
    _Pickler(stream, protocol=5, buffer_callback=pickled.append).dump(content)
    buffers = [buffer.raw() for buffer in pickled]
    parts, size = [], 0
    for buffer in buffers:
        parts.append((size, buffer.nbytes))
        size += -(-buffer.nbytes // _ALIGNMENT) * _ALIGNMENT
    if size >= SMALLEST_BLOCK:
        try:
            block = Block.create(name, size)
        except NoSharedMemoryError:
            return Parcel(stream.getvalue(), tuple(parts)), None, buffers
        for buffer, (offset, count) in zip(buffers, parts, strict=True):
            if count:
                # numpy copies large blocks faster than a memoryview assignment and without holding the GIL.
                np.copyto(np.frombuffer(block.mapping, np.uint8, count, offset), np.frombuffer(buffer, np.uint8))
        return Parcel(stream.getvalue(), tuple(parts), name, size), block, []
    return Parcel(stream.getvalue(), tuple(parts)), None, buffers


def unpack(parcel: Parcel, buffers: Sequence[bytearray], *, copy: bool) -> tuple[Any, Callable[[], None]]:
    """Take delivery; the opposite of `pack`.

    Parameters
    ----------
    parcel : Parcel
        As received.
    buffers : sequence of bytearray
        What followed it through the socket.
    copy : bool
        True: arrays own their memory and the block is let go at once. False: arrays are views on the block.

    Returns
    -------
    content : object
        What was packed.
    release : callable
        Lets go of the block once the arrays are no longer needed.

    Raises
    ------
    OSError
        When the block is gone, because the other process has ended.
    """
    import numpy as np

    if not parcel.block:
        return pickle.loads(parcel.stream, buffers=buffers), lambda: None  # noqa: S301 - our own authenticated child
    block = Block.attach(parcel.block, parcel.size)
    views: list[Any] = [block.view(offset, count) for offset, count in parcel.parts]
    if copy:
        views = [np.array(np.frombuffer(view, np.uint8)).data if view.nbytes else bytearray() for view in views]
    content = pickle.loads(parcel.stream, buffers=views)  # noqa: S301 - our own authenticated child
    del views
    if copy:
        block.release()
    return content, block.release
