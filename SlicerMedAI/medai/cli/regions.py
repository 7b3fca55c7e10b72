"""Boxes typed on the command line."""

from __future__ import annotations

import numpy as np
import typer

from medai.errors import GeometryError
from medai.volume import Region


def parse_regions(texts: list[str]) -> str | tuple[Region, ...] | None:
    """``[NAME=]x,y,z,sx,sy,sz`` each: centre and full edge lengths, RAS mm. ``auto`` leaves it to the model.

    Raises
    ------
    typer.BadParameter
        When a text is no box.
    """
    if not texts:
        return None
    if [text.strip().lower() for text in texts] == ["auto"]:
        return "auto"
    return tuple(_region(text) for text in texts)


def _region(text: str) -> Region:
    name, _, numbers = text.rpartition("=")
    try:
        x, y, z, *size = (float(part) for part in numbers.split(","))
        return Region(np.array([x, y, z]), np.array(size), name=name.strip())
    except (ValueError, GeometryError) as error:
        raise typer.BadParameter(
            f"'{text}' is no box: give the centre and the edge lengths in RAS mm, such as 'Left=-25,-20,-15,40,60,40'.",
            param_hint="--region",
        ) from error
