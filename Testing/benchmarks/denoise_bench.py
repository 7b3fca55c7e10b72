"""A denoising bundle against BM4D: the same noisy images, the same computer.

``python -m benchmarks.denoise_bench BUNDLE IMAGE ... --strengths 0.03 0.09`` (in ``Testing``) prints a table. BM4D
(Maggioni et al., IEEE Trans Image Process 22 (2013) 119) comes with ``pip install bm4d``, which is free for research
only and therefore not installed here. It is told what the network has to find out: the noise's standard deviation. The
network's time is that of a whole job in a warm worker; ``medai models prepare BUNDLE`` first gives it its fastest form.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import medai
from medai.bundles import configs
from medai.files import read
from medai.training.evaluation.restoration import restoration_metrics
from medai.training.judge_images import add_noise
from medai.volume import Volume

Image = NDArray[np.float32]
_GAIN_DB, _FASTER = 0.5, 20.0


@dataclass(frozen=True)
class Found:
    """What one method made of one noisy image."""

    psnr_db: float
    ssim: float
    seconds: float


def compare(bundle: Path, clean: Volume, share: float, *, seed: int = 0) -> dict[str, Found]:
    """The noisy image itself, the network, and every form of BM4D, on one image.

    Parameters
    ----------
    bundle : Path
        Of a denoiser, whose metadata say for which noise it was trained (Rician otherwise).
    clean : Volume
    share : float
        Standard deviation of the noise, as a share of the image's range: from 0 to its 99.5 percentile, or what the
        bundle says.
    """
    trained = configs.metadata(bundle).get("medai", {}).get("noise", {})
    model = trained.get("model", "rician")
    low, high = trained.get("range") or (0.0, float(np.percentile(clean.array, 99.5)))
    std = share * (high - low)
    noisy = add_noise(clean, model, std, seed=seed)
    reference = clean.array.astype(np.float32)

    def judged(restored: Image, seconds: float) -> Found:
        scores = restoration_metrics(reference, restored, (low, high))
        return Found(scores["psnr_db"], scores["ssim"], seconds)

    found = {"noisy": judged(noisy.array, 0.0)}
    restored, seconds = _timed(lambda: medai.denoise(noisy, bundle, device="cpu").volume.array)
    found["network"] = judged(restored, seconds)
    if importlib.util.find_spec("bm4d") is None:
        return found
    for name, (restored, seconds) in _bm4d(noisy.array, reference, model, std).items():
        found[name] = judged(restored, seconds)
    return found


def _bm4d(noisy: Image, reference: Image, model: str, std: float) -> dict[str, tuple[Image, float]]:
    """BM4D as it is and, for Rician noise, with what the noise has added on average taken away from its result."""
    from bm4d import bm4d

    if model == "low_dose_ct":
        std = float((noisy - reference).std())
    scale = float(noisy.max() - noisy.min())
    plain, seconds = _timed(lambda: np.asarray(bm4d(noisy / scale, std / scale), np.float32) * scale)
    if model != "rician":
        return {"BM4D": (plain, seconds)}
    # The mean of a squared magnitude is the squared signal and twice the variance; BM4D has seen the magnitude's own.
    unbiased = np.sqrt(np.maximum(plain**2 - std**2, 0))
    return {"BM4D": (plain, seconds), "BM4D, bias corrected": (unbiased, seconds)}


def _volume(path: Path) -> Volume:
    image = read(path)
    assert isinstance(image, Volume), f"{path.name} is a series of images"
    return image


def _timed(action: Callable[[], Image]) -> tuple[Image, float]:
    begin = time.perf_counter()
    result = action()
    return result, time.perf_counter() - begin


def block(volume: Volume, size: Sequence[int]) -> Volume:
    """The middle of a volume, `size` voxels along (slices, rows, columns): BM4D takes minutes for a whole one."""
    first = [max(0, (have - want) // 2) for have, want in zip(volume.shape, size, strict=True)]
    cut = volume.array[tuple(slice(begin, begin + want) for begin, want in zip(first, size, strict=True))]
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first[::-1]
    return Volume(np.ascontiguousarray(cut), affine, volume.name, volume.modality)


def coarser(volume: Volume, factor: int) -> Volume:
    """Voxels `factor` times as long along every axis, each the mean of those in it: less noise of the image's own."""
    if factor == 1:
        return volume
    means = sitk.GetArrayFromImage(sitk.BinShrink(sitk.GetImageFromArray(volume.array), [factor] * 3))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.full(3, (factor - 1) / 2)
    affine[:3, :3] *= factor
    return Volume(means.astype(np.float32), affine, volume.name, volume.modality)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.01, 0.03, 0.05, 0.09, 0.15])
    parser.add_argument("--block", type=int, nargs=3, default=[32, 96, 96], metavar=("SLICES", "ROWS", "COLUMNS"))
    parser.add_argument("--coarser", type=int, default=1, help="judge on voxels so many times as long")
    chosen = parser.parse_args()
    bundle = chosen.bundle.resolve()
    images = [(path.name, block(coarser(_volume(path), chosen.coarser), chosen.block)) for path in chosen.images]
    for _, clean in images:  # the first job of a size is slower
        medai.denoise(clean, bundle, device="cpu")
    table = Table("Image", "Noise", "Method", "PSNR (dB)", "SSIM", "Seconds", "Gain (dB)", "Faster")
    gains, speeds = [], []
    for image, clean in images:
        for share in chosen.strengths:
            found = compare(bundle, clean, share)
            ours, rivals = found["network"], [each for name, each in found.items() if name.startswith("BM4D")]
            for name, each in found.items():
                gain = ours.psnr_db - each.psnr_db if each in rivals else math.nan
                faster = each.seconds / ours.seconds if each in rivals else math.nan
                cells = (
                    f"{each.psnr_db:.2f}",
                    f"{each.ssim:.3f}",
                    f"{each.seconds:.2f}",
                    f"{gain:+.2f}",
                    f"{faster:.0f}",
                )
                table.add_row(image, f"{100 * share:g} %", name, *("" if "nan" in cell else cell for cell in cells))
            gains += [ours.psnr_db - max(rival.psnr_db for rival in rivals)] if rivals else []
            speeds += [rivals[0].seconds / ours.seconds] if rivals else []
    console = Console(width=140)
    console.print(table)
    if not gains:
        console.print("BM4D is not installed here: pip install bm4d")
        return
    means = float(np.mean(gains)), float(np.exp(np.mean(np.log(speeds))))
    console.print(f"Over the best BM4D: {means[0]:+.2f} dB on average (goal {_GAIN_DB:+g}), least {min(gains):+.2f}")
    console.print(f"Faster than BM4D: {means[1]:.0f} times on average (goal {_FASTER:g}), least {min(speeds):.0f}")


if __name__ == "__main__":
    main()
