"""Segments as DICOM Segmentation Storage (PS3.3 A.51), on the slices of their image; highdicom writes it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medai.dicom.attribution import MANUFACTURER, PROCESSING, SYNTHESIZING, UTF_8, equipment, line, software, text
from medai.errors import DependencyError, GeometryError, InputError, ReadError
from medai.files.writing import write_together
from medai.result import Code, Labelmap, Provenance, Segment
from medai.terminology import ANATOMY, TISSUE
from medai.volume import SYNTHETIC

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription

_FEWEST = 8
"""Pixels of a slice, of which eight share a byte; highdicom (0.28) misplaces those of smaller ones."""
_PLACE_MM = 1e-2
"""How far a slice may lie from its place: numbers in headers are decimals of at most 16 characters."""


def check_installed() -> None:
    """Refuse before anything slow happens.

    Raises
    ------
    DependencyError
        When highdicom is missing.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise DependencyError(
            "Labels cannot be written as DICOM.",
            "The Python package highdicom, which writes DICOM segmentations, is not installed.",
            'Install it with: pip install "medai[dicom]". Or choose another format, such as NRRD.',
        )


def write_segmentation(
    labelmap: Labelmap, path: Path, provenance: Provenance, sources: Sequence[str | os.PathLike[str]]
) -> tuple[Path, ...]:
    """Write segments as a DICOM series of one file, in the study and frame of reference of their image.

    Parameters
    ----------
    labelmap : Labelmap
        On exactly the grid of the image; segments may overlap, and may be empty. The codes of each segment become its
        Segmented Property Category and Type (0062,0003 and 0062,000F), its number is its place among `segments`.
    path : Path
        The file, of a folder that is there.
    provenance : Provenance
        Becomes the algorithm's identification (0062,0007) of every segment, which is AUTOMATIC (0062,0008), and an item
        of the Contributing Equipment (0018,A001).
    sources : sequence of path
        The slices of the image, one file each, in any order. Where these say that they are synthetic, or the provenance
        does, so do the segments: Synthetic Data (0008,001C), Content Label (0070,0080) and Description (0070,0081),
        Series Description (0008,103E) and Derivation Description (0008,2111).

    Returns
    -------
    tuple of Path
        The file written.

    Raises
    ------
    DependencyError
        When highdicom is missing.
    InputError
        When there is no segment, or a slice has fewer than 8 pixels.
    ReadError
        When a slice cannot be read.
    GeometryError
        When the slices do not lie where the labelmap's do.
    WriteError
        When the file cannot be written. Then what was there before still is.
    """
    check_installed()
    if not labelmap.segments:
        raise InputError(
            f"'{labelmap.name}' cannot be written as DICOM.",
            "It knows no structure, and a DICOM segmentation describes at least one.",
            "Write it as NRRD.",
        )
    rows, columns = labelmap.layers.shape[2:]
    if rows * columns < _FEWEST:
        raise InputError(
            f"'{labelmap.name}' cannot be written as DICOM.",
            f"Its slices have {columns}x{rows} pixels, which is too few for the way in which masks are stored.",
            "Write it as NRRD.",
        )
    slices = _in_order(labelmap, sources)
    found = _segmentation(labelmap, provenance, slices)
    return write_together(path, {path: lambda file: found.save_as(file, enforce_file_format=True)})


