"""Codes of a cohort as arrays for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medai.result import Codes


def write_codes(target: Path, codes: Codes) -> None:
    """``.npy``: the features alone, (N, F). ``.npz``: ``codes`` (N, F), ``cases`` (N), ``features`` (F), and the whole
    code of every image as ``latent_000``, ...; ``numpy.load`` reads both without unpickling anything."""
    with target.open("wb") as file:
        if target.suffix.lower() == ".npy":
            np.save(file, codes.array, allow_pickle=False)
            return
        latents = {f"latent_{n:03d}": latent for n, latent in enumerate(codes.latents)}
        names = {"cases": np.array(codes.cases, dtype=str), "features": np.array(codes.features, dtype=str)}
        arrays: dict[str, Any] = {"codes": codes.array, **names, **latents}
        np.savez_compressed(file, **arrays)
