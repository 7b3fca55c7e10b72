"""The network over visits: what it says before and after it has learned."""

from __future__ import annotations

import math

import pytest
import torch

from medai.networks import SeriesForecaster
from medai.training.components.forecasting import ForecastLoss

MISSING = math.nan


@pytest.fixture
def an_untrained_network() -> SeriesForecaster:
    torch.manual_seed(0)
    return SeriesForecaster([3.0, 70.0], [1.0, 10.0], [0.1, 1.0], [0], classes=2, members=3).eval()


def visits(*rows: tuple[float, float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and times of one series, of rows (year, first measurement, second measurement)."""
    table = torch.tensor([rows])
    return table[..., 1:], table[..., 0]


def test_carries_the_last_known_value_forward_before_it_has_learned_anything(an_untrained_network):
    values, times = visits((0, 3.1, 70), (1, 2.9, 71), (2.5, MISSING, 72))
    found = an_untrained_network(values, times, torch.tensor([[3.0, 9.0]]))
    assert found[0, :, 0].tolist() == pytest.approx([2.9, 2.9])


def test_is_less_sure_of_what_is_farther_away(an_untrained_network):
    values, times = visits((0, 3.1, 70), (1, 2.9, 71))
    scales = an_untrained_network(values, times, torch.tensor([[1.5, 3.0, 8.0]]))[0, :, 1]
    assert (scales.diff() > 0).all()


def test_is_unsure_of_what_was_never_measured(an_untrained_network):
    known, times = visits((0, 3.1, 70), (1, 2.9, 71))
    never, _ = visits((0, MISSING, 70), (1, MISSING, 71))
    at = torch.tensor([[2.0]])
    assert an_untrained_network(never, times, at)[0, 0, 1] > 3 * an_untrained_network(known, times, at)[0, 0, 1]


def test_gives_the_same_whether_a_series_is_padded_or_not(an_untrained_network):
    _loosen(an_untrained_network)
    values, times = visits((0, 3.1, 70), (1, 2.9, 71))
    longer, moments = visits((0, 3.1, 70), (1, 2.9, 71), (MISSING, MISSING, MISSING))
    at = torch.tensor([[2.0]])
    torch.testing.assert_close(an_untrained_network(values, times, at), an_untrained_network(longer, moments, at))


def test_takes_a_missing_value_for_something_else_than_a_mean_or_a_zero(an_untrained_network):
    _loosen(an_untrained_network)
    at = torch.tensor([[2.0]])
    said = []
    for second in (MISSING, 70.0, 0.0):  # 70 is the mean, which a network without masks would see for a missing one
        values, times = visits((0, 3.1, 68), (1, 2.9, second))
        said.append(an_untrained_network(values, times, at)[0, 0])
    assert not torch.allclose(said[0], said[1])
    assert not torch.allclose(said[0], said[2])


def test_has_finite_gradients_where_values_visits_and_dates_are_missing():
    network = SeriesForecaster([3.0, 70.0], [1.0, 10.0], [0.1, 1.0], [0], classes=2, members=2).train()
    values, times = visits((0, 3.1, MISSING), (1, MISSING, 71), (MISSING, MISSING, MISSING))
    found = network(values, times, torch.tensor([[2.0, MISSING]]))
    truth = torch.tensor([[[2.8, 1.0], [MISSING, MISSING]]])
    ForecastLoss([0.1])(found, truth).backward()
    assert all(part.grad is None or part.grad.isfinite().all() for part in network.parameters())


def test_sees_images_and_says_when_there_are_none():
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 3))
    network = SeriesForecaster([3.0], [1.0], [0.1], [0], encoder=encoder, features=3, members=2).eval()
    _loosen(network)
    values, times = torch.tensor([[[3.0], [2.9]]]), torch.tensor([[0.0, 1.0]])
    at, frames = torch.tensor([[2.0]]), torch.rand(1, 2, 1, 2, 2, 2)
    without = frames.clone()
    without[0, 1] = MISSING
    said = [network(values, times, at, each)[0, 0, 0] for each in (frames, without, frames * 2)]
    assert torch.stack(said).isfinite().all()
    assert len({round(float(one), 6) for one in said}) == 3


def test_learns_planted_rates_and_classes_in_seconds():
    torch.manual_seed(0)
    count, rate = 96, torch.tensor([-0.05, -0.3])
    group = torch.arange(count) % 2
    times = torch.cumsum(torch.rand(count, 4) + 0.5, 1)
    level = 3 + torch.rand(count, 1)
    values = (level + rate[group][:, None] * times + 0.01 * torch.randn(count, 4)).unsqueeze(-1)
    at = times[:, -1:]
    truth = torch.cat([values[:, -1:], group[:, None, None].float()], -1)
    network = SeriesForecaster([3.5], [0.3], [0.2], [0], classes=2, members=2, hidden=8)
    loss = ForecastLoss([0.2])
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(120):
        optimizer.zero_grad()
        loss(network(values[:, :3], times[:, :3], at), truth).backward()
        optimizer.step()
    found = network.eval()(values[:, :3], times[:, :3], at)
    error = (found[:, 0, 0] - truth[:, 0, 0]).abs()
    carried = (values[:, 2, 0] - truth[:, 0, 0]).abs()
    assert error.mean() < 0.25 * carried.mean()
    assert (found[:, 0, 2:].argmax(1) == group).float().mean() > 0.95
    inside = error <= found[:, 0, 1] * math.log(0.95 / 0.05)
    assert inside.float().mean() > 0.75


def _loosen(network: SeriesForecaster) -> None:
    """Heads begin with nothing; give them something to say."""
    generator = torch.Generator().manual_seed(1)
    for member in network.members:
        member.head.weight.data = 0.3 * torch.randn(member.head.weight.shape, generator=generator)
