"""Results of a series: sequences that play in step with the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

from medai.errors import InputError
from medai.mrml.segmentations import LABELMAP, fill_segmentation, show_closed_surface
from medai.mrml.sequences import browser_of, sequence_of
from medai.mrml.transaction import set_attributes
from medai.mrml.transforms import put_under
from medai.mrml.volumes import class_of_volume, fill_volume_node
from medai.result import Boxes, Labelmap, Plot, Table
from medai.volume import Volume

if TYPE_CHECKING:
    from medai.mrml.results import Adding


def add_frames(adding: Adding, input_node: Any) -> None:
    """Add the results of all frames.

    Labelmaps and volumes become one sequence each, shown by the input's sequence browser; tables become one long table
    when the result has no summary of its own; boxes and plots become nodes that name their frame.

    Raises
    ------
    InputError
        When the frames do not hold the same kinds of items, or are not as many as the input's.
    """
    frames = adding.result.frames
    source = sequence_of(input_node) if input_node is not None and not input_node.IsA("vtkMRMLVolumeNode") else None
    kinds = [tuple(type(item) for item in frame.items) for frame in frames]
    count = source.GetNumberOfDataNodes() if source is not None else len(frames)
    if len(set(kinds)) != 1 or count != len(frames):
        raise InputError(
            f"The results of '{adding.place.name}' do not fit its frames.",
            f"There are {len(frames)} results for {count} frames, or they are of different kinds.",
            "Choose the sequence that the job was run on, and run it again.",
        )
    index = [source.GetNthIndexValue(n) for n in range(count)] if source is not None else [str(n) for n in range(count)]
    sequences = []
    for position, kind in enumerate(kinds[0]):
        items: list[Any] = [frame.items[position] for frame in frames]
        if kind in (Labelmap, Volume):
            sequences.append(_sequence(adding, items, source, index))
        elif kind is Table and not any(isinstance(item, Table) for item in adding.result.items):
            adding.add_item(_one_table(items, index, _index_title(source)))
        elif kind in (Boxes, Plot):
            for item, value in zip(items, index, strict=True):
                adding.add_item(item, f"[{value}]")
    if sequences:
        _play(adding, sequences, source, input_node)


def _sequence(adding: Adding, items: list[Any], source: Any, index: list[str]) -> Any:
    name = items[0].name
    if source is not None:  # without the name of the first frame: the sequence holds all of them
        name = name.removeprefix(source.GetNthDataNode(0).GetName() or "").strip()
    sequence = adding.new("vtkMRMLSequenceNode", f"{adding.place.name} {name}")
    if source is not None:
        sequence.SetIndexName(source.GetIndexName())
        sequence.SetIndexUnit(source.GetIndexUnit())
        sequence.SetIndexType(source.GetIndexType())
    for item, value in zip(items, index, strict=True):
        sequence.SetDataNodeAtValue(_data_node(adding, item), value)
    adding.nodes.sequences.append(sequence)
    return sequence


def _data_node(adding: Adding, item: Labelmap | Volume) -> Any:
    """Node outside the scene; the sequence takes a copy of it."""
    if isinstance(item, Volume):
        node = getattr(slicer, class_of_volume(item))()
        fill_volume_node(node, item.array, adding.place.grid(item.affine, item.shape))
    else:
        node = slicer.vtkMRMLSegmentationNode()
        fill_segmentation(node, item, adding.place.grid(item.affine, item.layers.shape[1:]))
        segmentation = node.GetSegmentation()
        if segmentation.GetNumberOfSegments():  # no volume node to refer to: every frame may have a grid of its own
            geometry = slicer.vtkSegmentationConverter.SerializeImageGeometry(
                segmentation.GetNthSegment(0).GetRepresentation(LABELMAP)
            )
            parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
            segmentation.SetConversionParameter(parameter, geometry)
    node.SetName(item.name)
    set_attributes(node, adding.attributes)
    return node


def _play(adding: Adding, sequences: list[Any], source: Any, input_node: Any) -> None:
    browser = browser_of(input_node) if source is not None else None
    if browser is None:
        browser = adding.new("vtkMRMLSequenceBrowserNode", f"{adding.place.name} browser")
        if source is not None:
            browser.SetAndObserveMasterSequenceNodeID(source.GetID())
    for sequence in sequences:
        if browser.GetMasterSequenceNode() is None:
            browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        else:
            browser.AddSynchronizedSequenceNode(sequence)
        browser.SetSaveChanges(sequence, True)  # corrections made by hand to a frame stay with that frame
    if browser.GetSelectedItemNumber() < 0:
        browser.SetSelectedItemNumber(0)
    _update_proxies(browser)
    for sequence in sequences:
        proxy = browser.GetProxyNode(sequence)
        put_under(proxy, adding.place.transform)
        adding.transaction.place(proxy)
        proxy.CreateDefaultDisplayNodes()
        if proxy.IsA("vtkMRMLSegmentationNode"):
            if adding.closed_surface:
                show_closed_surface(proxy)
            adding.nodes.segmentation = adding.nodes.segmentation or proxy
        else:
            adding.nodes.volumes.append(proxy)
    adding.nodes.browser = browser


def _update_proxies(browser: Any) -> None:
    """Make the nodes through which a browser shows its sequences, if no module has made them already."""
    modules: Any = getattr(slicer, "modules", None)
    logic = modules.sequences.logic() if hasattr(modules, "sequences") else slicer.vtkSlicerSequencesLogic()
    logic.UpdateProxyNodesFromSequences(browser)


def _one_table(tables: list[Table], index: list[str], index_title: str) -> Table:
    columns: dict[str, tuple[object, ...]] = {}
    rows = [max((len(values) for values in table.columns.values()), default=0) for table in tables]
    columns[index_title] = tuple(value for value, count in zip(index, rows, strict=True) for _ in range(count))
    for title in tables[0].columns:
        columns[title] = tuple(value for table in tables for value in table.columns.get(title, ()))
    return Table(columns, tables[0].name)


def _index_title(source: Any) -> str:
    if source is None:
        return "frame"
    name, unit = source.GetIndexName() or "frame", source.GetIndexUnit()
    return f"{name} ({unit})" if unit else str(name)
