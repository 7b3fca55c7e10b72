"""Group normalisation in the form that converted networks keep their layout with."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medai.engine.backends.norms import grouped_by_channels


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("size", [(12, 9), (7, 12, 10)])
def test_the_same_is_computed(groups: int, affine: bool, size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm = nn.GroupNorm(groups, 8, affine=affine)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x = 3 * torch.randn(2, 8, *size) + torch.arange(8.0).reshape(1, 8, *[1] * len(size))
    with torch.no_grad():
        expected = norm(x)
        with grouped_by_channels(nn.Sequential(norm)):
            torch.testing.assert_close(norm(x), expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(norm(x), expected)


def test_sums_of_many_values_stay_exact() -> None:
    norm, x = nn.GroupNorm(1, 2), 100 + torch.randn(1, 2, 64, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), grouped_by_channels(norm):
        torch.testing.assert_close(norm(x).double(), nn.GroupNorm(1, 2).double()(x.double()), rtol=0, atol=2e-4)


def test_vectors_and_other_norms_are_left_alone() -> None:
    network = nn.Sequential(nn.GroupNorm(2, 4), nn.InstanceNorm3d(4))
    with torch.no_grad(), grouped_by_channels(network):
        x = torch.randn(3, 4)
        torch.testing.assert_close(network[0](x), nn.functional.group_norm(x, 2))
        assert "forward" not in vars(network[1])


def test_a_failed_conversion_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.GroupNorm(2, 4))
    with pytest.raises(RuntimeError, match="no"), grouped_by_channels(network):
        raise RuntimeError("no")
    assert "forward" not in vars(network[0])
