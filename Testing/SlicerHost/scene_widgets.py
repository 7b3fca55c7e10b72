"""Widgets that know the scene, and how they follow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import vtk
from PySide6 import QtCore, QtWidgets


class SceneObserver:
    """Tells one listener about nodes that come, go or change.

    Parameters
    ----------
    added, about_to_be_removed : callable
        Called with the node.
    changed : callable
        Called without arguments when a node's name or attributes may have changed, or when many nodes did.
    """

    def __init__(self, added: Callable, about_to_be_removed: Callable, changed: Callable) -> None:
        self._added = added
        self._about_to_be_removed = about_to_be_removed
        self._changed = changed
        self._scene: Any = None
        self._tags: list[tuple[Any, int]] = []
        self._node_tags: dict[str, tuple[Any, int]] = {}
        self._ignored: set[str] = set()

    def watch(self, scene: Any) -> None:
        """Follow this scene and no other; None to stop."""
        for subject, tag in [*self._tags, *self._node_tags.values()]:
            subject.RemoveObserver(tag)
        self._tags, self._node_tags, self._ignored = [], {}, set()
        self._scene = scene
        if scene is None:
            return

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def on_added(_caller: Any, _event: str, node: Any) -> None:
            self._watch_node(node)
            self._added(node)

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def on_about_to_be_removed(_caller: Any, _event: str, node: Any) -> None:
            self._forget_node(node)
            self._about_to_be_removed(node)

        def on_many(_caller: Any, _event: str) -> None:
            self._ignored.clear()
            self._changed()

        self._tags = [
            (scene, scene.AddObserver(scene.NodeAddedEvent, on_added)),
            (scene, scene.AddObserver(scene.NodeAboutToBeRemovedEvent, on_about_to_be_removed)),
            (scene, scene.AddObserver(scene.NodeRemovedEvent, on_many)),
            (scene, scene.AddObserver(scene.EndBatchProcessEvent, on_many)),
        ]
        for node in self.nodes():
            self._watch_node(node)

    def nodes(self) -> list[Any]:
        """The scene's nodes in its order, without one that is just leaving it."""
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes()))
        return [node for node in nodes if node.GetID() not in self._ignored]

    def ignore(self, node: Any) -> None:
        """Leave out a node that is still in the scene's list while it is being removed."""
        self._ignored.add(node.GetID())

    def _watch_node(self, node: Any) -> None:
        self._ignored.discard(node.GetID())
        tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._changed())
        self._node_tags[node.GetID()] = (node, tag)

    def _forget_node(self, node: Any) -> None:
        subject, tag = self._node_tags.pop(node.GetID(), (None, None))
        if subject is not None:
            subject.RemoveObserver(tag)


class qMRMLWidget(QtWidgets.QWidget):
    """A widget that passes the scene on to the widgets in it, along the connections of the .ui file."""

    _imitates_cpp_class = True
    _signal_aliases: ClassVar[dict[str, str]] = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        """Take another scene and tell who is connected."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        """The scene, or None."""
        return self._scene


class qSlicerWidget(qMRMLWidget):
    """As `qMRMLWidget`, under the name that older .ui files use."""

    _imitates_cpp_class = True
