"""Gradient-weighted class activation maps, by MONAI."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from monai.visualize import GradCAM, GradCAMpp

from medai.errors import InputError
from medai.networks import Ensemble
from medai.tasks.explain.odds import LogOdds

_ENOUGH = 4  # places along each axis, below which a map shows no place
_LISTED = 12


class GradCAMInferer:
    """In place of a bundle's own inferer: gives the map of one class instead of scores.

    Parameters
    ----------
    network : torch.nn.Module
        The bundle's own; a copy of it is made, since MONAI's hooks stay where they are put.
    target : int
        Number of the class.
    exclusive : bool
        Whether just one class is true.
    plus_plus : bool
        Grad-CAM++ instead of Grad-CAM.
    layer : str, optional
        By default the last one whose map has at least four places along each axis that the image has; the one with
        most, where none has. Of an ensemble, a layer of each of its members; the map is the mean of theirs.

    Raises
    ------
    InputError
        When called, where the network has no such layer, or none with a map.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        target: int,
        *,
        exclusive: bool,
        plus_plus: bool = False,
        layer: str | None = None,
    ) -> None:
        with torch.inference_mode(False):  # no gradient comes from what is made in it
            # In full precision, whatever the job computes in: small gradients would vanish.
            self._network = copy.deepcopy(network).float().eval()
        for module in self._network.modules():
            if getattr(module, "inplace", False):
                module.inplace = False  # would change the map before it is read
        self._target = target
        self._exclusive = exclusive
        self._kind = GradCAMpp if plus_plus else GradCAM
        self.layer = layer

    def __call__(self, inputs: torch.Tensor, _network: torch.nn.Module, *_args: Any, **_kwargs: Any) -> torch.Tensor:
        """The map, 0 or more, shape (1, 1, *spatial) as the inputs."""
        with torch.inference_mode(False), torch.enable_grad():
            image = inputs.detach().as_subclass(torch.Tensor).clone().float()
            # What an ensemble says is the mean of what its members say, each for its own reasons.
            networks = list(self._network.members) if isinstance(self._network, Ensemble) else [self._network]
            self.layer = self._layer(networks[0], image)
            found = torch.stack([self._map(network, image) for network in networks]).mean(0)
        return found.detach()

    def _map(self, network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
        wrapped = LogOdds(network, exclusive=self._exclusive)
        cam = self._kind(wrapped, target_layers=f"network.{self.layer}", postprocessing=lambda found: found)
        return torch.as_tensor(cam(image.clone().requires_grad_(), class_idx=self._target))

    def _layer(self, network: torch.nn.Module, image: torch.Tensor) -> str:
        """The layer asked for, or the best."""
        maps = _maps(network, image)
        if self.layer is not None:
            if self.layer not in maps:
                raise InputError(
                    f"The network has no layer '{self.layer}' with a map.",
                    f"The last that have one are: {', '.join(list(maps)[-_LISTED:]) or 'none'}.",
                    "Choose one of them, or leave the choice empty.",
                )
            return self.layer
        if not maps:
            raise InputError(
                "This network cannot be explained by Grad-CAM.",
                "It has no layer whose output still has places.",
                "Explain it by occlusion.",
            )
        enough = [
            name
            for name, places in maps.items()
            if all(n >= min(_ENOUGH, size) for n, size in zip(places, image.shape[2:], strict=True))
        ]
        return enough[-1] if enough else max(maps, key=lambda name: math.prod(maps[name]))


def _maps(network: torch.nn.Module, image: torch.Tensor) -> dict[str, tuple[int, ...]]:
    """Places along each axis in the output of every layer that has more than one, in the order in which they end."""
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == image.ndim and math.prod(output.shape[2:]) > 1:
            found.pop(name, None)
            found[name] = tuple(output.shape[2:])

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return found
