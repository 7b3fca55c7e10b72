"""Who made an object, in the words and lengths that DICOM allows."""

from __future__ import annotations

from typing import Any

from medai.result import Provenance

MANUFACTURER = "SlicerMedAI"
UTF_8 = "ISO_IR 192"
"""Specific Character Set (0008,0005): models and conditions are called in any language."""
PROCESSING = ("109102", "Processing Equipment")
SYNTHESIZING = ("109100", "Synthesizing Equipment")
"""Purposes of reference of contributing equipment (PS3.16, CID 7005)."""
_TEXT = 1024


def line(text: str) -> str:
    """At most 64 characters (VR LO), of which a backslash would begin another value."""
    return text.replace("\\", "/")[:64]


def text(words: str) -> str:
    """At most 1024 characters (VR ST)."""
    return words.replace("\\", "/")[:_TEXT]


def software(provenance: Provenance) -> str:
    """Software Versions (0018,1020)."""
    return line(provenance.software or "medai")


def equipment(provenance: Provenance, purpose: tuple[str, str], did: str) -> Any:
    """An item of the Contributing Equipment Sequence (0018,A001): the model, and what it did."""
    from pydicom.dataset import Dataset

    code, found = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = purpose[0], "DCM", purpose[1]
    found.PurposeOfReferenceCodeSequence = [code]
    found.Manufacturer, found.ManufacturerModelName = MANUFACTURER, line(provenance.bundle)
    found.SoftwareVersions = software(provenance)
    weights = f" SHA-256 of its files: {provenance.digest}." if provenance.digest else ""
    found.ContributionDescription = text(f"{did}{weights}")
    return found
