"""MONAI bundles of classifiers for tests, with weights set by hand so that the right answer and its place are known.

All of them look for brightness: a convolution that takes the mean of its surroundings, minus a threshold; the mean of
what is above it decides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from small_bundles import LOAD

SCALE = {"_target_": "ScaleIntensityd", "keys": "image"}
SOFTMAX = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
SIGMOID = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
NETWORK = (
    "$torch.nn.Sequential(torch.nn.Conv{d}d({channels}, {features}, 3, stride=2, padding=1),"
    " torch.nn.ReLU(inplace=True), torch.nn.AdaptiveAvgPool{d}d(1),"
    " torch.nn.Flatten(), torch.nn.Linear({features}, {outputs}))"
)


@dataclass
class Classifier:
    """One bundle.

    Parameters
    ----------
    classes : tuple of str
        The first has the logit 0; others ``gain * mean(relu(surroundings - threshold)) - offset``.
    gains, offsets : tuple of float
        Of the other classes, or of every finding.
    pre : list
        After loading, and before the network.
    post : dict
        Activation.
    points : list
        ``medai.operating_point`` of the metadata.
    seed : int or None
        Random weights instead, whose answer depends on which way an image is turned.
    """

    classes: tuple[str, ...] = ("normal", "lesion")
    gains: tuple[float, ...] = (200.0,)
    offsets: tuple[float, ...] = (1.0,)
    threshold: float = 0.3
    dimensions: int = 3
    channels: int = 1
    pre: Sequence[dict[str, Any]] = (SCALE,)
    post: dict[str, Any] = field(default_factory=lambda: SOFTMAX)
    points: Sequence[dict[str, Any]] = ()
    mirror_axes: tuple[int, ...] = ()
    modality: str = ""
    seed: int | None = None
    task: str = "classify"

    @property
    def exclusive(self) -> bool:
        return len(self.gains) < len(self.classes)

    def write(self, root: Path) -> Path:
        for folder in ("configs", "models"):
            (root / folder).mkdir(parents=True)
        (root / "configs" / "inference.json").write_text(json.dumps(self._config()), encoding="utf-8")
        (root / "configs" / "metadata.json").write_text(json.dumps(self._metadata()), encoding="utf-8")
        torch.save(self._network().state_dict(), root / "models" / "model.pt")
        return root

    def _expression(self) -> str:
        shape = {"d": self.dimensions, "channels": self.channels}
        return NETWORK.format(**shape, features=1 if self.seed is None else 4, outputs=len(self.classes))

    def _network(self) -> torch.nn.Module:
        if self.seed is not None:
            torch.manual_seed(self.seed)
        network = eval(self._expression()[1:], {"torch": torch})
        if self.seed is None:
            convolution, linear = network[0], network[-1]
            with torch.no_grad():
                convolution.weight.fill_(1 / convolution.weight[0].numel())
                convolution.bias.fill_(-self.threshold)
                silent = [0.0] * (len(self.classes) - len(self.gains))
                linear.weight.copy_(torch.tensor([*silent, *self.gains])[:, None])
                linear.bias.copy_(-torch.tensor([*silent, *self.offsets]))
        return network

    def _config(self) -> dict[str, Any]:
        return {
            "bundle_root": ".",
            "device": "$torch.device('cpu')",
            "network_def": self._expression(),
            "network": "$@network_def.to(@device)",
            "preprocessing": {"_target_": "Compose", "transforms": [LOAD, *self.pre]},
            "inferer": {"_target_": "SimpleInferer"},
            "postprocessing": {"_target_": "Compose", "transforms": [self.post] if self.post else []},
        }

    def _metadata(self) -> dict[str, Any]:
        image = {"type": "image", "format": "magnitude", "num_channels": self.channels, "dtype": "float32"}
        image |= {"spatial_shape": ["*"] * self.dimensions, "modality": self.modality}
        own: dict[str, Any] = {"task": self.task, "mirror_axes": list(self.mirror_axes)}
        return {
            "name": "Brightness",
            "version": "1.0.0",
            "task": "Classification",
            "network_data_format": {
                "inputs": {"image": image},
                "outputs": {
                    "pred": {
                        "type": "probabilities",
                        "format": "classes",
                        "num_channels": len(self.classes),
                        "channel_def": {str(n): name for n, name in enumerate(self.classes)},
                    }
                },
            },
            "medai": {**own, **({"operating_point": list(self.points)} if self.points else {})},
        }


POINT = {"name": "lesion", "threshold": 0.4, "sensitivity": 0.9, "specificity": 0.8, "cases": 50, "rule": "Youden's J"}
