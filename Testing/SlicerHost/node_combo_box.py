"""``slicer.qMRMLNodeComboBox``: chooses a node of the scene, and follows the scene."""

from __future__ import annotations

from typing import Any, ClassVar

from PySide6 import QtCore, QtWidgets

from .node_filter import NodeFilter
from .scene_widgets import SceneObserver

_NODE_ID = QtCore.Qt.ItemDataRole.UserRole
_ACTION = QtCore.Qt.ItemDataRole.UserRole + 1


def _flag(name: str) -> QtCore.Property:
    """A boolean property that decides which entries there are."""

    def read(self: qMRMLNodeComboBox) -> bool:
        return self._flags[name]

    def write(self: qMRMLNodeComboBox, value: bool) -> None:
        self._flags[name] = bool(value)
        self._refresh()

    return QtCore.Property(bool, read, write)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A combo box of the scene's nodes, with entries to create, rename and delete one.

    Disabled until it has a scene. Without a "None" entry the first node is chosen when the scene is set; a node added
    to an empty box is chosen only if the box has no entries besides nodes. When the current node leaves the scene, the
    entry before it (the first, if there is none) becomes current.
    """

    _imitates_cpp_class = True
    _signal_aliases: ClassVar[dict[str, str]] = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "_current_node_validity",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeAddedByUserAction(vtkMRMLNode*)": "nodeAddedByUserAction",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
    }
    currentNodeChanged = QtCore.Signal(object)
    _current_node_validity = QtCore.Signal(bool)
    currentNodeIDChanged = QtCore.Signal(str)
    currentNodeRenamed = QtCore.Signal(str)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAddedByUserAction = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    nodeActivated = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._filter = NodeFilter()
        self._flags = {
            "addEnabled": True,
            "removeEnabled": True,
            "renameEnabled": False,
            "noneEnabled": False,
            "selectNodeUponCreation": True,
        }
        self._none_display = "None"
        self._base_names: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._current_id = ""
        self._requested_id = ""
        self._observer = observer = SceneObserver(self._on_node_added, self._on_node_removed, self._refresh)
        self.destroyed.connect(lambda: observer.watch(None))
        self._entries: list[tuple] = []
        self._combo_box = QtWidgets.QComboBox(self)
        self._combo_box.setPlaceholderText(" ")
        self._combo_box.activated.connect(self._on_activated)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Fixed)
        self.setEnabled(False)

    addEnabled = _flag("addEnabled")
    removeEnabled = _flag("removeEnabled")
    renameEnabled = _flag("renameEnabled")
    noneEnabled = _flag("noneEnabled")
    selectNodeUponCreation = _flag("selectNodeUponCreation")

    # --- scene -------------------------------------------------------------------------------------------------------

    def setMRMLScene(self, scene: Any) -> None:
        """Show the nodes of this scene; None empties the box."""
        if scene is self._scene:
            return
        had_nodes = bool(self.nodes())
        previous = self._current_id
        self._scene = scene
        self._observer.watch(scene)
        nodes = self.nodes()
        if had_nodes:
            chosen = previous
        elif self._requested_id:
            chosen = self._requested_id
        else:
            chosen = nodes[0].GetID() if nodes and not self._flags["noneEnabled"] else ""
        self._requested_id = ""
        self.setEnabled(scene is not None)
        self._select(chosen)

    def mrmlScene(self) -> Any:
        """The scene, or None."""
        return self._scene

    def _on_node_added(self, node: Any) -> None:
        if not self._filter.accepts(node):
            return
        alone = len(self.nodes()) == 1 and not self._flags["noneEnabled"] and not self._actions()
        self._refresh()
        self.nodeAdded.emit(node)
        if alone:
            self._select(node.GetID())

    def _on_node_removed(self, node: Any) -> None:
        """`node` is about to leave the scene and still among its nodes."""
        if not self._filter.accepts(node):
            return
        self.nodeAboutToBeRemoved.emit(node)
        nodes = self.nodes()
        if node.GetID() != self._current_id:
            self._observer.ignore(node)
            self._refresh()
            return
        row = [other.GetID() for other in nodes].index(node.GetID())
        entries = ([None] if self._flags["noneEnabled"] else []) + [other for other in nodes if other is not node]
        row += self._flags["noneEnabled"]
        successor = entries[max(row - 1, 0)] if entries else None
        self._observer.ignore(node)
        self._select(successor.GetID() if successor else "")

    # --- what is offered ---------------------------------------------------------------------------------------------

    def _filter_property(name: str, kind: str) -> QtCore.Property:
        def read(self: qMRMLNodeComboBox) -> Any:
            return getattr(self._filter, name)

        def write(self: qMRMLNodeComboBox, value: Any) -> None:
            setattr(self._filter, name, value if isinstance(value, bool) else tuple(filter(None, value)))
            self._refresh()

        return QtCore.Property(kind, read, write)

    nodeTypes = _filter_property("node_types", "QStringList")
    hideChildNodeTypes = _filter_property("hidden_child_types", "QStringList")
    showChildNodeTypes = _filter_property("show_child_types", "bool")
    showHidden = _filter_property("show_hidden", "bool")

    def _get_none_display(self) -> str:
        return self._none_display

    def setNoneDisplay(self, text: str) -> None:
        """Change the text of the entry for no node."""
        self._none_display = text
        self._refresh()

    noneDisplay = QtCore.Property(str, _get_none_display, setNoneDisplay)

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        """Offer nodes of this type only if they have the attribute (with this value); new nodes get it."""
        self._filter.attributes[node_type, name] = None if value is None else str(value)
        self._refresh()

    def removeAttribute(self, node_type: str, name: str) -> None:
        """Undo `addAttribute`."""
        self._filter.attributes.pop((node_type, name), None)
        self._refresh()

    def nodes(self) -> list[Any]:
        """Nodes in the box, in the scene's order."""
        return [] if self._scene is None else [n for n in self._observer.nodes() if self._filter.accepts(n)]

    def nodeCount(self) -> int:
        """How many nodes are in the box."""
        return len(self.nodes())

    def nodeFromIndex(self, index: int) -> Any:
        """The node at an index, or None."""
        nodes = self.nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    # --- current node ------------------------------------------------------------------------------------------------

    def currentNode(self) -> Any:
        """The chosen node, or None."""
        return self._scene.GetNodeByID(self._current_id) if self._scene is not None and self._current_id else None

    def setCurrentNode(self, node: Any) -> None:
        """Choose a node; None, or a node that is not in the box, chooses none."""
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeIndex(self, index: int) -> None:
        """Choose by index among the nodes."""
        self.setCurrentNode(self.nodeFromIndex(index))

    def _get_current_id(self) -> str:
        return self._current_id

    def setCurrentNodeID(self, node_id: str) -> None:
        """Choose by ID; before the scene is set, the choice waits for it."""
        if self._scene is None:
            self._requested_id = node_id or ""
        else:
            self._select(node_id or "")

    currentNodeID = QtCore.Property(str, _get_current_id, setCurrentNodeID)

    def _select(self, node_id: str) -> None:
        if node_id not in {node.GetID() for node in self.nodes()}:
            node_id = ""
        changed = node_id != self._current_id
        self._current_id = node_id
        self._fill()
        if changed:
            node = self.currentNode()
            self.currentNodeChanged.emit(node)
            self._current_node_validity.emit(node is not None)
            self.currentNodeIDChanged.emit(node_id)

    def _refresh(self) -> None:
        """Rebuild the entries; a current node that is no longer offered is given up."""
        self._select(self._current_id)

    # --- entries -----------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        box = self._combo_box
        entries: list[tuple] = [(self._none_display, "", None)] if self._flags["noneEnabled"] else []
        entries += [(node.GetName() or "", node.GetID(), None) for node in self.nodes()]
        entries += [(text, None, action) for text, action in (self._actions() if self._scene is not None else [])]
        with QtCore.QSignalBlocker(box):
            if entries != self._entries:
                box.clear()
                for row, (text, node_id, action) in enumerate(entries):
                    box.addItem(text, node_id)
                    box.setItemData(row, action, _ACTION)
                self._entries = entries
            chosen = [node_id for _text, node_id, _action in entries]
            box.setCurrentIndex(chosen.index(self._current_id) if self._current_id in chosen else -1)

    def _actions(self) -> list[tuple[str, tuple[str, str]]]:
        types = list(self._filter.node_types)
        label = self.nodeTypeLabel(types[0] if len(types) == 1 else "")
        actions = []
        if self._flags["renameEnabled"]:
            actions.append((f"Rename current {label}", ("rename", "")))
        if self._flags["addEnabled"]:
            actions += [(f"Create new {self.nodeTypeLabel(kind)}", ("create", kind)) for kind in types]
        if self._flags["removeEnabled"]:
            actions.append((f"Delete current {label}", ("delete", "")))
        return actions

    def _on_activated(self, row: int) -> None:
        action = self._combo_box.itemData(row, _ACTION)
        if not action:
            self._select(self._combo_box.itemData(row, _NODE_ID) or "")
            self.nodeActivated.emit(self.currentNode())
            return
        self._fill()  # an action is never the current entry
        verb, kind = action
        if verb == "create":
            node = self.addNode(kind)
            self.setCurrentNode(node)
            self.nodeAddedByUserAction.emit(node)
        elif verb == "delete":
            self.removeCurrentNode()
        else:
            self.renameCurrentNode()

    def addNode(self, node_type: str = "") -> Any:
        """Create a node of this type, or of the first type; None if the box does not offer the type."""
        node_type = node_type or (self._filter.node_types[0] if self._filter.node_types else "")
        if node_type not in self._filter.node_types:
            return None
        node = self._scene.CreateNodeByClass(node_type)
        node.UnRegister(None)
        name = self._base_names.get(node_type) or self._scene.GetTagByClassName(node_type)
        node.SetName(self._scene.GenerateUniqueName(name))
        for (kind, attribute), value in self._filter.attributes.items():
            if kind == node_type:
                node.SetAttribute(attribute, value or "")
        self._scene.AddNode(node)
        if self._flags["selectNodeUponCreation"]:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        """Remove the current node from the scene."""
        if self.currentNode() is not None:
            self._scene.RemoveNode(self.currentNode())

    def renameCurrentNode(self) -> None:
        """Ask for a new name of the current node."""
        node = self.currentNode()
        name = QtWidgets.QInputDialog.getText(self, "Rename", "New name:") if node is not None else ""
        if name:
            node.SetName(name)
            self.currentNodeRenamed.emit(name)

    def setBaseName(self, name: str, node_type: str = "") -> None:
        """Names of new nodes begin with this, for one type or for all."""
        self._base_names.update(dict.fromkeys([node_type] if node_type else self._filter.node_types, name))

    def _get_base_name(self) -> str:
        types = self._filter.node_types
        return self._base_names.get(types[0], "") if types else ""

    baseName = QtCore.Property(str, _get_base_name, setBaseName)

    def setNodeTypeLabel(self, label: str, node_type: str) -> None:
        """What this type is called in the entries."""
        self._labels[node_type] = label
        self._fill()

    def nodeTypeLabel(self, node_type: str) -> str:
        """What this type is called in the entries."""
        return self._labels.get(node_type) or self._scene_label(node_type) or "node"

    def _scene_label(self, node_type: str) -> str:
        return self._scene.GetTypeDisplayNameByClassName(node_type) if self._scene is not None and node_type else ""
