"""Labels as DICOM segmentations: at the places of their image whatever its grid, read by others, marked as it is."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import medai
from medai import dicom
from medai.errors import DependencyError, GeometryError, InputError, ReadError, WriteError
from medai.result import Code, Labelmap, Provenance, Segment
from medai.volume import SYNTHETIC, Volume

GRID = np.array([[0.8, 0.3, 0, 5], [-0.6, 0.4, 0, -7], [0, 0, -2.5, 11], [0, 0, 0, 1.0]])
SOURCE = Provenance("synthesize", "träumer", "1.0.0", "ab" * 32, {"seed": "3"}, software="medai 0.1.0", synthetic=True)
HIPPOCAMPUS = Code("SCT", "5928000", "Hippocampus")
SEGMENTS = (
    Segment("Tête gauche", 3, (1, 0, 0), category=Code("SCT", "123037004", "Anatomical Structure"), type=HIPPOCAMPUS),
    Segment("海馬", 7, modifier=Code("SCT", "24028007", "Right"), type=HIPPOCAMPUS),
    Segment("nowhere", 9),
)


def written(folder: Path, labelmap: Labelmap, provenance: Provenance = SOURCE) -> Path:
    """The file of a labelmap, beside the slices of a synthetic image on its grid."""
    image = Volume(np.zeros(labelmap.layers.shape[1:], np.int16), labelmap.affine, "synthetic", notes=(SYNTHETIC,))
    slices = dicom.write_synthetic(image, folder / "image", SOURCE)
    dicom.write_segmentation(labelmap, folder / "seg.dcm", provenance, slices[::-1])
    return folder / "seg.dcm"


def voxels(file: Path, number: int) -> set[tuple[float, ...]]:
    """RAS positions of a segment's voxels, to 1/100 mm, as highdicom reads them."""
    read = highdicom.seg.segread(file)
    volume = read.get_volume(segment_numbers=[number], combine_segments=True, allow_missing_positions=True)
    found = np.argwhere(volume.array > 0)
    return places(found @ volume.affine[:3, :3].T + volume.affine[:3, 3], np.array([-1, -1, 1]))


def places(points: np.ndarray, sign: np.ndarray | int = 1) -> set[tuple[float, ...]]:
    return {tuple(point) for point in (np.round(points * sign, 2) + 0.0).tolist()}


def expected(labelmap: Labelmap, segment: Segment) -> set[tuple[float, ...]]:
    kji = np.argwhere(labelmap.mask(segment))
    return places(kji[:, ::-1] @ labelmap.affine[:3, :3].T + labelmap.affine[:3, 3])


@pytest.fixture
def a_labelmap() -> Labelmap:
    array = np.zeros((4, 6, 5), np.uint8)
    array[1, 2:4, 1:3], array[2, 1, 1] = 3, 7
    return Labelmap(array, GRID, SEGMENTS, "synthetic no 0 segmentation")


@pytest.mark.parametrize("number", [1, 2])
def test_voxels_are_where_they_were(a_labelmap, tmp_path, number):
    file = written(tmp_path, a_labelmap)
    assert voxels(file, number) == expected(a_labelmap, SEGMENTS[number - 1])


@settings(max_examples=12, deadline=None)
@given(
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 5)] * 3),
    flip=st.sampled_from([1, -1]),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
)
def test_oblique_flipped_and_anisotropic_grids_keep_their_place(tmp_path_factory, turn, spacing, flip, origin):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * [*spacing[:2], flip * spacing[2]]
    affine[:3, 3] = np.round(origin, 3)
    array = np.zeros((3, 4, 5), np.uint8)
    array[0, 0, 0] = array[2, 3, 4] = array[1, 2, 1] = 1
    labelmap = Labelmap(array, affine, (Segment("dots", 1),))
    file = written(tmp_path_factory.mktemp("grids"), labelmap)
    found, wanted = (np.array(sorted(one)) for one in (voxels(file, 1), expected(labelmap, labelmap.segments[0])))
    assert found.shape == wanted.shape
    distances = np.linalg.norm(found[:, np.newaxis] - wanted, axis=-1)
    assert distances.min(axis=0).max() < 0.03


def test_every_segment_says_what_it_is_and_who_drew_it(a_labelmap, tmp_path):
    first, second, third = pydicom.dcmread(written(tmp_path, a_labelmap)).SegmentSequence
    assert [one.SegmentLabel for one in (first, second, third)] == ["Tête gauche", "海馬", "nowhere"]
    assert [one.SegmentNumber for one in (first, second, third)] == [1, 2, 3]
    kind = second.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("5928000", "SCT")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert second.SegmentedPropertyCategoryCodeSequence[0].CodeMeaning == "Anatomical Structure"
    assert third.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    for one in (first, second, third):
        assert one.SegmentAlgorithmType == "AUTOMATIC"
        assert one.SegmentAlgorithmName == "träumer"


