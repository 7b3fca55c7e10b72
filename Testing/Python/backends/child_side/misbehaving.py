"""Stands in for the converter: behaves as its first argument says. Imports neither torch nor medai."""

import os
import sys
import time
from pathlib import Path

behaviour, note, task = sys.argv[1:]
with Path(note).open("a") as file:
    file.write(f"{os.getpid()}\n")
if behaviour == "crash":
    os.abort()
if behaviour == "segfault":
    import ctypes

    ctypes.string_at(0)
if behaviour == "raise":
    import not_installed_anywhere  # noqa: F401
if behaviour == "later":
    sys.exit(75)
if behaviour == "end with parent":
    sys.stdin.buffer.read()
    sys.exit(75)
if behaviour == "hang":
    while True:
        time.sleep(1)
