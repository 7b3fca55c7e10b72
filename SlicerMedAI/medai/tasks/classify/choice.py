"""Whether a model can classify what was asked; told without torch, so at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medai.bundles.description import Description
from medai.errors import InputError
from medai.tasks.choice import trained_mirrors, usable
from medai.tasks.classify.parameters import ClassifyParameters, ViewParameters


@dataclass(frozen=True)
class Choice:
    """A model that can do what was asked.

    Parameters
    ----------
    description : Description
        What it is.
    mirror_axes : tuple of int
        Spatial axes of the network's input to mirror along, when mirrors are to be looked at as well.
    """

    description: Description
    mirror_axes: tuple[int, ...] = ()


def check_choice(bundle: Path, parameters: ClassifyParameters) -> tuple[Choice, ...]:
    """The model and those that are asked with it, checked against what was asked.

    Raises
    ------
    BundleError
        When a model cannot be used, or is for something else.
    InputError
        When the models do not tell the same classes apart, mirrors are to be looked at by a model that was not trained
        on them, or a slice is asked for of a model that takes whole volumes.
    """
    choices = []
    for root in (bundle, *parameters.ensemble):
        description = one_model(root, parameters)
        choices.append(Choice(description, trained_mirrors(description) if parameters.tta else ()))
    first, *others = (choice.description for choice in choices)
    for other in others:
        if _names(other) != _names(first):
            raise InputError(
                f"The models '{first.title}' and '{other.title}' cannot be asked together.",
                f"One tells apart {_listed(first)}; the other {_listed(other)}.",
                "Choose models of the same classes, in the same order.",
            )
    return tuple(choices)


def one_model(bundle: Path, parameters: ViewParameters) -> Description:
    """One classifier, checked against the parts of the image that are asked for.

    Raises
    ------
    BundleError, InputError
        As `check_choice`.
    """
    description = usable(bundle, "classify")
    if parameters.slice_index is not None and description.dimensions == 3:
        raise whole_volumes_only(description)
    return description


def whole_volumes_only(description: Description) -> InputError:
    """The refusal of a single slice."""
    return InputError(
        f"The model '{description.title}' cannot classify a single slice.",
        "It was made for whole volumes.",
        "Leave 'slice_index' out, or choose a model of slices.",
    )


def _names(description: Description) -> tuple[str, ...]:
    return tuple(name.casefold() for name in description.classes)


def _listed(description: Description) -> str:
    return ", ".join(description.classes) or "classes without names"
