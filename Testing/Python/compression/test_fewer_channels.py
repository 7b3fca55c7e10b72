"""Taking channels out: what nobody needs can go without a trace, and the rest fits a smaller configuration."""

from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser

from medai.errors import InputError
from medai.training.compression.channels import followed
from medai.training.compression.compiled import tensors
from medai.training.compression.prune import pruned
from medai.training.compression.widths import narrowed

UNET = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "strides": [2, 2]}
DYNUNET = {
    "_target_": "DynUNet",
    "in_channels": 1,
    "out_channels": 2,
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2, 2],
    "norm_name": ["INSTANCE", {"affine": True}],
}
RESNET = {
    "_target_": "ResNet",
    "block": "basic",
    "layers": [1, 1, 1, 1],
    "block_inplanes": [4, 8, 8, 16],
    "n_input_channels": 1,
    "num_classes": 3,
}
NETWORKS = {
    "U-Net": {**UNET, "channels": [4, 8, 16]},
    "U-Net with residual units": {**UNET, "channels": [4, 8, 16], "num_res_units": 2, "norm": "batch"},
    "DynUNet": {**DYNUNET, "spatial_dims": 3, "filters": [4, 8, 8]},
    "plane DynUNet": {**DYNUNET, "spatial_dims": 2, "filters": [4, 8, 8]},
    "ResNet": {**RESNET, "spatial_dims": 3},
    "DenseNet": {
        "_target_": "DenseNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 3,
        "init_features": 8,
        "growth_rate": 4,
        "block_config": [2, 2],
    },
    "SegResNet": {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "init_filters": 16},
    "autoencoder": {
        "_target_": "AutoEncoder",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "channels": [4, 8],
        "strides": [2, 2],
    },
    "detector": {
        "_target_": "RetinaNet",
        "spatial_dims": 2,
        "num_classes": 1,
        "num_anchors": 2,
        "size_divisible": [16, 16],
        "feature_extractor": {**DYNUNET, "spatial_dims": 2, "out_channels": 8, "filters": [4, 8, 8]},
    },
}


def built(network: dict) -> torch.nn.Module:
    torch.manual_seed(3)
    return ConfigParser({"network_def": network}).get_parsed_content("network_def").eval()


def an_image(network: dict) -> torch.Tensor:
    shape = [1, 1, *[32] * network["spatial_dims"]]
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_each_kind_can_lose_half_of_its_channels(name):
    network, x = built(NETWORKS[name]), an_image(NETWORKS[name])
    content = narrowed({"network_def": NETWORKS[name]}, 0.5, name)
    smaller = built(content["network_def"])
    smaller.load_state_dict(pruned(network, smaller, (x,), name), strict=True)
    counts = [sum(p.numel() for p in each.parameters()) for each in (network, smaller)]
    # The heads of a detector keep theirs.
    assert counts[1] < (0.9 if name == "detector" else 0.6) * counts[0]
    with torch.no_grad():
        for before, after in zip(tensors(network(x)), tensors(smaller(x)), strict=True):
            assert before.shape == after.shape


@pytest.mark.parametrize("name", ["U-Net", "U-Net with residual units", "DynUNet", "ResNet", "detector"])
def test_channels_that_carry_nothing_go_without_a_trace(name):
    network, x = built(NETWORKS[name]), an_image(NETWORKS[name])
    channels = followed(network, x)
    smaller = built(narrowed({"network_def": NETWORKS[name]}, 0.25, name)["network_def"])
    state, sizes = network.state_dict(), {key: value.shape for key, value in smaller.state_dict().items()}
    shrinking = {
        channels.root(slot[place])
        for (key, axis), slot in channels.slots.items()
        if sizes[key][axis] < state[key].shape[axis] and len({channels.root(c) for c in slot}) == len(slot)
        # The last ones of each layer, but for those that several layers make one behind the other.
        for place in (range(sizes[key][axis], len(slot)) if _is_made_at_once(channels, slot) else ())
    }
    assert shrinking
    with torch.no_grad():
        for (key, axis), slot in channels.slots.items():
            for place, channel in enumerate(slot):
                if channels.root(channel) in shrinking:
                    state[key].select(axis, place).zero_()
        expected = [each.clone() for each in tensors(network(x))]
        smaller.load_state_dict(pruned(network, smaller, (x,), name))
        for before, after in zip(expected, tensors(smaller(x)), strict=True):
            torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


def _is_made_at_once(channels, slot) -> bool:
    return any(slot == space for space in channels.spaces)


def test_a_network_without_a_width_in_its_configuration_is_refused():
    with pytest.raises(InputError, match="none of those whose width"):
        narrowed({"network_def": "$torch.nn.Conv3d(1, 2, 3)"}, 0.5, "mine")


def test_codes_of_an_autoencoder_keep_their_length():
    content = narrowed({"network_def": NETWORKS["autoencoder"]}, 0.5, "mine")
    assert content["network_def"]["channels"] == [2, 8]


def test_the_original_configuration_is_not_changed():
    content = {"network_def": dict(NETWORKS["U-Net"])}
    narrowed(content, 0.5, "mine")
    assert content["network_def"]["channels"] == [4, 8, 16]
