"""A `Result` into the scene: one transaction, placed beside its input, with its provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from medai.errors import SceneError
from medai.mrml.frames import add_frames
from medai.mrml.place import Place, place_of
from medai.mrml.regions import fill_roi_node, keeps_box
from medai.mrml.segmentations import fill_segmentation, merge_into_segmentation, show_closed_surface
from medai.mrml.tables import add_plot, fill_table_node
from medai.mrml.transaction import Transaction, set_attributes
from medai.mrml.transforms import put_under
from medai.mrml.volumes import class_of_volume, fill_volume_node
from medai.result import Boxes, Codes, Item, Labelmap, Result, Table
from medai.volume import Volume


@dataclass
class ResultNodes:
    """What a result became.

    Attributes
    ----------
    folder : int
        Subject hierarchy item that holds everything created; removing it with its children undoes the result.
        0 when nothing new was created.
    segmentation : vtkMRMLSegmentationNode or None
        The first (usually only) one; for a series the one that the browser shows.
    volumes, tables, rois, plots : list of nodes
        Volume, table, markups ROI and plot chart nodes.
    sequences : list of vtkMRMLSequenceNode
        One item per frame of a series.
    browser : vtkMRMLSequenceBrowserNode or None
        Plays `sequences` in step with the input.
    """

    folder: int = 0
    segmentation: Any = None
    volumes: list[Any] = field(default_factory=list)
    tables: list[Any] = field(default_factory=list)
    rois: list[Any] = field(default_factory=list)
    plots: list[Any] = field(default_factory=list)
    sequences: list[Any] = field(default_factory=list)
    browser: Any = None


def add_result(
    result: Result,
    references: Any,
    *,
    scene: Any = None,
    segmentation: Any = None,
    closed_surface: bool | None = False,
    inputs: Sequence[Volume] = (),
) -> ResultNodes:
    """Add everything a job produced to the scene, or nothing.

    Parameters
    ----------
    result : Result
    references : node or sequence of nodes
        The input or inputs of the job: volume nodes, or one sequence or sequence browser node. The first says where
        the result goes: its parent transform becomes the result's, so that both move together when it is changed,
        and its item in the subject hierarchy gets a neighbour.
    scene : vtkMRMLScene, optional
        By default the scene of the first reference.
    segmentation : vtkMRMLSegmentationNode, optional
        Written into in place of a new node: see `merge_into_segmentation`. It keeps its own parent transform.
    closed_surface : bool or None
        Also make the 3D surfaces of segmentations and show them. False leaves them as they are: those of `segmentation`
        are made anew. None makes none at all, for a caller who does so without holding up a window (`SurfaceMaking`).
    inputs : sequence of Volume, optional
        The first reference as the job saw it. With it the result stays on its image even when somebody has changed
        the image's transform since; without, it goes to where the image was then.

    Raises
    ------
    SceneError
        When the scene is closed, busy or another one, or a reference or `segmentation` has been removed from it.
    GeometryError
        When a reference or `segmentation` now lies under a transform that is not linear.
    InputError
        When an item of the result, or `segmentation`, cannot be used.
    """
    nodes = [node for node in (references if isinstance(references, (list, tuple)) else [references]) if node]
    scene = scene if scene is not None else next((node.GetScene() for node in nodes), None)
    check_scene(scene, [*nodes, *([segmentation] if segmentation is not None else [])])
    place = place_of(nodes[0] if nodes else None, inputs)
    with Transaction(scene) as transaction:
        adding = Adding(transaction, result, place, segmentation, closed_surface)
        adding.add(nodes[0] if nodes else None)
    return adding.nodes


def check_scene(scene: Any, nodes: Sequence[Any]) -> None:
    """Refuse a scene that cannot take nodes now, or that no longer holds `nodes`.

    Raises
    ------
    SceneError
    """
    if scene is None:
        raise SceneError(
            "The result was not added to the scene.",
            "The scene was closed, or its input image was removed, while the job was running.",
            "Load the image and run the job again.",
        )
    if not hasattr(scene, "IsBatchProcessing"):
        raise SceneError(
            "The result was not added to the scene.",
            f"'{type(scene).__name__}' is no MRML scene.",
            "Give slicer.mrmlScene, or a scene of medai.mrml.create_scene().",
        )
    if scene.IsBatchProcessing() or scene.IsClosing() or scene.IsImporting() or scene.IsRestoring():
        raise SceneError(
            "The result was not added to the scene.",
            "The scene is being loaded, closed or restored right now.",
            "Wait until Slicer has finished, then run the job again.",
        )
    for node in nodes:
        if node.GetScene() is not scene or not scene.IsNodePresent(node):
            raise SceneError(
                "The result was not added to the scene.",
                f"'{node.GetName()}' was removed from the scene while the job was running.",
                "Load the image and run the job again.",
            )


def titled(item_name: str, input_name: str) -> str:
    """What a person reads: the input first, once, also where the task has named it already."""
    return item_name if item_name.startswith(input_name) else f"{input_name} {item_name}".strip()


class Adding:
    """One result on its way into the scene."""

    def __init__(
        self, transaction: Transaction, result: Result, place: Place, segmentation: Any, closed_surface: bool | None
    ) -> None:
        self.transaction = transaction
        self.result = result
        self.place = place
        self.segmentation = segmentation
        self.closed_surface = closed_surface
        self.attributes = result.provenance.attributes()
        self.nodes = ResultNodes()

    def add(self, input_node: Any) -> None:
        """Add all items, frames included."""
        only_merges = self.segmentation is not None and not self.result.frames and len(self.result.items) == 1
        if not only_merges:
            made_by = self.result.provenance.bundle or self.result.provenance.task
            title = f"{made_by}: {self.place.name}" if self.place.name else made_by
            self.transaction.create_folder(title, self.place.parent_item)
            self.nodes.folder = self.transaction.folder
        for item in self.result.items:
            self.add_item(item)
        if self.result.frames:
            add_frames(self, input_node)

    def new(self, class_name: str, name: str) -> Any:
        """New node in the folder, with the provenance."""
        node = self.transaction.add(class_name, name)
        set_attributes(node, self.attributes)
        return node

    def add_item(self, item: Item, suffix: str = "") -> None:
        """Add one item; `suffix` tells nodes of different frames apart."""
        name = f"{titled(item.name, self.place.name)} {suffix}".strip()
        if isinstance(item, Labelmap):
            self._add_labelmap(item, name)
        elif isinstance(item, Volume):
            self._add_volume(item, name)
        elif isinstance(item, Boxes):
            self._add_boxes(item, suffix)
        elif isinstance(item, Table):
            node = self.new("vtkMRMLTableNode", name)
            fill_table_node(node, item)
            self.nodes.tables.append(node)
        elif not isinstance(item, Codes):  # whose table comes with them
            chart, table, lines = add_plot(self.transaction, item, name)
            for node in (chart, table, *lines):
                self.transaction.set_attributes(node, self.attributes)
            self.nodes.plots.append(chart)
            self.nodes.tables.append(table)

    def _add_labelmap(self, labelmap: Labelmap, name: str) -> None:
        existing, self.segmentation = self.segmentation, None  # only the first labelmap goes into it
        if existing is not None:
            grid = self.place.grid(labelmap.affine, labelmap.layers.shape[1:], existing)
            surfaces = self.closed_surface is not None
            self.transaction.on_rollback(merge_into_segmentation(existing, labelmap, grid, surfaces=surfaces))
            self.transaction.set_attributes(existing, self.attributes)
            node = existing
        else:
            node = self.new("vtkMRMLSegmentationNode", name)
            put_under(node, self.place.transform)
            fill_segmentation(node, labelmap, self.place.grid(labelmap.affine, labelmap.layers.shape[1:]))
            node.CreateDefaultDisplayNodes()
        # Without an input, as of synthetic images, the labels belong to the volume that came before them.
        volume = self.place.volume if self.place.volume is not None else next(reversed(self.nodes.volumes), None)
        if volume is not None and not node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()):
            node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        if self.closed_surface:
            show_closed_surface(node)
        self.nodes.segmentation = self.nodes.segmentation or node

    def _add_volume(self, volume: Volume, name: str) -> None:
        node = self.new(class_of_volume(volume), name)
        put_under(node, self.place.transform)
        fill_volume_node(node, volume.array, self.place.grid(volume.affine, volume.shape))
        if volume.modality:
            node.SetAttribute("DICOM.Modality", volume.modality)
        node.CreateDefaultDisplayNodes()
        self.nodes.volumes.append(node)

    def _add_boxes(self, boxes: Boxes, suffix: str) -> None:
        for region, score, kind in zip(boxes.regions, boxes.scores, boxes.classes, strict=True):
            node = self.new("vtkMRMLMarkupsROINode", f"{kind} {score:.0%} {suffix}".strip())
            straight = keeps_box(region, self.place.world_to_node)
            put_under(node, self.place.transform if straight else None)
            fill_roi_node(node, region, self.place.world_to_node if straight else self.place.moved)
            node.SetDescription(f"{kind}, confidence {score:.3f}")
            node.SetAttribute("MedAI.Class", kind)
            node.SetAttribute("MedAI.Score", f"{score:.6f}")
            node.CreateDefaultDisplayNodes()
            node.SetLocked(True)
            self.nodes.rois.append(node)
