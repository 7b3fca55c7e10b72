"""Before its first step a denoiser leaves the image as it is."""

from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.blocks.segresnet_block import ResBlock
from monai.networks.layers.simplelayers import SkipConnection
from monai.networks.nets import DynUNet

from medai.training.components.beginning import begin_with_nothing, begin_without_norms
from medai.training.recipe.networks import network


@pytest.fixture
def a_network_without_norms() -> torch.nn.Module:
    config = network("dynunet", (16, 16, 16), 1, 1, width=4, dropout=0.0, norm=None)
    return SkipConnection(ConfigParser({"it": config}).get_parsed_content("it"), mode="add").eval()


def test_what_adds_to_its_input_begins_by_adding_nothing():
    inner = DynUNet(3, 1, 1, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 8, 16])
    network = begin_with_nothing(SkipConnection(inner, mode="add")).eval()
    image = torch.randn(1, 1, 16, 16, 16)
    assert torch.equal(network(image), image)


def test_without_norms_it_begins_by_adding_nothing_too_and_can_learn_to(a_network_without_norms):
    network = begin_without_norms(a_network_without_norms)
    image = torch.randn(1, 1, 16, 16, 16)
    assert torch.equal(network(image), image)
    ((network(image) - 1) ** 2).mean().backward()
    assert any(bool(weight.grad.any()) for weight in network.parameters())


def test_without_norms_no_layer_makes_much_more_or_less_of_what_it_gets(a_network_without_norms):
    spreads = []
    network = begin_without_norms(a_network_without_norms)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.register_forward_hook(lambda _, __, out: spreads.append(float(out.detach().std())))
    network(torch.randn(1, 1, 16, 16, 16))
    assert all(0.1 < spread < 10 for spread in spreads[:-1])


def test_residual_blocks_begin_by_adding_nothing():
    config = network("wavelet_segresnet", (16, 16, 16), 1, 1, width=4, dropout=0.0, norm=None)
    blocks = begin_without_norms(ConfigParser({"it": config}).get_parsed_content("it"))
    block = next(module for module in blocks.modules() if isinstance(module, ResBlock))
    features = torch.randn(1, 4, 8, 8, 8)
    assert torch.equal(block(features.clone()), features)
    assert not blocks(torch.randn(1, 1, 16, 16, 16)).any()


def test_without_norms_twice_as_bright_an_image_is_denoised_twice_as_bright(a_network_without_norms):
    network = begin_without_norms(a_network_without_norms)
    last = network.submodule.output_block.conv.conv
    torch.nn.init.normal_(last.weight)
    image = torch.randn(1, 1, 16, 16, 16)
    assert not torch.allclose(network(image), image, atol=1e-2)
    assert torch.allclose(network(2 * image), 2 * network(image), atol=1e-4)
