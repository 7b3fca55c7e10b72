"""Of a classifier whose data mark what is to be seen: how its training makes use of the masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medai.errors import InputError
from medai.training.data import DataList
from medai.training.parameters import TrainingParameters
from medai.training.recipe.networks import default_network, width_of

if TYPE_CHECKING:
    from medai.training.recipe.plan import Plan

Config = dict[str, Any]
MASK = "mask"
GUIDED = ("resnet10", "resnet18")
_HOME = "medai.training.components.guidance"
# Late enough to know what it sees, and early enough to know where.
_STAGE = ("layer3", 4)


def check_guidance(chosen: TrainingParameters, task: str, data: DataList) -> None:
    """Refuse what cannot be guided.

    Raises
    ------
    InputError
        With the reason.
    """
    if not chosen.mask_guidance:
        return
    network = default_network(task) if chosen.network == "auto" else chosen.network
    why = ""
    if task != "classify" or data.multi_label:
        why = "Only a classifier of classes that exclude each other looks for what a mask marks."
    elif network not in GUIDED:
        why = f"'{network}' has no stage that it could be asked in; {' and '.join(GUIDED)} have."
    elif not any(MASK in item.files for item in data):
        why = "No case of the data has a mask."
    if why:
        raise InputError(
            f"'{chosen.mask_guidance:g}' cannot be used for 'mask_guidance'.", why, "Leave it out, or change the other."
        )


def guided_loss(loss: Config, plan: Plan, *, inside: str = "") -> Config:
    """The loss with the maps' own; `inside` leads to the network where it is a part of another, and ends with a dot."""
    stage, factor = _STAGE
    return {
        "_target_": f"{_HOME}.GuidedLoss",
        "loss": loss,
        "stage": inside + stage,
        "channels": factor * width_of(plan.parameters.network, plan.parameters.width),
        "classes": plan.outputs,
        "spatial_dims": plan.dimensions,
        "weight": plan.parameters.mask_guidance,
        "device": "@device",
    }


def prepare_batch() -> Config:
    """What gives the masks to the loss."""
    return {"_target_": f"{_HOME}.WithMask"}


def known_mask(size: tuple[int, ...]) -> Config:
    """The step that makes up for cases without a mask."""
    return {"_target_": f"{_HOME}.KnownMask", "size": list(size)}


def forgiving(steps: list[Config]) -> list[Config]:
    """Steps that go on without a mask; medai's own do so by themselves."""

    def forgives(step: Config) -> bool:
        return isinstance(step, dict) and MASK in step.get("keys", ()) and "." not in step["_target_"]

    return [{**step, "allow_missing_keys": True} if forgives(step) else step for step in steps]
