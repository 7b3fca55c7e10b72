"""Whether a model can do what was asked of it; told without torch, so at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medai.bundles.description import Description
from medai.engine.region_template import RegionTemplate, read_template
from medai.engine.regions import prefixes
from medai.errors import InputError
from medai.tasks.choice import trained_mirrors, usable
from medai.tasks.segment.parameters import SegmentParameters


@dataclass(frozen=True)
class Choice:
    """A model that can do what was asked.

    Parameters
    ----------
    description : Description
        What it is.
    template : RegionTemplate or None
        How its regions are found in an image, when they are to be found.
    mirror_axes : tuple of int
        Spatial axes of the network's input to mirror along, when mirrors are to vote.
    """

    description: Description
    template: RegionTemplate | None = None
    mirror_axes: tuple[int, ...] = ()


def check_choice(bundle: Path, parameters: SegmentParameters) -> tuple[Choice, ...]:
    """The model and those that vote with it, checked against what was asked.

    Raises
    ------
    BundleError
        When a model cannot be used, or cannot find its regions.
    InputError
        When a model does not know a segment that was chosen, the models do not know the same segments, or mirrors are
        to vote on a model that was not trained on them.
    """
    choices = tuple(_one(root, parameters) for root in (bundle, *parameters.ensemble))
    first, *others = (choice.description for choice in choices)
    for other in others:
        if _names(other) != _names(first):
            raise InputError(
                f"The models '{first.title}' and '{other.title}' cannot vote together.",
                f"One knows {_listed(first)}; the other {_listed(other)}.",
                "Choose models of the same structures.",
            )
    return choices


def _one(bundle: Path, parameters: SegmentParameters) -> Choice:
    description = usable(bundle, "segment")
    template = read_template(bundle) if parameters.finds_region else None
    _check_names(parameters, description, template)
    return Choice(description, template, trained_mirrors(description) if parameters.tta else ())


def _check_names(parameters: SegmentParameters, description: Description, template: RegionTemplate | None) -> None:
    """Refuse names of segments that the model does not know, before anything slow happens."""
    own = [segment.name for segment in description.segments]
    if parameters.segments is None or not own:
        return
    found = tuple(side.name for side in template.sides) if template else ()
    sides = [prefix for prefix in found or prefixes(parameters.regions) if prefix]
    known = own + [f"{side} {name}" for side in sides for name in own]
    unknown = [name for name in parameters.segments if name.casefold() not in {k.casefold() for k in known}]
    if unknown:
        raise InputError(
            f"The model '{description.title}' has no segment called '{unknown[0]}'.",
            f"It knows: {', '.join(known)}.",
            "Choose among these, or leave the choice empty to keep all.",
        )


def _names(description: Description) -> set[str]:
    return {segment.name.casefold() for segment in description.segments}


def _listed(description: Description) -> str:
    return ", ".join(segment.name for segment in description.segments) or "no names"
