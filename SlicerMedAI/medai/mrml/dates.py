"""When the image of a volume node was acquired."""

from __future__ import annotations

from datetime import date
from typing import Any

import slicer

from medai.errors import InputError
from medai.visits import as_date

# The order of `medai.dicom.dates`; a node may carry them as attributes, its study in the subject hierarchy the last.
_TAGS = {
    "AcquisitionDate": "0008,0022",
    "ContentDate": "0008,0023",
    "SeriesDate": "0008,0021",
    "StudyDate": "0008,0020",
}


def date_of_node(node: Any) -> date | None:
    """Day of acquisition, as far as Slicer knows it.

    Parameters
    ----------
    node : vtkMRMLVolumeNode
        Asked are its attributes ``DICOM.AcquisitionDate`` and so on, its DICOM files where Slicer's database holds
        them, and its items in the subject hierarchy (a study's ``DICOM.StudyDate``).
    """
    uid = (node.GetAttribute("DICOM.instanceUIDs") or "").split(" ")[0]
    database = getattr(slicer, "dicomDatabase", None) if uid else None
    hierarchy, item = _item(node)
    for tag, number in _TAGS.items():
        key = f"DICOM.{tag}"
        texts = [node.GetAttribute(key), database.instanceValue(uid, number) if database else ""]
        at = item
        while at and hierarchy is not None:
            texts.append(hierarchy.GetItemAttribute(at, key))
            at = hierarchy.GetItemParent(at)
        for text in filter(None, texts):
            try:
                return as_date(text)
            except InputError:
                continue  # blanked out, or written by somebody else in another way
    return None


def _item(node: Any) -> tuple[Any, int]:
    scene = node.GetScene()
    hierarchy = scene.GetSubjectHierarchyNode() if scene is not None else None
    return hierarchy, (hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0)
