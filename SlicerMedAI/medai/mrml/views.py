"""One part of a picture: an image, actors, words and boxes at places given in fractions; and the legend."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401 - both teach VTK's factories to draw
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkRenderingAnnotation import vtkAnnotatedCubeActor
from vtkmodules.vtkRenderingCore import (
    vtkActor2D,
    vtkImageMapper,
    vtkPolyDataMapper2D,
    vtkRenderer,
    vtkTextActor,
    vtkTextRenderer,
)

from medai.mrml.volumes import image_from_array

if TYPE_CHECKING:
    from medai.mrml.slices import RGB, Structure

Color = tuple[float, float, float]

BACKGROUND: Color = (0.055, 0.063, 0.078)
PANEL: Color = (0.085, 0.096, 0.118)
TEXT: Color = (0.88, 0.90, 0.93)
DIM: Color = (0.56, 0.60, 0.66)
ACCENT: Color = (0.98, 0.80, 0.38)

DESIGN_HEIGHT = 1000
"""Sizes of letters are given for a picture of this height."""


class View:
    """A rectangle of a render window with a renderer of its own.

    Parameters
    ----------
    window : vtkRenderWindow
        Its size must be set.
    cell : (x, y, width, height)
        Pixels from the lower left corner.
    background : Color
    """

    def __init__(self, window: Any, cell: tuple[int, int, int, int], background: Color = BACKGROUND) -> None:
        x, y, self.width, self.height = cell
        total_width, total_height = window.GetSize()
        self.unit = total_height / DESIGN_HEIGHT
        self.window = window
        self.renderer = vtkRenderer()
        self.renderer.SetBackground(*background)
        self.corners = (
            x / total_width,
            y / total_height,
            (x + self.width) / total_width,
            (y + self.height) / total_height,
        )
        self.renderer.SetViewport(*self.corners)
        window.AddRenderer(self.renderer)

    def image(self, picture: RGB) -> None:
        """Fill the view with pixels, one to one."""
        mapper = vtkImageMapper()
        mapper.SetInputData(image_from_array(picture[np.newaxis]))
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        actor = vtkActor2D()
        actor.SetMapper(mapper)
        self.renderer.AddViewProp(actor)

    def text(
        self,
        words: str,
        x: float,
        y: float,
        size: float,
        color: Color,
        *,
        horizontal: str = "left",
        vertical: str = "bottom",
        bold: bool = False,
        room: float = np.inf,
    ) -> None:
        """Words at a place given in fractions of the view, made smaller and then shorter to fit into `room` pixels."""
        actor = vtkTextActor()
        style = actor.GetTextProperty()
        style.SetFontFamilyToArial()
        style.SetFontSize(max(1, round(size * self.unit)))
        style.SetColor(*color)
        style.SetBold(bold)
        style.SetShadow(True)  # readable over bright tissue
        actor.SetInput(_fitted(words, style, room))
        style.SetJustification(("left", "center", "right").index(horizontal))
        style.SetVerticalJustification(("bottom", "middle", "top").index(vertical))
        actor.GetPositionCoordinate().SetCoordinateSystemToViewport()
        actor.SetPosition(round(x * self.width), round(y * self.height))
        self.renderer.AddViewProp(actor)

    def box(self, x: float, y: float, width: float, height: float, color: Color) -> None:
        """Filled rectangle, in pixels of the view."""
        points = vtkPoints()
        for px, py in ((x, y), (x + width, y), (x + width, y + height), (x, y + height)):
            points.InsertNextPoint(px, py, 0)
        faces = vtkCellArray()
        faces.InsertNextCell(4)
        for n in range(4):
            faces.InsertCellPoint(n)
        shape = vtkPolyData()
        shape.SetPoints(points)
        shape.SetPolys(faces)
        mapper = vtkPolyDataMapper2D()
        mapper.SetInputData(shape)
        actor = vtkActor2D()
        actor.SetMapper(mapper)
        actor.GetProperty().SetColor(*color)
        self.renderer.AddViewProp(actor)

    def orientation_cube(self, camera: Any) -> None:
        """Small cube with the patient's sides in the lower right corner, turned as `camera` sees the scene."""
        cube = vtkAnnotatedCubeActor()
        for axis, letters in (("X", "RL"), ("Y", "AP"), ("Z", "SI")):
            for sign, letter in zip(("Plus", "Minus"), letters, strict=True):
                getattr(cube, f"Set{axis}{sign}FaceText")(letter)
                getattr(cube, f"Get{axis}{sign}FaceProperty")().SetColor(*ACCENT)
        cube.SetFaceTextScale(0.62)
        cube.SetZFaceTextRotation(90)
        cube.GetTextEdgesProperty().SetOpacity(0)
        cube.GetCubeProperty().SetColor(0.22, 0.25, 0.30)
        corner = vtkRenderer()
        corner.SetBackground(*BACKGROUND)
        x0, y0, x1, y1 = self.corners
        side = 0.24
        corner.SetViewport(x1 - side * (x1 - x0) * self.height / self.width, y0, x1, y0 + side * (y1 - y0))
        corner.AddActor(cube)
        copy = corner.GetActiveCamera()
        copy.SetPosition(camera.GetPosition())
        copy.SetFocalPoint(camera.GetFocalPoint())
        copy.SetViewUp(camera.GetViewUp())
        corner.ResetCamera()
        copy.Zoom(1.1)
        self.window.AddRenderer(corner)


