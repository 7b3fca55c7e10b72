"""``python -m medai``, for where the command ``medai`` is not on the path."""

from __future__ import annotations

from medai.cli import main

main()
