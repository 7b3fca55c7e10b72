"""The socket between a worker process and its parent: whole messages, never a wait for half of one.

`multiprocessing.connection` would block the parent (Slicer's window) while a large message is under way, in either
direction, and hang it when the other side stops in the middle. Here the parent's side only ever moves what the socket
takes or gives at once. A loopback socket is the one kind that every platform has and that a launcher program between
the two processes (``PythonSlicer``) does not close.

Both sides prove who they are with a random secret of their own before anything is unpickled.
"""

from __future__ import annotations

import contextlib
import hmac
import pickle
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

SECRET_BYTES = 32
_COUNT = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")
_PIECE = 1 << 20
_MOST_GUESTS = 32
_PIECES_AT_ONCE = 64  # of at most 1 MiB: how long one call of `pump` may keep a window waiting

Message = tuple[Any, ...]
"""Kind (str) first, then what that kind carries; buffers sent along come as a list of bytearray at the end."""


class ClosedError(EOFError):
    """The other side is gone."""


class Listener:
    """Where the parent waits for the child it has just started.

    Parameters
    ----------
    expected : bytes
        Secret that the child must show.
    answer : bytes
        Secret shown to the child in return, so that it serves nobody else.
    """

    def __init__(self, expected: bytes, answer: bytes) -> None:
        self._expected = expected
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._guests: dict[socket.socket, bytearray] = {}

    @property
    def port(self) -> int:
        """Loopback port to connect to."""
        return int(self._socket.getsockname()[1])

    def sockets(self) -> list[socket.socket]:
        """What to wait for."""
        return [self._socket, *self._guests]

    def accept(self) -> Channel | None:
        """The child's channel once it has come and shown its secret; never waits."""
        with contextlib.suppress(OSError):  # nobody there, gone again, or no descriptor left for another
            guest, _ = self._socket.accept()
            guest.setblocking(False)
            self._guests[guest] = bytearray()
            if len(self._guests) > _MOST_GUESTS:
                # Strangers who knock and say nothing; the child shows its secret at once.
                oldest = next(iter(self._guests))
                del self._guests[oldest]
                oldest.close()
        for guest, shown in list(self._guests.items()):
            try:
                piece = guest.recv(SECRET_BYTES - len(shown))
                shown.extend(piece)
                if piece and len(shown) < SECRET_BYTES:
                    continue
                del self._guests[guest]
                if hmac.compare_digest(bytes(shown), self._expected):
                    guest.sendall(self._answer)
                    self.close()
                    return Channel(guest)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError:
                self._guests.pop(guest, None)
            guest.close()
        return None

    def close(self) -> None:
        """Stop listening and turn away who has not shown the secret."""
        for guest in (self._socket, *self._guests):
            guest.close()
        self._guests.clear()


def connect(port: int, secret: bytes, expected: bytes, timeout_s: float = 30.0) -> Channel:
    """The child's way to its parent.

    Raises
    ------
    ClosedError
        When nobody answers, or somebody who does not know the secret.
    """
    try:
        link = socket.create_connection(("127.0.0.1", port), timeout_s)
        link.sendall(secret)
        shown = b""
        while len(shown) < SECRET_BYTES:
            piece = link.recv(SECRET_BYTES - len(shown))
            if not piece:
                raise ClosedError
            shown += piece
    except OSError as error:
        raise ClosedError from error
    if not hmac.compare_digest(shown, expected):
        raise ClosedError
    link.setblocking(True)
    return Channel(link)


