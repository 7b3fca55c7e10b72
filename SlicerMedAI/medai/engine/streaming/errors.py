"""What streaming answers when it cannot do exactly what a bundle asks for."""

from __future__ import annotations


class NotStreamableError(Exception):
    """This bundle, or this image, needs the whole output in memory at once; its message says why."""
