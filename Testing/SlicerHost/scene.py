"""The scene and the module logics, made as Slicer's start makes them. Everything here is Slicer's own C++."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import slicer
import vtk

LOGICS = {
    "colors": "vtkMRMLColorLogic",
    "units": "vtkSlicerUnitsLogic",
    "volumes": "vtkSlicerVolumesLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "markups": "vtkSlicerMarkupsLogic",
    "sequences": "vtkSlicerSequencesLogic",
    "models": "vtkSlicerModelsLogic",
    "tables": "vtkSlicerTablesLogic",
    "volumerendering": "vtkSlicerVolumeRenderingLogic",
}
"""Name of the module (``slicer.modules.<name>``) to the class of its logic. Terminologies are missing: the files they
read are not in the wheel."""


class SceneAndLogics:
    """``slicer.mrmlScene``, its application logic, and the logics of Slicer's core modules.

    Parameters
    ----------
    folder : Path
        For what the scene unpacks and caches.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scene = slicer.vtkMRMLScene()
        self._add_cache(folder / "cache")
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self.application_logic.SetMRMLScene(self.scene)
        self.application_logic.SetSliceLogics(vtk.vtkCollection())
        self.application_logic.SetViewLogics(vtk.vtkCollection())
        self.logics = {name: self._logic(name) for name in LOGICS}
        self.scene.GetSubjectHierarchyNode()  # created by the asking
        self.scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, _remove_item_of_node)

    def _logic(self, name: str) -> Any:
        if name == "segmentations":
            return self._segmentations_logic()
        logic = getattr(slicer, LOGICS[name])()
        self._attach(logic, name)
        return logic

    def _segmentations_logic(self) -> Any:
        logic = _first_segmentations_logic()
        self._attach(logic, "segmentations")
        return logic

    def _attach(self, logic: Any, name: str) -> None:
        share = self.folder / "share" / name
        share.mkdir(parents=True, exist_ok=True)
        if hasattr(logic, "SetModuleShareDirectory"):
            logic.SetModuleShareDirectory(share.as_posix())
        if hasattr(logic, "SetMRMLApplicationLogic"):
            logic.SetMRMLApplicationLogic(self.application_logic)
        logic.SetMRMLScene(self.scene)
        self.application_logic.SetModuleLogic(name.capitalize(), logic)

    def _add_cache(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        cache_manager = slicer.vtkCacheManager()
        cache_manager.SetRemoteCacheDirectory(folder.as_posix())
        data_io_manager = slicer.vtkDataIOManager()
        data_io_manager.SetCacheManager(cache_manager)
        self.scene.SetCacheManager(cache_manager)
        self.scene.SetDataIOManager(data_io_manager)

    def close(self) -> None:
        """Empty the scene and remove its folder."""
        self.scene.Clear(1)
        shutil.rmtree(self.folder, ignore_errors=True)


@vtk.calldata_type(vtk.VTK_OBJECT)
def _remove_item_of_node(scene: Any, _event: str, node: Any) -> None:
    """Drop the subject hierarchy item of a removed node, as ``qSlicerSubjectHierarchyPluginLogic`` does."""
    if scene is None or scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):  # None: it is being deleted
        return
    hierarchy = scene.GetSubjectHierarchyNode()
    if item := hierarchy.GetItemByDataNode(node):
        hierarchy.RemoveItem(item, False, False)


@cache
def _first_segmentations_logic() -> Any:
    """One for the process: each new one would register its conversion rules a second time."""
    return slicer.vtkSlicerSegmentationsModuleLogic()
