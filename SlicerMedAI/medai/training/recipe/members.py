"""Of a classifier that is made of several networks: what they are put together of, and how each learns for itself."""

from __future__ import annotations

from typing import Any

from medai.training.recipe.guidance import guided_loss
from medai.training.recipe.plan import Plan

Config = dict[str, Any]


def together(network: Config, plan: Plan) -> Config:
    """As many networks as the plan wants, as one."""
    if plan.members == 1:
        return network
    return {"_target_": "medai.networks.Ensemble", "members": [network] * plan.members}


def apart(network: Config, plan: Plan) -> Config:
    """The same, to learn each for itself."""
    return network if plan.members == 1 else {**network, "apart": True}


def members_loss(loss: Config, plan: Plan) -> Config:
    """A loss for each; where masks guide them, of the member's own stage."""
    if plan.members == 1:
        return _guided(loss, plan)
    losses = [_guided(loss, plan, inside=f"members.{n}.") for n in range(plan.members)]
    return {"_target_": "medai.training.components.members.MembersLoss", "losses": losses}


def _guided(loss: Config, plan: Plan, *, inside: str = "") -> Config:
    return guided_loss(loss, plan, inside=inside) if plan.guided else loss
