"""Sequence nodes to `Series`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from medai.errors import GeometryError, InputError
from medai.mrml.transforms import node_to_world
from medai.mrml.volumes import volume_in_sequence
from medai.visits import as_date
from medai.volume import Affine, Series


def series_from_node(node: Any) -> Series:
    """Frames of a sequence, each a view of its data node's own memory.

    Parameters
    ----------
    node : vtkMRMLSequenceNode or vtkMRMLSequenceBrowserNode
        Of a browser, the master sequence is taken.

    Returns
    -------
    Series
        In the sequence's order, with its index values and their unit; where all of these are dates (``2024-03-31``),
        they become the frames' dates. A parent transform of the volume that a browser shows (its proxy) applies to
        every frame.

    Raises
    ------
    InputError
        When the node is no sequence, is empty, or holds something else than volumes.
    GeometryError
        When the proxy is under a transform that is not linear or changes from frame to frame.
    """
    sequence = sequence_of(node)
    name = sequence.GetName() or "series"
    count = sequence.GetNumberOfDataNodes()
    if count == 0:
        raise InputError(f"The sequence '{name}' is empty.", "It has no frames.", "Choose another sequence.")
    first = sequence.GetNthDataNode(0)
    if not all(sequence.GetNthDataNode(n).IsA("vtkMRMLVolumeNode") for n in range(count)):
        kind = first.GetNodeTagName() if not first.IsA("vtkMRMLVolumeNode") else "mixed"
        raise InputError(
            f"The sequence '{name}' does not hold images.",
            f"Its items are of another kind ({kind}).",
            "Choose a sequence of volumes.",
        )
    to_world, modality = _place(sequence, browser_of(node))
    frames = tuple(
        volume_in_sequence(
            sequence.GetNthDataNode(n),
            to_world,
            modality=sequence.GetNthDataNode(n).GetAttribute("DICOM.Modality") or modality,
            identifier=f"{sequence.GetID()}#{n}",
        )
        for n in range(count)
    )
    texts = [sequence.GetNthIndexValue(n) for n in range(count)]
    if days := _days(texts, sequence.GetIndexUnit() or ""):
        frames = tuple(replace(frame, date=day) for frame, day in zip(frames, days, strict=True))
        since = tuple(float(day.toordinal() - days[0].toordinal()) for day in days)
        return Series(frames, since, "days", name, sequence.GetID() or "")
    index: tuple[float, ...] = ()
    with contextlib.suppress(ValueError):  # names ("baseline", "follow-up") instead of numbers: the frames are counted
        index = tuple(float(text) for text in texts)
    unit = (sequence.GetIndexUnit() or "") if index else ""
    return Series(frames, index, unit, name, sequence.GetID() or "")


def _days(texts: Sequence[str], unit: str) -> tuple[date, ...]:
    """Index values as dates; nothing when one of them is none. Plain numbers are dates only where they have no unit."""
    if unit and any(text.isdecimal() for text in texts):
        return ()
    try:
        return tuple(as_date(text) for text in texts)
    except InputError:
        return ()


def sequence_of(node: Any) -> Any:
    """The sequence node that a sequence or browser node stands for.

    Raises
    ------
    InputError
        When it stands for none.
    """
    sequence = node
    if node is not None and node.IsA("vtkMRMLSequenceBrowserNode"):
        sequence = node.GetMasterSequenceNode()
    if sequence is None or not sequence.IsA("vtkMRMLSequenceNode"):
        raise InputError(
            f"'{node.GetName() if node is not None else 'Nothing'}' is not a sequence of images.",
            "A sequence, or a sequence browser with a sequence in it, was expected.",
            "Choose a sequence of volumes (module Sequences).",
        )
    return sequence


def browser_of(node: Any) -> Any | None:
    """The browser that shows a sequence: the node itself, or the first in its scene; None when there is none."""
    if node.IsA("vtkMRMLSequenceBrowserNode"):
        return node
    scene = node.GetScene()
    kind = "vtkMRMLSequenceBrowserNode"
    count = scene.GetNumberOfNodesByClass(kind) if scene is not None else 0
    found = (scene.GetNthNodeByClass(n, kind) for n in range(count))
    return next((browser for browser in found if browser.IsSynchronizedSequenceNode(node, True)), None)


def _place(sequence: Any, browser: Any | None) -> tuple[Affine, str]:
    proxy = browser.GetProxyNode(sequence) if browser is not None else None
    if proxy is None:
        return np.eye(4), ""
    transform = proxy.GetParentTransformNode()
    if transform is not None and browser is not None and browser.GetSequenceNode(transform) is not None:
        raise GeometryError(
            f"The images of the sequence '{sequence.GetName()}' move from frame to frame.",
            f"They lie under the transform '{transform.GetName()}', which is a sequence itself.",
            "Take them out of the transform, or harden it for every frame, then try again.",
        )
    return node_to_world(proxy), proxy.GetAttribute("DICOM.Modality") or ""