def _in_order(labelmap: Labelmap, sources: Sequence[str | os.PathLike[str]]) -> list[Any]:
    """Headers of the slices along the labelmap's k axis."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        headers = [dcmread(source, stop_before_pixels=True) for source in sources]
    except (OSError, InvalidDicomError) as error:
        raise ReadError(
            f"'{labelmap.name}' cannot be written as DICOM.",
            "A file of its image is missing, or no DICOM file.",
            "Name the DICOM files of exactly the image that the labels were made for.",
            details=repr(error),
        ) from error
    depth, rows, columns = labelmap.layers.shape[1:]
    to_index = np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ labelmap.affine)
    spacing = np.linalg.norm(labelmap.affine[:3, :3], axis=0)
    places: dict[int, Any] = {}
    for header in headers:
        corners = _corners(header)
        if corners is None or (header.Rows, header.Columns) != (rows, columns):
            break
        index = (to_index @ corners)[:3].T
        k = round(index[0, 2])
        expected = [[0, 0, k], [columns - 1, 0, k], [0, rows - 1, k]]
        if (np.abs(index - expected) * spacing).max() > _PLACE_MM:
            break
        places[k] = header
    if sorted(places) != list(range(depth)) or len(headers) != depth:
        raise GeometryError(
            f"'{labelmap.name}' cannot be written as DICOM.",
            f"Its {depth} slices of {columns}x{rows} voxels do not lie where the image's {len(headers)} slices do.",
            "Name the DICOM files of exactly the image that the labels were made for.",
        )
    return [places[k] for k in range(depth)]


def _corners(header: Any) -> NDArray[np.float64] | None:
    """Columns (x, y, z, 1), LPS mm: centres of a slice's first voxel, and of the last of its first row and column."""
    names = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns")
    if not all(header.get(name) for name in names):
        return None
    first = np.array(header.ImagePositionPatient, np.float64)
    along_row, along_column = np.array(header.ImageOrientationPatient, np.float64).reshape(2, 3)
    between_rows, between_columns = map(float, header.PixelSpacing)
    right = first + along_row * between_columns * (header.Columns - 1)
    down = first + along_column * between_rows * (header.Rows - 1)
    return np.vstack([np.stack([first, right, down], axis=1), np.ones(3)])


def _segmentation(labelmap: Labelmap, provenance: Provenance, slices: list[Any]) -> Segmentation:
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    first = slices[0]
    synthetic = provenance.synthetic or first.get("SyntheticData") == "YES"
    plain = synthetic and "synthetic" not in labelmap.name.casefold()
    name = f"SYNTHETIC {labelmap.name}" if plain else labelmap.name
    model = f"the model {provenance.bundle} {provenance.version}".rstrip()
    described = "SYNTHETIC: made by a network, shows no patient" if synthetic else f"Made by {model}"
    found = Segmentation(
        source_images=slices,
        pixel_array=_numbered(labelmap),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_described(n, one, provenance) for n, one in enumerate(labelmap.segments, 1)],
        series_instance_uid=generate_uid(),
        series_number=int(first.get("SeriesNumber") or 0) + 1,
        series_description=line(name),
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=line(provenance.bundle),
        software_versions=software(provenance),
        device_serial_number=line(provenance.digest) or "unknown",  # what tells one model's weights from another's
        content_label="SYNTHETIC" if synthetic else "SEGMENTATION",
        content_description=line(described),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set=UTF_8,
    )
    did = equipment(
        provenance,
        SYNTHESIZING if synthetic else PROCESSING,
        "A generative network made the image and its labels." if synthetic else "A network segmented the image.",
    )
    found.DerivationDescription = text(f"{SYNTHETIC} Made by {model}." if synthetic else f"Made by {model}.")
    if synthetic:
        found.SyntheticData, found.ImageComments = "YES", SYNTHETIC
        found.ContributingEquipmentSequence = [did]  # highdicom thinks that what made the image acquired it
    else:
        found.ContributingEquipmentSequence = [*found.get("ContributingEquipmentSequence", []), did]
    return found


def _numbered(labelmap: Labelmap) -> NDArray[np.unsignedinteger]:
    """Voxels with the numbers 1 to N of their segments, or where these are in layers, a mask of each as last axis."""
    if len(labelmap.layers) > 1:
        return np.stack([labelmap.mask(one) for one in labelmap.segments], axis=-1).astype(np.uint8)
    (layer,) = labelmap.layers
    highest = max(int(layer.max()), *(one.value for one in labelmap.segments))
    numbers = np.zeros(highest + 1, np.uint16)
    for number, one in enumerate(labelmap.segments, 1):
        numbers[one.value] = number
    return np.asarray(numbers[layer])


def _described(number: int, segment: Segment, provenance: Provenance) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    found = SegmentDescription(
        segment_number=number,
        segment_label=line(segment.name),
        segmented_property_category=_concept(segment.category or (ANATOMY if segment.type else TISSUE)),
        segmented_property_type=_concept(segment.type or TISSUE),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=line(provenance.bundle),
            family=codes.cid7162.ArtificialIntelligence,
            version=line(provenance.version) or "unknown",
            source=MANUFACTURER,
        ),
        display_color=CIELabColor.from_rgb(*(round(255 * part) for part in segment.color)),
    )
    if segment.modifier:
        kind = found.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(segment.modifier)]
    return found


def _concept(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, line(code.meaning))
