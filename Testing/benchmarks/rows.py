"""What ``make bench`` measures: each entry runs in a process of its own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.timing import Row

_SMALL_JOB = {"shape": (40, 48, 48), "roi": (32, 32, 32)}


@dataclass(frozen=True)
class Entry:
    """One thing to measure.

    Parameters
    ----------
    place : str
        ``module:function`` within this package. The function returns a `Row`, or several.
    minutes : float
        What it takes on two quiet cores, so that a person knows before it starts.
    given, small : mapping
        What the function is called with, and what else for ``--quick``: sizes of seconds, which show that an entry
        works and nothing about speed.
    """

    place: str
    minutes: float
    given: Mapping[str, Any] = field(default_factory=dict)
    small: Mapping[str, Any] = field(default_factory=dict)

    def function(self) -> Callable[..., Row | Iterable[Row]]:
        """What measures; it imports what it measures."""
        module, name = self.place.split(":")
        return getattr(importlib.import_module(f"benchmarks.{module}"), name)

    def __call__(self, *, quick: bool) -> list[Row]:
        """Measure."""
        found: Row | Iterable[Row] = self.function()(**{**self.given, **(self.small if quick else {})})
        return [found] if isinstance(found, Row) else list(found)


ENTRIES: dict[str, Entry] = {
    "segments": Entry("scene_bench:hundred_segments", 0.3, small={"shape": (20, 48, 48), "repeats": 1}),
    "panels": Entry("panel_bench:open_panels", 0.3, small={"repeats": 1}),
    "whole-job": Entry("segment_bench:over_forward_passes", 1, small={"shape": (40, 56, 40), "repeats": 1}),
    "bundle-run": Entry("segment_bench:against_bundle_run", 1.5, small={"repeats": 1}),
    "cold-start": Entry("engine_bench:cold_start", 2, small=_SMALL_JOB),
    **{
        f"engine-{name}": Entry("engine_bench:whole_job", minutes, {"name": name}, _SMALL_JOB)
        for name, minutes in {"UNet": 3, "SegResNet": 5, "DynUNet": 14, "DenseNet121": 2}.items()
    },
    **{
        f"window-{name}": Entry("backends_bench:forward_pass", 1.5, {"name": name}, {"size": 32, "repeats": 1})
        for name in ("UNet", "SegResNet", "DynUNet", "DenseNet121-3D")
    },
    "memory": Entry("streaming_bench:peak_memory", 4, small={"size": (64, 64, 64)}),
    "streaming": Entry("streaming_bench:over_forward_passes", 2, small={"size": (40, 40, 40), "roi": (32, 32, 32)}),
}
