"""``python -m benchmarks.one NAME FILE [--quick]``: measure one entry and write its rows as JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from benchmarks.rows import ENTRIES


def main(name: str, file: str, *options: str) -> None:
    rows = ENTRIES[name](quick="--quick" in options)
    Path(file).write_text(json.dumps([dataclasses.asdict(row) for row in rows]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