def _fitted(words: str, style: Any, room: float) -> str:
    """`words`, with `style` at a smaller size, and shortened when even that is not enough."""

    def width(text: str) -> int:
        box = [0, 0, 0, 0]
        vtkTextRenderer.GetInstance().GetBoundingBox(style, text, box, 72)
        return box[1] - box[0]

    least = 0.7 * style.GetFontSize()
    while width(words) > room and style.GetFontSize() > least:
        style.SetFontSize(style.GetFontSize() - 1)
    short = words
    while width(short) > room and len(short) > 2:
        short = short[:-2].rstrip() + "…"
    return short


def draw_legend(view: View, structures: list[Structure], title: str, node: Any) -> None:
    """Title, one row per segment with its colour and volume in mL, and where the result came from."""
    line = 34 / DESIGN_HEIGHT
    margin = 0.07
    y = 0.965
    for row in textwrap.wrap(title, 24)[:2]:
        view.text(row, margin, y, 27, TEXT, vertical="top", bold=True)
        y -= line * 1.05
    y -= line * 0.5
    view.text("Segment", margin, y, 18, DIM, vertical="middle")
    view.text("mL", 1 - margin, y, 18, DIM, horizontal="right", vertical="middle")
    y -= line * 1.1
    rows = int((y - 0.27) / line)
    shown = structures if len(structures) <= rows else structures[: rows - 1]
    for item in shown:
        swatch = 18 * view.unit
        view.box(margin * view.width, y * view.height - swatch / 2, swatch, swatch, item.color)
        faint = DIM if item.volume_ml == 0 else TEXT
        start = margin + 30 * view.unit / view.width
        room = (1 - margin - start) * view.width - 75 * view.unit
        view.text(item.name, start, y, 18, faint, vertical="middle", room=room)
        amount = "none" if item.volume_ml == 0 else f"{item.volume_ml:.{2 if item.volume_ml < 100 else 0}f}"
        view.text(amount, 1 - margin, y, 18, faint, horizontal="right", vertical="middle")
        y -= line
    if len(shown) < len(structures):
        view.text(f"and {len(structures) - len(shown)} more", margin, y, 18, DIM, vertical="middle")
    _draw_provenance(view, node, margin)


def _draw_provenance(view: View, node: Any, margin: float) -> None:
    def value(key: str) -> str:
        return node.GetAttribute(f"MedAI.{key}") or ""

    model = " ".join(filter(None, (value("Bundle"), value("Version"))))
    facts = [
        f"Model: {model}" if model else "",
        f"Device: {value('Device')}" if value("Device") else "",
        f"Licence: {value('Licence')}" if value("Licence") else "",
        f"Cite: {value('Citation')}" if value("Citation") else "",
    ]
    rows = [row for fact in facts if fact for row in textwrap.wrap(fact, 40)[:4]]
    y = 0.03 + 22 / DESIGN_HEIGHT * len(rows)
    for row in rows:
        view.text(row, margin, y, 15, DIM, vertical="top")
        y -= 22 / DESIGN_HEIGHT
