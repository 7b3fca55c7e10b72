"""What a compression has to know of a network, whatever it is for: how it is called, taught, judged and measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from medai.bundles.description import Description
from medai.progress import Report
from medai.training.compression.comparison import Judged
from medai.training.compression.compiled import Call
from medai.training.compression.request import CompressionRequest
from medai.volume import Volume

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

Shown = tuple[Volume, ...] | Call
"""What the models are measured with: images, or the arguments of one call of the network."""


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a smaller network learns from.

    Parameters
    ----------
    cases : sequence of dict of str to Tensor
        Arguments of one call, without batch, by the names in `given`; and ``"label"``, what is known of the case.
    given : tuple of str
        Names of the arguments in their order.
    teacher : torch.nn.Module
        In eval mode, on the CPU. Its output is what a student's is compared with.
    loss : callable
        Of the student's output and ``{"teacher": tensors, "label": ...}``.
    disturbed : sequence of callable
        Random transforms of a case; the teacher sees what they leave, too.
    told : str
        What a person should know of it.
    """

    cases: Sequence[dict[str, torch.Tensor]]
    given: tuple[str, ...]
    teacher: torch.nn.Module
    loss: Callable[[Any, Mapping[str, Any]], torch.Tensor]
    disturbed: Sequence[Any] = ()
    told: str = ""


class Work(ABC):
    """One model at its work.

    Attributes
    ----------
    description : Description
        Of the bundle.
    network : torch.nn.Module
        With its weights, in eval mode, on the CPU.
    whole : bool
        Whether it is called in one piece; parts that are called apart get 8-bit forms of their own.
    one : str
        What it takes at once.
    looking : str
        What a person reads while it is shown what it works on.
    """

    description: Description
    network: torch.nn.Module
    whole: bool = True
    one: str = "image"
    looking: str = "Looking at images"

    @abstractmethod
    def calls(self, request: CompressionRequest, at: Callable[[int, int], None]) -> list[Call]:
        """What the network is called with at its work, to calibrate with.

        `at` is told how many of how many are done, and may raise to stop.
        """

    @abstractmethod
    def lessons(self, request: CompressionRequest, at: Callable[[int, int], None]) -> Lessons:
        """What a smaller network is taught with."""

    @abstractmethod
    def judged(self, root: Path, report: Report, loaded: LoadedModels) -> tuple[Judged, ...]:
        """The task's scores of both models on the same cases; empty where there is nothing to judge by."""

    @abstractmethod
    def shown(self) -> Shown:
        """What time and memory are measured with."""

    def example(self, lessons: Lessons) -> Call:
        """One call of the network, as the smaller one is to be called."""
        return tuple(lessons.cases[0][name][None] for name in lessons.given)
