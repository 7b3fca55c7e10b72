"""The terms a model comes under, in a few words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medai.bundles.labels import plain_text

_KNOWN = (
    (r"apache license.{0,40}version 2\.0", "Apache-2.0"),
    (r"mit license|permission is hereby granted, free of charge", "MIT"),
    (r"gnu affero general public license", "AGPL"),
    (r"gnu lesser general public license", "LGPL"),
    (r"gnu general public license", "GPL"),
    (r"neither the name of the copyright holder", "BSD-3-Clause"),
    (r"redistribution and use in source and binary forms", "BSD-2-Clause"),
    (r"(attribution-noncommercial-sharealike|cc[ -]by-nc-sa)", "CC BY-NC-SA"),
    (r"(attribution-noncommercial|cc[ -]by-nc)", "CC BY-NC"),
    (r"(attribution-sharealike|cc[ -]by-sa)", "CC BY-SA"),
    (r"(creative commons attribution|cc[ -]by)\b", "CC BY"),
)


def licence_of(root: Path, metadata: Mapping[str, Any]) -> str:
    """Name of the licence: from the metadata, else recognised in ``LICENSE``, else that file's first line.

    Returns
    -------
    str
        ``""`` when the bundle names none. A LICENSE that holds more than the one recognised licence says so.
    """
    for key in ("license", "licence", "License"):
        value = metadata.get(key)
        if isinstance(value, str) and value.strip():
            return plain_text(value)
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "license", "license.txt"):
        path = root / name
        # A link could name any file of the person's, and its first line would travel with every result.
        if path.is_file() and path.resolve().is_relative_to(root.resolve()):
            try:
                with path.open(encoding="utf-8", errors="replace") as file:
                    return _recognise(file.read(20_000))
            except OSError:
                return ""
    return ""


def _recognise(text: str) -> str:
    flat = " ".join(text.split())
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    found = [(match.start(), name) for pattern, name in _KNOWN if (match := re.search(pattern, flat[:4000].lower()))]
    if not found:
        return plain_text(lines[0])
    start, name = min(found)
    # Some bundles put terms of their own for the weights before or after a well-known licence for the code.
    special = re.search(r"model weights|weights of the model|non-?commercial use only", flat.lower())
    return f"{name}; see LICENSE for the terms of the weights" if special and start > 0 else name
