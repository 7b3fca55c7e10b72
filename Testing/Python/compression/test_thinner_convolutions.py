"""Convolutions as products: the same at full rank, a plain configuration, and no door for anything else."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.bundle import ConfigParser

from medai.bundles import trust
from medai.errors import InputError
from medai.training.compression.decompose import decomposed

UNET = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [8, 16],
    "strides": [2],
    "num_res_units": 2,
}
DYNUNET = {
    "_target_": "DynUNet",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 2,
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2, 2],
    "filters": [8, 16, 16],
}
IN_PARTS = {
    "first": {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 12, "kernel_size": 5, "stride": 2},
    "second": {"_target_": "torch.nn.Conv2d", "in_channels": 12, "out_channels": 2, "kernel_size": 3, "dilation": 2},
    "network_def": "$torch.nn.Sequential(@first, @second)",
}
CONTENTS = {"U-Net": {"network_def": UNET}, "DynUNet": {"network_def": DYNUNET}, "in parts": IN_PARTS}


def built(content: dict) -> torch.nn.Module:
    torch.manual_seed(4)
    return ConfigParser(copy.deepcopy(content)).get_parsed_content("network_def").eval()


def an_image(name: str) -> torch.Tensor:
    size = [16] * 3 if name == "U-Net" else [32] * 2
    return torch.randn([1, 1, *size], generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", CONTENTS)
def test_at_full_rank_the_network_gives_what_it_gave(name):
    network = built(CONTENTS[name])
    content, state, count = decomposed(network, CONTENTS[name], 1.0, name)
    other = built(content)
    other.load_state_dict(state, strict=True)
    assert count > 1
    with torch.no_grad():
        torch.testing.assert_close(other(an_image(name)), network(an_image(name)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["U-Net", "DynUNet"])
def test_with_less_energy_there_are_fewer_weights_and_the_rest_is_near(name):
    network = built(CONTENTS[name])
    content, state, _ = decomposed(network, CONTENTS[name], 0.7, name)
    other = built(content)
    other.load_state_dict(state, strict=True)
    counts = [sum(p.numel() for p in each.parameters()) for each in (network, other)]
    assert counts[1] < counts[0]


def test_the_factors_of_a_kernel_keep_the_share_of_it_that_was_asked_for():
    convolution = torch.nn.Conv2d(12, 10, 3, bias=False)
    content = {"network_def": "$torch.nn.Sequential(@one)", "one": {}}
    _, state, _ = decomposed(torch.nn.Sequential(convolution), content, 0.75, "one")
    inner, core, outer = (state[f"0.{n}.weight"] for n in range(3))
    product = torch.einsum("ra,rs...,sb->ab...", outer.squeeze((2, 3)).T, core, inner.squeeze((2, 3)))
    rest = (product - convolution.weight).square().sum() / convolution.weight.square().sum()
    assert rest < 2 * 0.25  # each of two axes may lose a quarter
    assert rest > 0


def test_the_configuration_needs_no_trust():
    content, _, _ = decomposed(built(CONTENTS["DynUNet"]), CONTENTS["DynUNet"], 0.7, "mine")
    assert not trust.findings({"bundle_root": ".", **content, "network": "$@network_def"})


def test_a_network_without_convolutions_is_refused():
    with pytest.raises(InputError, match="no convolutions"):
        decomposed(torch.nn.Sequential(torch.nn.Linear(4, 4)), {"network_def": {}}, 0.5, "mine")


ATTACKS = {
    "another parent": lambda c: c["exchanged"][0].update(parent="$torch"),
    "a parent that is a library": lambda c: c.update(undivided_network="$torch"),
    "a parent that is one of two": lambda c: c.update(undivided_network="$torch.nn.Sequential(@a) and torch"),
    "a class instead of an instance": lambda c: c["undivided_network"].update(_mode_="callable"),
    "a private place": lambda c: c["exchanged"][0].update(name="__class__.forward"),
    "another layer": lambda c: c["exchanged"][0].update(new_module="$print"),
    "a layer that is no layer": lambda c: c.update(factors_0="$torch.load"),
    "further arguments": lambda c: c["exchanged"][0].update(strict_match=False),
    "changed from elsewhere": lambda c: c.update({"undivided_network::_target_": "torch.load"}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_exchange_of_anything_but_layers_needs_trust(attack):
    content, _, _ = decomposed(built(CONTENTS["DynUNet"]), CONTENTS["DynUNet"], 0.7, "mine")
    content["network"] = "$@network_def"
    assert not trust.findings(content)
    ATTACKS[attack](content)
    assert trust.findings(content)