class Channel:
    """Messages over one socket. The parent calls `post` and `pump`, the child `send` and `receive`."""

    def __init__(self, link: socket.socket) -> None:
        self._socket = link
        self._outgoing: deque[memoryview] = deque()
        self._incoming = _Assembly()
        with contextlib.suppress(OSError):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    @property
    def sending(self) -> bool:
        """Whether posted messages still wait for room in the socket."""
        return bool(self._outgoing)

    def post(self, *message: Any, buffers: Sequence[memoryview] = ()) -> None:
        """Queue a message and send what the socket takes at once; `pump` sends the rest."""
        self._outgoing.extend(memoryview(piece).cast("B") for piece in _frame(message, buffers))
        self._flush()

    def pump(self) -> list[Message]:
        """Send and receive what can be without waiting.

        Raises
        ------
        ClosedError
            When the other side is gone; everything it said before has been returned by earlier calls.
        """
        self._flush()
        messages: list[Message] = []
        try:
            for _ in range(_PIECES_AT_ONCE):
                count = self._socket.recv_into(self._incoming.room())
                if count == 0:
                    raise ConnectionResetError
                messages += self._incoming.took(count)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            if not messages:
                raise ClosedError from error
        return messages

    def _flush(self) -> None:
        with contextlib.suppress(OSError):  # a broken connection shows when receiving, after its last words
            for _ in range(_PIECES_AT_ONCE):
                if not self._outgoing:
                    break
                sent = self._socket.send(self._outgoing[0][:_PIECE])
                if sent < len(self._outgoing[0]):
                    self._outgoing[0] = self._outgoing[0][sent:]
                else:
                    self._outgoing.popleft()

    def send(self, *message: Any, buffers: Sequence[memoryview] = ()) -> None:
        """Send a message, waiting for room.

        Raises
        ------
        ClosedError
            When the other side is gone.
        """
        try:
            for piece in _frame(message, buffers):
                self._socket.sendall(piece)
        except OSError as error:
            raise ClosedError from error

    def receive(self) -> Message:
        """The next message, waiting for it.

        Raises
        ------
        ClosedError
            When the other side is gone.
        """
        while True:
            try:
                count = self._socket.recv_into(self._incoming.room())
            except OSError as error:
                raise ClosedError from error
            if count == 0:
                raise ClosedError
            # `room` never reaches beyond the message under way, so at most one is complete.
            for message in self._incoming.took(count):
                return message

    def close(self) -> None:
        """Hang up. The other side sees it at once."""
        self._outgoing.clear()
        self._socket.close()


def wait(channels: Sequence[Channel | socket.socket], sending: Sequence[Channel], timeout_s: float) -> None:
    """Sleep until one of `channels` has something, one of `sending` has room, or `timeout_s` is over."""
    with selectors.DefaultSelector() as selector:
        try:
            for channel in channels:
                selector.register(channel, selectors.EVENT_READ | (selectors.EVENT_WRITE if channel in sending else 0))
            selector.select(timeout_s)
        except (OSError, ValueError):  # closed meanwhile by another thread: the caller will find out
            time.sleep(min(timeout_s, 0.01))


def _frame(message: Message, buffers: Sequence[memoryview]) -> list[bytes | memoryview]:
    parts = [memoryview(pickle.dumps(message, protocol=5)), *(b.cast("B") for b in buffers)]
    head = _COUNT.pack(len(parts)) + b"".join(_LENGTH.pack(len(part)) for part in parts)
    return [head, *(part for part in parts if len(part))]


class _Assembly:
    """Puts messages together from the pieces a socket gives, each part in the memory where it will stay."""

    def __init__(self) -> None:
        self._parts: list[bytearray] = []
        self._expect("count", [_COUNT.size])

    def _expect(self, phase: str, sizes: list[int]) -> None:
        self._phase = phase
        self._sizes = sizes
        self._parts = []
        self._filled = 0
        self._next_part()

    def _next_part(self) -> None:
        self._parts.append(bytearray(self._sizes[len(self._parts)]))
        self._filled = 0

    def room(self) -> memoryview:
        """Where the next piece goes; never empty."""
        return memoryview(self._parts[-1])[self._filled : self._filled + _PIECE]

    def took(self, count: int) -> list[Message]:
        """Account for `count` bytes put into `room`; the message they complete, if any."""
        self._filled += count
        while self._filled == len(self._parts[-1]):
            if len(self._parts) < len(self._sizes):
                self._next_part()
            elif self._phase == "count":
                self._expect("lengths", [_COUNT.unpack(self._parts[0])[0] * _LENGTH.size])
            elif self._phase == "lengths":
                self._expect("parts", [length for (length,) in _LENGTH.iter_unpack(self._parts[0])])
            else:
                stream, *buffers = self._parts
                self._expect("count", [_COUNT.size])
                message: Message = pickle.loads(stream)  # noqa: S301 - the other side has shown its secret
                return [(*message, buffers)]
        return []
