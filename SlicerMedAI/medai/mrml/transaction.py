"""All nodes or none: what a result adds to a scene is taken back when anything fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import slicer
from vtkmodules.util.misc import calldata_type
from vtkmodules.util.vtkConstants import VTK_OBJECT

from medai.errors import SceneError
from medai.mrml.segmentations import drop_segments

MARK = "MedAI.Task"
"""Attribute that tells a result's nodes from a person's own."""


class Transaction:
    """Watches a scene while nodes are added; undoes everything when left by an exception.

    Parameters
    ----------
    scene : vtkMRMLScene
    """

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self.folder = 0
        self._hierarchy = scene.GetSubjectHierarchyNode()  # may be created here: it belongs to the scene, not to us
        self._added: list[Any] = []
        self._undo: list[Callable[[], None]] = []
        self._observer = 0

    def __enter__(self) -> Transaction:
        @calldata_type(VTK_OBJECT)  # type: ignore[untyped-decorator]
        def added(_scene: Any, _event: str, node: Any) -> None:
            self._added.append(node)  # display and storage nodes too, whoever adds them on our behalf

        self._observer = self.scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, added)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.scene.RemoveObserver(self._observer)
        if kind is not None:
            self._roll_back()
        elif self._added and not getattr(self.scene, "_medai_removes_companions", False):
            self.scene.AddObserver(slicer.vtkMRMLScene.NodeRemovedEvent, _remove_companions)
            self.scene._medai_removes_companions = True

    def create_folder(self, name: str, parent_item: int) -> None:
        """Put a folder into the subject hierarchy; nodes added from now on go into it."""
        self.folder = self._hierarchy.CreateFolderItem(parent_item or self._hierarchy.GetSceneItemID(), name)

    def add(self, class_name: str, name: str) -> Any:
        """New node in the scene and in the folder.

        Raises
        ------
        SceneError
            When the scene makes no such node.
        """
        node = self.scene.AddNewNodeByClass(class_name, self.scene.GenerateUniqueName(name))
        if node is None:
            raise SceneError(
                "The result could not be added to the scene.",
                f"The scene cannot hold a node of class {class_name}.",
                "Check that all modules of Slicer are enabled, then try again.",
            )
        self.place(node)
        return node

    def place(self, node: Any) -> None:
        """Move the item of a node, made if Slicer has not made it, into the folder."""
        if not self.folder:
            return
        item = self._hierarchy.GetItemByDataNode(node)
        if item:
            self._hierarchy.SetItemParent(item, self.folder)
        else:
            self._hierarchy.CreateItem(self.folder, node)

    def on_rollback(self, undo: Callable[[], None]) -> None:
        """Call `undo` should anything fail later."""
        self._undo.append(undo)

    def set_attributes(self, node: Any, attributes: Mapping[str, str]) -> None:
        """Set node attributes, and put back the previous ones on failure."""
        previous: dict[str, str | None] = {key: node.GetAttribute(key) for key in attributes}
        self.on_rollback(lambda: set_attributes(node, previous))
        set_attributes(node, attributes)

    def _roll_back(self) -> None:
        for undo in reversed(self._undo):
            undo()
        if self.folder:
            self._hierarchy.RemoveItem(self.folder, False, True)
        for node in reversed(self._added):
            if self.scene.IsNodePresent(node):
                self.scene.RemoveNode(node)
            if node.IsA("vtkMRMLSegmentationNode"):
                drop_segments(node)


@calldata_type(VTK_OBJECT)  # type: ignore[untyped-decorator]
def _remove_companions(scene: Any, _event: str, node: Any) -> None:
    """Let the display and storage nodes of a result leave the scene with it; Slicer leaves them until it saves.

    A function of the module with no state: a closure can be taken apart by Python's garbage collection while the scene
    is being deleted and still calls it.
    """
    if scene is None or scene.IsClosing() or not node.GetAttribute(MARK):
        return
    found = []
    if node.IsA("vtkMRMLDisplayableNode"):
        found += [node.GetNthDisplayNodeID(n) for n in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        found += [node.GetNthStorageNodeID(n) for n in range(node.GetNumberOfStorageNodes())]
    for identifier in filter(None, found):
        if (other := scene.GetNodeByID(identifier)) is not None:
            scene.RemoveNode(other)


def set_attributes(node: Any, attributes: Mapping[str, str | None]) -> None:
    """Set node attributes; those of value None are removed. Whoever watches the node hears of it once."""
    modifying = node.StartModify()
    try:
        for key, value in attributes.items():
            node.SetAttribute(key, value)
    finally:
        node.EndModify(modifying)
