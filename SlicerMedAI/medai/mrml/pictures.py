"""A picture of a segmentation: three slices and the 3D surfaces, drawn from the nodes without a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonTransforms import vtkTransform
from vtkmodules.vtkFiltersGeneral import vtkTransformPolyDataFilter
from vtkmodules.vtkIOImage import vtkPNGWriter
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkWindowToImageFilter

from medai.errors import DependencyError, WriteError
from medai.mrml.segmentations import LABELMAP, SURFACE
from medai.mrml.slices import (
    AXIAL,
    CORONAL,
    RGB,
    SAGITTAL,
    Orientation,
    Structure,
    best_center,
    points_of,
    slice_image,
    structures_of,
)
from medai.mrml.system import missing_system_libraries, offscreen_window
from medai.mrml.transforms import matrix_from_array, node_to_world
from medai.mrml.views import ACCENT, PANEL, TEXT, View, draw_legend
from medai.mrml.volumes import volume_from_node
from medai.volume import corners

LEGEND_WIDTH = 0.25
GAP = 3
"""Pixels between the views."""
CONTEXT = 3.0
"""How many times the size of the segments a slice shows, if the image is that large."""
LEAST_FIELD_MM = 80.0


def render_scene(
    volume_node: Any,
    segmentation_node: Any,
    path: str | Path,
    *,
    size: tuple[int, int] = (1600, 1000),
    title: str = "",
) -> Path:
    """Draw a segmentation over its image and write a PNG file.

    Axial, coronal and sagittal slices through the middle of the segments in radiological convention (the patient's
    right on the left), the closed surfaces in 3D, and a legend with the volume of every segment in mL.

    Parameters
    ----------
    volume_node : vtkMRMLVolumeNode
    segmentation_node : vtkMRMLSegmentationNode
        Not changed: surfaces that it does not have yet are made aside.
    path : path
        Of the PNG file.
    size : (width, height)
        Pixels.
    title : str
        By default the name of the volume.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    DependencyError
        When this machine cannot draw; the message names the package to install.
    WriteError
        When the file cannot be written.
    """
    path = Path(path).absolute()
    if missing := missing_system_libraries():
        raise DependencyError("The picture was not made.", missing)
    volume = volume_from_node(volume_node)
    structures = structures_of(segmentation_node)
    points = points_of(structures)
    box = corners(volume.affine, volume.shape)
    low, high = box.min(axis=0), box.max(axis=0)
    seen = float(np.ptp(points, axis=0).max()) if len(points) else np.inf
    field = float(min(max(CONTEXT * seen, LEAST_FIELD_MM), (high - low).max() * 1.04 + 1e-3))

    window = offscreen_window()
    window.SetSize(*size)
    window.SetMultiSamples(8)
    width = round(size[0] * (1 - LEGEND_WIDTH))
    axial, sagittal, coronal, surfaces = _cells(width, size[1])
    for orientation, cell in ((AXIAL, axial), (SAGITTAL, sagittal), (CORONAL, coronal)):
        center = best_center(points, orientation, low, high, field)
        picture = slice_image(volume_node, structures, orientation, center, field_mm=field, size=cell[2:])
        _draw_slice(View(window, cell), picture, orientation, center, field)
    _draw_surfaces(View(window, surfaces), segmentation_node, structures)
    panel = View(window, (width, 0, size[0] - width, size[1]), PANEL)
    draw_legend(panel, structures, title or volume.name, segmentation_node)
    _write(window, path)
    return path


def _cells(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """(x, y, width, height) of the four views: axial and sagittal above, coronal and 3D below."""
    w, h = (width - GAP) // 2, (height - GAP) // 2
    return [(0, height - h, w, h), (w + GAP, height - h, w, h), (0, 0, w, h), (w + GAP, 0, w, h)]


def _draw_slice(view: View, picture: RGB, orientation: Orientation, center: NDArray[np.float64], field: float) -> None:
    view.image(picture)
    across = ("RL", "AP", "SI")[orientation.axis]
    position = center[orientation.axis]
    # RAS grows towards right, anterior and superior.
    side = across[0] if position >= 0 else across[1]
    view.text(f"{orientation.name}   {side} {abs(position):.1f} mm", 0.022, 0.965, 21, TEXT, vertical="top")
    left, right, top, bottom = orientation.letters
    view.text(left, 0.022, 0.5, 24, ACCENT, vertical="middle")
    view.text(right, 0.978, 0.5, 24, ACCENT, horizontal="right", vertical="middle")
    view.text(top, 0.5, 0.965, 24, ACCENT, horizontal="center", vertical="top")
    view.text(bottom, 0.5, 0.025, 24, ACCENT, horizontal="center")
    length = next((mm for mm in (100, 50, 20, 10, 5, 2, 1) if mm <= field / 4), field / 4)
    pixels = length / field * min(view.width, view.height)
    view.box(0.978 * view.width - pixels, 0.05 * view.height, pixels, 3 * view.unit, TEXT)
    view.text(f"{length:g} mm", 0.978, 0.065, 17, TEXT, horizontal="right")


def _draw_surfaces(view: View, node: Any, structures: list[Structure]) -> None:
    to_world = vtkTransform()
    to_world.SetMatrix(matrix_from_array(node_to_world(node)))
    for item, surface in _surfaces(structures):
        placed = vtkTransformPolyDataFilter()
        placed.SetTransform(to_world)
        placed.SetInputData(surface)
        mapper = vtkPolyDataMapper()
        mapper.SetInputConnection(placed.GetOutputPort())
        mapper.ScalarVisibilityOff()
        actor = vtkActor()
        actor.SetMapper(mapper)
        look = actor.GetProperty()
        look.SetColor(*item.color)
        look.SetInterpolationToPhong()
        look.SetAmbient(0.12)
        look.SetDiffuse(0.85)
        look.SetSpecular(0.25)
        look.SetSpecularPower(25)
        view.renderer.AddActor(actor)
    camera = view.renderer.GetActiveCamera()
    camera.SetPosition(0.75, 1.0, 0.55)  # from the front, the patient's right and above
    camera.SetFocalPoint(0, 0, 0)
    camera.SetViewUp(0, 0, 1)
    view.renderer.ResetCamera()
    camera.Zoom(1.25)
    view.renderer.ResetCameraClippingRange()
    view.text("3D", 0.022, 0.965, 21, TEXT, vertical="top")
    view.orientation_cube(camera)


def _surfaces(structures: list[Structure]) -> list[tuple[Structure, Any]]:
    """Closed surfaces in the segmentation node's coordinates; missing ones are made without changing the node."""
    filled = [item for item in structures if item.volume_ml > 0]
    if any(item.segment.GetRepresentation(SURFACE) is None for item in filled):
        aside = slicer.vtkSegmentation()
        aside.SetSourceRepresentationName(LABELMAP)
        for number, item in enumerate(filled):
            copy = slicer.vtkSegment()
            copy.SetName(item.name)
            copy.SetLabelValue(item.value)
            copy.AddRepresentation(LABELMAP, item.image)
            aside.AddSegment(copy, str(number))
        aside.CreateRepresentation(SURFACE)
        found = [(item, aside.GetSegment(str(n)).GetRepresentation(SURFACE)) for n, item in enumerate(filled)]
    else:
        found = [(item, item.segment.GetRepresentation(SURFACE)) for item in filled]
    return [(item, surface) for item, surface in found if surface is not None and surface.GetNumberOfPoints() > 0]


def _write(window: Any, path: Path) -> None:
    grab = vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    writer = vtkPNGWriter()
    writer.SetInputConnection(grab.GetOutputPort())
    writer.WriteToMemoryOn()  # VTK reports a full disk on the console only
    writer.Write()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(vtk_to_numpy(writer.GetResult()).tobytes())
    except OSError as error:
        raise WriteError(
            f"The picture '{path.name}' could not be saved.",
            f"The folder '{path.parent}' cannot be written to: {error.strerror or error}.",
            "Choose another folder, or free some space.",
        ) from error
