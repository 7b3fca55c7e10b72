"""Weights that are matrices, apart from those that are not, as Muon wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.nn import Parameter


def apart(parameters: Sequence[Parameter], learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for `pytorch_optimizer.Muon`; what is no matrix (biases, scales) is left to AdamW.

    Parameters
    ----------
    parameters : sequence of Parameter
        A convolution's weights are a matrix with a row per channel that it makes.
    learning_rate, weight_decay : float
        The same for all: Muon's steps are to be brought to the size of AdamW's (``use_adjusted_lr``; Liu et al., Muon
        is Scalable for LLM Training, arXiv 2502.16982).
    """
    common = {"lr": learning_rate, "weight_decay": weight_decay}
    matrices = [each for each in parameters if each.ndim > 1]
    others = [each for each in parameters if each.ndim <= 1]
    groups = ({"params": matrices, "use_muon": True}, {"params": others, "use_muon": False})
    return [{**group, **common} for group in groups if group["params"]]
