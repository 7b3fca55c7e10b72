"""From an image to its code and back.

The code is all that the reconstruction is made of. A network that works in windows gives one cell of code for every few
voxels, on one lattice for the whole image: where windows overlap, their codes are averaged as their images would be, so
that no voxel is coded twice and none shows a seam.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.inferers import SimpleInferer
from monai.networks.nets import VarAutoEncoder
from monai.utils import fall_back_tuple
from numpy.typing import NDArray

from medai.bundles.pipeline import Pipeline
from medai.bundles.postprocessing import PRED
from medai.engine.ladder import Ladder, OnWindow
from medai.engine.like import onto, scale_of
from medai.volume import Volume


@dataclass(frozen=True, eq=False)
class Coded:
    """One image, or one slice.

    Parameters
    ----------
    code : ndarray of float32, shape (C, \\*cells)
        All numbers of the code; (C,) where the code has no place.
    weight : ndarray of float32, shape (\\*cells)
        How bright the image is in each cell, counted from its darkest voxel.
    reconstruction : ndarray of float32
        What the code stands for, on the image's grid and in its intensities.
    """

    code: NDArray[np.float32]
    weight: NDArray[np.float32]
    reconstruction: NDArray[np.floating[Any]]


def coded(ladder: Ladder, image: Volume, on_window: OnWindow) -> Coded:
    """Encode and decode one image within the memory there is.

    Parameters
    ----------
    ladder : Ladder
        Runs an autoencoder.
    image : Volume
        As many channels as the network takes; one slice for a network of pictures.
    on_window : callable
        Hears of every window, both ways.
    """
    return ladder.run(lambda: _coded(ladder, image, on_window))


def _coded(ladder: Ladder, image: Volume, on_window: OnWindow) -> Coded:
    pipeline = ladder.pipeline
    batch = ladder.preprocessed((image,))
    seen = batch[pipeline.image_key(batch)].as_tensor()
    size = seen.shape[2:]
    encoder, decoder = _Encoder(pipeline.network), _Decoder(pipeline.network)
    inferer = back = ladder.inferer
    if hasattr(inferer, "roi_size"):
        roi = fall_back_tuple(inferer.roi_size, size)
        cells = _cells(pipeline, encoder, seen, roi)
        seen = _padded(seen, roi, [-(-edge // count) for edge, count in zip(roi, cells, strict=True)])
        back = copy.copy(inferer)
        back.roi_size = cells

    def at(half: int, done: int, total: int) -> None:
        on_window(half * total + done, 2 * total)

    code = ladder.infer({"image": seen}, lambda n, all_: at(0, n, all_), network=encoder, inferer=inferer)[PRED]
    made = ladder.infer({"image": code[None]}, lambda n, all_: at(1, n, all_), network=decoder, inferer=back)[PRED]
    inside = (slice(None), *(slice(edge) for edge in size))
    untouched = pipeline.infer(batch, torch.nn.Identity(), inferer=SimpleInferer())
    finished = pipeline.image({**untouched, PRED: made[inside].to(untouched[PRED])}, image.name)
    slope, offset = scale_of(image, pipeline.image(untouched, image.name))
    values = slope * onto(finished, image) + offset
    bright = (seen - seen.amin()).float().mean(1, keepdim=True)
    weight = (
        torch.nn.functional.interpolate(bright, code.shape[1:], mode="area")[0, 0] if code.ndim > 1 else bright.mean()
    )
    return Coded(_array(code), _array(weight), values.reshape(image.array.shape))


class _Encoder(torch.nn.Module):  # type: ignore[misc]
    """The first half of an autoencoder: of a variational one the mean of its distribution."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Code of a batch."""
        if isinstance(self.network, VarAutoEncoder):
            return self.network.encode_forward(x)[0]
        code = self.network.encode(x)
        if isinstance(code, tuple):  # AutoencoderKL: means and deviations
            return code[0]
        return self.network.intermediate(code)


class _Decoder(torch.nn.Module):  # type: ignore[misc]
    """The second half of an autoencoder."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        """Images of a batch of codes."""
        if isinstance(self.network, VarAutoEncoder):
            return self.network.decode_forward(code, self.network.use_sigmoid)
        return self.network.decode(code)


def _cells(pipeline: Pipeline, encoder: _Encoder, image: torch.Tensor, roi: tuple[int, ...]) -> tuple[int, ...]:
    """Cells of the code of one window."""
    window = torch.zeros((1, image.shape[1], *roi), dtype=image.dtype)
    code = pipeline.infer({"image": window}, encoder, inferer=SimpleInferer())[PRED]
    return tuple(int(count) for count in code.shape[1:])


def _padded(image: torch.Tensor, roi: tuple[int, ...], stride: list[int]) -> torch.Tensor:
    """The image at least as large as a window, in whole cells: what is added is as dark as its darkest voxel."""
    missing = [
        max(window, -(-edge // step) * step) - edge
        for edge, window, step in zip(image.shape[2:], roi, stride, strict=True)
    ]
    ends = [amount for edge in reversed(missing) for amount in (0, edge)]
    return torch.nn.functional.pad(image, ends, value=float(image.amin()))


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().cpu().float())
