"""Which class is explained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medai.errors import InputError
from medai.tasks.classify.decision import Decision
from medai.tasks.classify.tables import Entry


def target_of(decision: Decision, entries: Sequence[Entry], wanted: str | None = None) -> int:
    """Number of the class to explain: the one asked for, the finding that is decided on, or the most probable.

    Raises
    ------
    InputError
        When there is no class of the name asked for.
    """
    if wanted is not None:
        known = [name.casefold() for name in decision.names]
        if wanted.casefold() not in known:
            raise InputError(
                f"The model has no class called '{wanted}'.",
                f"It knows: {', '.join(decision.names)}.",
                "Choose one of them, or leave the choice empty.",
            )
        return known.index(wanted.casefold())
    if decision.exclusive and decision.points:
        return decision.names.index(decision.points[0].name)
    # argmax takes the first of what is not known, in a frame that shows nothing.
    return int(np.mean([entry.scores for entry in entries], axis=0).argmax())
