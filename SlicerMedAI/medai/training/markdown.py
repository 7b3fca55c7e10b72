"""What people have named, in a page of Markdown: as text, whatever is in it."""

from __future__ import annotations

import re

from medai.bundles.labels import plain_text

# An underscore within a word is a letter to Markdown; a list or a line across begins a line.
_SPECIAL = re.compile(r"[\\`*\[\]<>|~&$#]|(?<![^\W_])_|_(?![^\W_])|^(?:[+-]+(?=\s|$)|\d+(?=[.)](?:\s|$)))")
_LONGEST = 2000


def escaped(text: object) -> str:
    """A text on one line of Markdown (CommonMark with GitHub's tables) that shows itself: no markup, link or HTML.

    Examples
    --------
    >>> print(escaped("<b> | left_lung *"))
    \\<b\\> \\| left_lung \\*
    """
    return _SPECIAL.sub(_with_backslash, plain_text(text, _LONGEST))


def in_code(text: object) -> str:
    """A text between backticks, where nothing can be escaped."""
    return plain_text(text, _LONGEST).replace("`", "'")


def _with_backslash(found: re.Match[str]) -> str:
    special = found[0]
    return f"{special}\\" if special.isdecimal() else f"{special[:-1]}\\{special[-1]}"
