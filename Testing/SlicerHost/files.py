"""``slicer.app.coreIOManager()``: the files that `slicer.util.loadVolume` and its like read, by Slicer's own logics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from .not_imitated import NotImitated
from .scene import SceneAndLogics


class CoreIOManager:
    """Reads volumes, segmentations and scenes; writes nothing."""

    def __init__(self, scene: SceneAndLogics) -> None:
        self._scene = scene

    def fileType(self, filename: str) -> str:
        """The kind of file that a name's ending says."""
        name = str(filename).lower()
        if name.endswith((".mrb", ".mrml")):
            return "SceneFile"
        return "SegmentationFile" if name.endswith((".seg.nrrd", ".seg.nhdr")) else "VolumeFile"

    def loadNodes(self, file_type: str, properties: dict[str, Any], nodes: Any, _messages: Any = None) -> bool:
        """Load a file into the scene; True on success."""
        path = Path(properties["fileName"])
        loader = {"VolumeFile": self._volume, "SegmentationFile": self._segmentation, "SceneFile": self._load_scene}
        if file_type not in loader:
            raise NotImitated(f"slicer.app.coreIOManager().loadNodes({file_type!r})")
        node = loader[file_type](path, properties)
        if node is None:
            return False
        if isinstance(node, slicer.vtkMRMLNode):
            nodes.AddItem(node)
        return True

    def _volume(self, path: Path, properties: dict[str, Any]) -> Any:
        options = 1 if properties.get("labelmap") else 0  # vtkSlicerVolumesLogic::LabelMap
        name = properties.get("name") or path.name.split(".")[0]
        return self._scene.logics["volumes"].AddArchetypeVolume(str(path), name, options)

    def _segmentation(self, path: Path, properties: dict[str, Any]) -> Any:
        name = properties.get("name") or path.name.split(".")[0]
        logic = self._scene.logics["segmentations"]
        return logic.LoadSegmentationFromFile(str(path), True, name, None, slicer.vtkMRMLMessageCollection())

    def _load_scene(self, path: Path, properties: dict[str, Any]) -> bool | None:
        scene = self._scene.scene
        if properties.get("clear"):
            scene.Clear(0)
        if path.suffix == ".mrb":
            return bool(scene.ReadFromMRB(str(path), bool(properties.get("clear")))) or None
        scene.SetURL(str(path))
        return bool(scene.Import()) or None
