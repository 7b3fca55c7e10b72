"""A MRML scene outside Slicer, as complete as the one inside it."""

from __future__ import annotations

import tempfile
from functools import cache
from typing import Any

import slicer
from vtkmodules.util.misc import calldata_type
from vtkmodules.util.vtkConstants import VTK_OBJECT

# What the modules' logics would register. Some of these logics want an application around them, so it is done directly.
_NODE_CLASSES = (
    "vtkMRMLSegmentEditorNode",
    "vtkMRMLSequenceBrowserNode",
    "vtkMRMLMarkupsJsonStorageNode",
    "vtkMRMLMarkupsPlaneJsonStorageNode",
    "vtkMRMLMarkupsROIJsonStorageNode",
    "vtkMRMLCropVolumeParametersNode",
)


def create_scene() -> Any:
    """New scene for a program without Slicer.

    It knows all node classes of the core modules, has the default colour tables and units, a subject hierarchy, and a
    folder for unpacking ``.mrb`` files; segmentations in it convert to closed surfaces. Inside Slicer use
    ``slicer.mrmlScene`` instead.

    Returns
    -------
    vtkMRMLScene
        Empty of a person's data. Module logics are not kept: whoever needs one creates it and sets this scene.
    """
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)  # adds the selection, interaction and cross-hair nodes
    application.SetMRMLScene(None)
    _register_segment_conversions()
    for node in _NODE_CLASSES:
        scene.RegisterNodeClass(getattr(slicer, node)())
    for logic_class in (slicer.vtkMRMLColorLogic, slicer.vtkSlicerUnitsLogic, slicer.vtkSlicerVolumeRenderingLogic):
        # A logic registers its node classes and adds its default nodes when it meets the scene. It would keep the
        # scene alive for ever, so it is let go at once.
        logic = logic_class()
        logic.SetMRMLScene(scene)
        logic.SetMRMLScene(None)
    scene.GetSubjectHierarchyNode()  # the getter creates it
    _add_cache(scene)
    scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, _remove_item_of_node)
    return scene


@calldata_type(VTK_OBJECT)  # type: ignore[untyped-decorator]
def _remove_item_of_node(scene: Any, _event: str, node: Any) -> None:
    """Drop the subject hierarchy item of a removed node, which inside Slicer the widgets' logic does."""
    if scene is None or scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):  # None: it is being deleted
        return
    hierarchy = scene.GetSubjectHierarchyNode()
    if item := hierarchy.GetItemByDataNode(node):
        hierarchy.RemoveItem(item, False, False)


@cache
def _register_segment_conversions() -> None:
    """Teach this process labelmap to surface and back.

    Once only: the factory would keep a second copy of each rule, and try both.
    """
    scratch = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scratch)
    # Not SetMRMLScene(None): this logic then complains that no scene has no subject hierarchy.


def _add_cache(scene: Any) -> None:
    """Give the scene a folder for packing and unpacking bundles."""
    caches = slicer.vtkCacheManager()
    caches.SetRemoteCacheDirectory(_cache_folder().name)
    manager = slicer.vtkDataIOManager()
    manager.SetCacheManager(caches)
    scene.SetCacheManager(caches)
    scene.SetDataIOManager(manager)


@cache
def _cache_folder() -> tempfile.TemporaryDirectory[str]:
    """One for the process, removed when it ends. Bundles make subfolders of their own in it."""
    return tempfile.TemporaryDirectory(prefix="medai-", ignore_cleanup_errors=True)
