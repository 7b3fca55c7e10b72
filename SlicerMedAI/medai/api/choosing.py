"""Which models there are, and which one is meant."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.errors import InputError

if TYPE_CHECKING:
    from medai.bundles.description import Description

DEFAULT_MODEL = "hippocampus_mr_unet"

Model = str | Path | Sequence[str | Path]
"""The name of a model or the folder of a MONAI bundle, or several that vote."""


def models() -> tuple[Description, ...]:
    """The models that can be used: shipped, imported, trained here.

    A model that cannot be used is listed too, with the reason in its ``problem``.

    Examples
    --------
    >>> for model in medai.models():                      # doctest: +SKIP
    ...     print(model.name, model.modality, model.licence)
    """
    from medai.bundles import library

    return tuple(library.models())


def chosen(model: Model) -> Sequence[str | Path]:
    """One or several models, each by its name or its bundle's folder.

    Raises
    ------
    InputError
        When it is neither.
    """
    given: list[Any] = list(model) if isinstance(model, (list, tuple, set, frozenset)) else [model]
    if not given or not all(isinstance(one, (str, os.PathLike)) for one in given):
        raise InputError(
            "No model was chosen." if not given else f"'{model}' is no model.",
            "A model is known by its name or by its bundle's folder.",
            "Choose one; medai.models() lists them.",
        )
    return given
