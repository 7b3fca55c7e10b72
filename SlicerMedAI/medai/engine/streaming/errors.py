"""What streaming answers when it cannot do exactly what a bundle asks for."""

from __future__ import annotations

from medai.errors import OutOfMemoryError


class NotStreamableError(Exception):
    """This bundle, or this image, needs the whole output in memory at once; its message says why."""


class WholeOutputError(OutOfMemoryError):
    """The network's whole output has to be kept, and would not fit; told after the first window, not the last."""
