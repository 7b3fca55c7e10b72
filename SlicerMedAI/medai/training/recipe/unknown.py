"""Of a segmentation whose label maps leave voxels open: how they are kept out of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medai.training.recipe.plan import Plan

Config = dict[str, Any]


def number_of_unknown(plan: Plan) -> int:
    """What unknown voxels are called within a training: the first number that no structure has."""
    return plan.outputs


def without_unknown(plan: Plan) -> list[Config]:
    """The step that makes prediction and truth agree (on background, which does not count) where nobody knows."""
    if plan.parameters.ignore_label is None:
        return []
    known = f"(d['label'] != {number_of_unknown(plan)})"
    return [f"$lambda d: {{**d, 'pred': d['pred'] * {known}, 'label': d['label'] * {known}}}"]  # type: ignore[list-item]


def known_only(loss: Config, plan: Plan) -> Config:
    """A loss of the voxels that are known."""
    if plan.parameters.ignore_label is None:
        return loss
    home = "medai.training.components.losses.KnownVoxels"
    return {"_target_": home, "loss": loss, "unknown": number_of_unknown(plan)}
