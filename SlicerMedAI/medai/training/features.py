"""What images are compared by: numbers from a small network that learns to compress the real ones.

There is no network that everybody takes for medical images as there is for photographs (Inception), so one is trained
in the same run, on the training images alone, the same for the same images and seed: an autoencoder (MONAI's).
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.networks.nets import AutoEncoder
from numpy.typing import NDArray

from medai.progress import Progress, Report

Floats = NDArray[np.float64]
Images = NDArray[np.float32]

_CHANNELS = (8, 16, 32)
_STEPS, _BATCH = 300, 8
_CODE, _FEATURES = 16, 32
STAGE = "Learning what to compare images by"
ABOUT = (
    f"principal components (at most {_FEATURES}) of the layers' means and deviations and of the code of an autoencoder "
    f"(MONAI, channels {'-'.join(map(str, _CHANNELS))}), trained here on the real training images, {_STEPS} steps"
)


class Features:
    """Learned from images, for images of the same size.

    Parameters
    ----------
    images : ndarray, shape (N, \\*spatial)
        2D or 3D, values from 0 to 1.
    report : callable
        Hears of every step; may raise to stop.
    seed : int
    device : str
        A PyTorch device that exists on this computer.
    """

    def __init__(self, images: Images, report: Report, *, seed: int = 0, device: str = "cpu") -> None:
        self._device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._network = _trained(images, report, self._device)
        statistics, codes = self._raw(images)
        self._code_mean = codes.mean(axis=0)
        rows = np.linalg.svd(codes - self._code_mean, full_matrices=False)[2]
        self._code_axes = rows[:_CODE]
        traits = np.concatenate([statistics, self._compressed(codes)], axis=1)
        self._mean, deviation = traits.mean(axis=0), traits.std(axis=0)
        self._deviation = np.where(deviation > 1e-8 * max(deviation.max(), 1e-12), deviation, np.inf)
        # Not more numbers than the images can tell the covariances of.
        count = max(2, min(_FEATURES, len(images) // 4))
        self._axes = np.linalg.svd((traits - self._mean) / self._deviation, full_matrices=False)[2][:count]

    def __call__(self, images: Images) -> tuple[Floats, Floats]:
        """Features of images, shape (N, F), for distances; and traits, shape (N, T), more than F, to tell them by."""
        statistics, codes = self._raw(images)
        traits = (np.concatenate([statistics, self._compressed(codes)], axis=1) - self._mean) / self._deviation
        return traits @ self._axes.T, traits

    def _compressed(self, codes: Floats) -> Floats:
        return np.asarray((codes - self._code_mean) @ self._code_axes.T, dtype=np.float64)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _raw(self, images: Images) -> tuple[Floats, Floats]:
        """Mean and deviation of every channel of every layer, and the code."""
        statistics, codes = [], []
        self._network.eval()
        for start in range(0, len(images), _BATCH):
            layer = torch.from_numpy(images[start : start + _BATCH, None]).to(self._device)
            found = [layer]
            for module in self._network.encode:
                layer = module(layer)
                found.append(layer)
            flat = [one.flatten(2) for one in found]
            statistics.append(
                torch.cat([part for one in flat for part in (one.mean(-1), one.std(-1, correction=0))], dim=1).cpu()
            )
            codes.append(layer.flatten(1).cpu())
        return torch.cat(statistics).double().numpy(), torch.cat(codes).double().numpy()


def _trained(images: Images, report: Report, device: torch.device) -> AutoEncoder:
    dimensions = images.ndim - 1
    edges = 2 ** len(_CHANNELS)
    padded = np.pad(images, [(0, 0), *((0, -size % edges) for size in images.shape[1:])], mode="edge")
    network = AutoEncoder(dimensions, 1, 1, channels=_CHANNELS, strides=(2,) * len(_CHANNELS), norm="batch").to(device)
    cases = [{"image": one, "label": one} for one in torch.from_numpy(padded[:, None])]
    batch = min(_BATCH, len(cases))
    loader = DataLoader(Dataset(cases), batch_size=batch, shuffle=True, drop_last=True, num_workers=0)
    trainer = SupervisedTrainer(
        device=device,
        max_epochs=-(-_STEPS // len(loader)),
        train_data_loader=loader,
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=2e-3),
        loss_function=torch.nn.L1Loss(),
    )
    total = trainer.state.max_epochs * len(loader)

    def tell(engine: Any) -> None:
        report(Progress(STAGE, engine.state.iteration, total))

    from ignite.engine import Events

    trainer.add_event_handler(Events.ITERATION_COMPLETED, tell)
    trainer.logger.setLevel(logging.CRITICAL)  # what goes wrong is raised
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.run()
    return network