def test_nobody_can_take_it_for_a_patients(a_labelmap, tmp_path):
    found = pydicom.dcmread(written(tmp_path, a_labelmap))
    image = pydicom.dcmread(tmp_path / "image" / "0001.dcm")
    assert found.SOPClassUID == pydicom.uid.SegmentationStorage
    assert found.SyntheticData == "YES"
    assert list(found.ImageType) == ["DERIVED", "PRIMARY"]
    assert found.ContentLabel == "SYNTHETIC"
    assert "no patient" in found.ContentDescription
    assert "synthetic" in found.SeriesDescription
    assert found.DerivationDescription.startswith(SYNTHETIC)
    assert found.PatientName == image.PatientName
    (equipment,) = found.ContributingEquipmentSequence
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Synthesizing Equipment"
    assert found.StudyInstanceUID == image.StudyInstanceUID
    assert found.FrameOfReferenceUID == image.FrameOfReferenceUID
    (series,) = found.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == image.SeriesInstanceUID
    assert len(series.ReferencedInstanceSequence) == 4


def test_labels_of_a_measured_image_are_not_called_synthetic(a_labelmap, tmp_path):
    written(tmp_path, a_labelmap)
    slices = sorted((tmp_path / "image").iterdir())
    for file in slices:
        measured = pydicom.dcmread(file)
        del measured.SyntheticData
        measured.SeriesNumber = 4
        measured.save_as(file)
    drawn = replace(SOURCE, task="segment", synthetic=False)
    dicom.write_segmentation(replace(a_labelmap, name="head"), tmp_path / "other.dcm", drawn, slices)
    found = pydicom.dcmread(tmp_path / "other.dcm")
    assert "SyntheticData" not in found
    assert "SYNTHETIC" not in (found.ContentLabel, found.SeriesDescription)
    assert found.SeriesNumber == 5
    assert found.ContributingEquipmentSequence[-1].ManufacturerModelName == "träumer"


def test_an_empty_label_is_written_and_described(a_labelmap, tmp_path):
    file = written(tmp_path, replace(a_labelmap, array=np.zeros_like(a_labelmap.array)))
    assert voxels(file, 1) == set()
    assert len(pydicom.dcmread(file).SegmentSequence) == 3


def test_segments_that_overlap_are_both_there(a_labelmap, tmp_path):
    layers = np.zeros((2, 4, 6, 5), np.uint8)
    layers[0, 1:3, 2:4, 1:4], layers[1, 1:3, 3:5, 2:4] = 1, 1
    segments = (Segment("one", 1), Segment("other", 1, layer=1))
    labelmap = Labelmap(layers, GRID, segments)
    file = written(tmp_path, labelmap)
    for number, segment in enumerate(segments, 1):
        assert voxels(file, number) == expected(labelmap, segment)
    assert pydicom.dcmread(file).SegmentsOverlap == "YES"


def test_a_picture_has_labels_too(tmp_path):
    array = np.array([[[0, 1, 1], [2, 0, 0], [0, 2, 1]]], np.uint8)
    file = written(tmp_path, Labelmap(array, np.diag([1, 1, 1, 1.0]), (Segment("a", 1), Segment("b", 2))))
    read = highdicom.seg.segread(file)
    np.testing.assert_array_equal(read.get_volume(combine_segments=True).array, array)


def test_slices_of_another_image_are_refused(a_labelmap, tmp_path):
    written(tmp_path, a_labelmap)
    slices = sorted((tmp_path / "image").iterdir())
    moved = a_labelmap.affine.copy()
    moved[0, 3] += 0.5
    for labelmap, files in (
        (replace(a_labelmap, affine=moved), slices),
        (a_labelmap, slices[:-1]),
        (a_labelmap, [slices[0], *slices]),
        (replace(a_labelmap, array=a_labelmap.array[:, :5]), slices),
    ):
        with pytest.raises(GeometryError, match="do not lie where"):
            dicom.write_segmentation(labelmap, tmp_path / "none.dcm", SOURCE, files)
    for file in (tmp_path / "gone.dcm", Path(__file__)):
        with pytest.raises(ReadError, match="no DICOM file"):
            dicom.write_segmentation(a_labelmap, tmp_path / "none.dcm", SOURCE, [file])
    assert not (tmp_path / "none.dcm").exists()


def test_what_is_no_segmentation_is_refused(a_labelmap, tmp_path):
    with pytest.raises(InputError, match="knows no structure"):
        written(tmp_path, replace(a_labelmap, segments=()))
    with pytest.raises(InputError, match="too few"):
        written(tmp_path, replace(a_labelmap, array=a_labelmap.array[:, :1]))


def test_a_missing_package_is_named(a_labelmap, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(DependencyError, match="highdicom"):
        dicom.write_segmentation(a_labelmap, tmp_path / "seg.dcm", SOURCE, ())


def test_a_folder_that_is_not_there_is_told(a_labelmap, tmp_path):
    written(tmp_path, a_labelmap)
    with pytest.raises(WriteError, match="no folder"):
        dicom.write_segmentation(a_labelmap, tmp_path / "a" / "seg.dcm", SOURCE, sorted((tmp_path / "image").iterdir()))


def test_the_labels_of_a_generator_are_exported_with_its_image(a_generator, tmp_path):
    result = next(medai.synthesize(a_generator, in_process=True, device="cpu"))
    slices = dicom.write_synthetic(result.volume, tmp_path / "image", result.provenance)
    dicom.write_segmentation(result.labelmap, tmp_path / "seg.dcm", result.provenance, slices)
    assert voxels(tmp_path / "seg.dcm", 1) == expected(result.labelmap, result.labelmap.segments[0])
