"""Blocks of memory that two processes see at once, by name.

`multiprocessing.shared_memory` is not used on purpose: before Python 3.13 it registers every block with a resource
tracker, a further process started with ``sys.executable`` (inside Slicer that is Slicer itself, so a second
application window would open), which also unlinks blocks that the other side still needs. Here each side says itself
when a name ends, and names are chosen so that whichever side survives can end them.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import sys

if sys.platform != "win32":
    import _posixshmem  # type: ignore[import-not-found]

# What a full, missing or forbidden shared memory looks like; the caller then sends the bytes through the socket.
_NO_ROOM = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOMEM,
    errno.EFBIG,
    errno.EMFILE,
    errno.ENFILE,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,  # somebody else's block of that name
    errno.ENOENT,
    errno.ENOSYS,
)


class NoSharedMemoryError(OSError):
    """This computer has no room for a block of that size in shared memory (Docker gives 64 MB by default)."""


class Block:
    """One named block of shared memory.

    Use `create` and `attach` rather than the constructor.

    Parameters
    ----------
    name : str
        Letters, digits and dashes, at most 29 characters (macOS allows 31 with the leading slash).
    mapping : mmap.mmap
        The block's memory.
    """

    def __init__(self, name: str, mapping: mmap.mmap) -> None:
        self.name = name
        self.mapping = mapping

    @classmethod
    def create(cls, name: str, size: int) -> Block:
        """Make a new block of `size` bytes, all of them really there.

        Raises
        ------
        NoSharedMemoryError
            When there is no room. Found out here, because touching a page that the kernel cannot provide later would
            kill the process with SIGBUS.
        """
        try:
            if sys.platform == "win32":
                # The pagefile backs it; a block of that name must not exist, or its old size would be seen.
                return cls(name, mmap.mmap(-1, size, tagname=name))
            descriptor = _posixshmem.shm_open(f"/{name}", os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600)
            try:
                os.ftruncate(descriptor, size)
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(descriptor, 0, size)
                return cls(name, mmap.mmap(descriptor, size))
            except BaseException:
                unlink(name)
                raise
            finally:
                os.close(descriptor)
        except (OSError, ValueError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_ROOM and sys.platform != "win32":
                raise
            raise NoSharedMemoryError(getattr(error, "errno", None) or errno.ENOMEM, str(error)) from error

    @classmethod
    def attach(cls, name: str, size: int) -> Block:
        """Open a block that the other process made, and end its name: it lives until both sides let go.

        Raises
        ------
        OSError
            When there is no such block, because the other process has ended.
        """
        if sys.platform == "win32":
            return cls(name, mmap.mmap(-1, size, tagname=name))
        descriptor = _posixshmem.shm_open(f"/{name}", os.O_RDWR, mode=0o600)
        try:
            unlink(name)
            return cls(name, mmap.mmap(descriptor, size))
        finally:
            os.close(descriptor)

    def view(self, offset: int, size: int) -> memoryview:
        """Writable view on a part of the block, no copy. The block stays mapped as long as any view does."""
        return memoryview(self.mapping)[offset : offset + size]

    def release(self) -> None:
        """Let go of the memory, now if no view is left, else when the last one goes."""
        with contextlib.suppress(BufferError):
            self.mapping.close()


def unlink(name: str) -> None:
    """End a block's name, whether it exists or not. Windows ends it by itself when nobody holds it."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            _posixshmem.shm_unlink(f"/{name}")
