"""MONAI's feature pyramid, which detectors of the Model Zoo are made of, without torchvision.

MONAI takes two small parts of torchvision for it. That package has to be built for the very PyTorch that is installed,
which is more than a person should have to see to for a few lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import torch

from medai.bundles import configs

_MADE_BY = "fpn"  # in the names of all that makes one


class LayersInTurn(torch.nn.ModuleDict):  # type: ignore[misc]
    """The layers of a network up to the last whose output is wanted, under the names that they have in it.

    Parameters
    ----------
    network : torch.nn.Module
        Whose parts follow each other as they are listed.
    return_layers : mapping
        Name of each part whose output is wanted, and what to call that output.
    """

    def __init__(self, network: torch.nn.Module, return_layers: Mapping[str, str]) -> None:
        layers = list(network.named_children())
        names = [name for name, _ in layers]
        if missing := set(return_layers) - set(names):
            raise ValueError(f"the network has no {sorted(missing)}")
        super().__init__(dict(layers[: max(map(names.index, return_layers)) + 1]))
        self._wanted = dict(return_layers)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every wanted output, in the order in which they are computed."""
        found = {}
        for name, layer in self.items():
            x = layer(x)
            if name in self._wanted:
                found[self._wanted[name]] = x
        return found


def pyramids_without_torchvision(content: Mapping[str, object]) -> None:
    """Have MONAI make the feature pyramid of a configuration where torchvision is missing or cannot be used.

    Parameters
    ----------
    content : mapping
        The configuration; of one without a pyramid nothing is imported.
    """
    if not any(_MADE_BY in text.lower() for _, text in configs.strings(content)):
        return
    from monai.utils import optional_import

    if optional_import("torchvision.models.detection.backbone_utils")[1]:
        return
    from monai.apps.detection.networks import retinanet_network
    from monai.networks.blocks import backbone_fpn_utils

    # For good: in their place is what raises an error. How many layers are trained means nothing to an inference.
    backbone_fpn_utils.torchvision_models = SimpleNamespace(
        _utils=SimpleNamespace(IntermediateLayerGetter=LayersInTurn)
    )
    retinanet_network._validate_trainable_layers = lambda *_, max_value, **__: max_value
