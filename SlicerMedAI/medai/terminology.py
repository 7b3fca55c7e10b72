"""Coded concepts of segments, in the text form that Slicer keeps on a segment and in the header of a .seg.nrrd."""

from __future__ import annotations

from medai.result import Code, Segment

CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
REGION_CONTEXT = "Anatomic codes - DICOM master list"

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
TISSUE = Code("SCT", "85756007", "Tissue")

_SEPARATORS = str.maketrans("~^|", "   ")  # the bar separates tags in the header of a .seg.nrrd


def terminology_entry(segment: Segment) -> str:
    """Serialized terminology entry: context, category, type, modifier, region context, region, region modifier.

    The seven parts are separated by ``~``, the three of a code (scheme, value, meaning) by ``^``, as
    ``vtkSlicerTerminologiesModuleLogic`` does. A segment without codes is "Tissue", as in Slicer, so that it can
    still be exported to DICOM.
    """
    kind = segment.type
    category = segment.category or (ANATOMY if kind else TISSUE)
    parts = (CONTEXT, _code(category), _code(kind or TISSUE), _code(segment.modifier), REGION_CONTEXT, "^^", "^^")
    return "~".join(parts)


def _code(code: Code | None) -> str:
    if code is None:
        return "^^"
    # The form knows no escape: a separator within a meaning would shift everything after it.
    return "^".join(text.translate(_SEPARATORS) for text in (code.scheme, code.value, code.meaning))
