"""Which channels of a forecaster belong together: those of its encoder, and the units of its recurrent members.

PyTorch computes a recurrent layer in one function with all its weights, so nothing can be followed inside; what
belongs together there is known: a unit has a row in each gate, and is read by the gates, the norm and the head.
"""

from __future__ import annotations

import torch

from medai.networks.forecaster import SeriesForecaster
from medai.training.compression.channels import Channels
from medai.training.compression.compiled import Call


def of_forecaster(network: SeriesForecaster, call: Call) -> Channels:
    """The channels of a forecaster that is called with values, times, dates and, with an encoder, frames."""
    channels = Channels(network)
    if network.encoder is not None:
        frames = call[3].flatten(0, 1)
        seen = frames[~frames.flatten(1).isnan().any(1)][:1]
        if not len(seen):
            seen = torch.zeros_like(frames[:1])
        channels.begin(seen)
        with torch.no_grad(), channels:
            network.encoder(seen)
    for member in network.members:
        recurrent = member.recurrent
        gates = recurrent.weight_hh_l0.shape[0] // recurrent.hidden_size
        entered, state = channels.made(recurrent.input_size), channels.made(recurrent.hidden_size)
        linear, norm = member.enter[0], member.enter[1]
        for tensor in (linear.weight, linear.bias, norm.weight, norm.bias):
            channels.belong(tensor, 0, entered)
        for tensor in (recurrent.weight_ih_l0, recurrent.weight_hh_l0, recurrent.bias_ih_l0, recurrent.bias_hh_l0):
            channels.belong(tensor, 0, state * gates)
        channels.belong(recurrent.weight_ih_l0, 1, entered)
        channels.belong(recurrent.weight_hh_l0, 1, state)
        both = [*state, *entered]
        for tensor in (member.leave[0].weight, member.leave[0].bias):
            channels.belong(tensor, 0, both)
        channels.belong(member.head.weight, 1, both)
    return channels
