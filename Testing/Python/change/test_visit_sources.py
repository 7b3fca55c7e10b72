"""Visits from wherever people keep them: folders, DICOM, typed dates, scenes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medai.api.visits import visits_of
from medai.errors import InputError, MedAIError, ReadError
from medai.files.visits import read_visits
from medai.volume import Series, Volume

MR = "1.2.840.10008.5.1.4.1.1.4"
FIRST, SECOND = date(2020, 3, 1), date(2021, 2, 28)


def write_nifti(path: Path, size: int = 5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.zeros((size, size, size), np.float32), np.eye(4)).to_filename(path)
    return path


def write_dicom(folder: Path, *, description: str = "FLAIR", study: str | None = None, slices: int = 4, **tags) -> Path:
    """One series; dates and everything else by DICOM keyword."""
    folder.mkdir(parents=True, exist_ok=True)
    series, study = generate_uid(), study or generate_uid()
    for number in range(slices):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = MR
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.PatientID = series, study, "p"
        dataset.Modality, dataset.SeriesDescription = "MR", description
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 6, 7, 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.PixelSpacing, dataset.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient, dataset.InstanceNumber = [0, 0, number * 2], number + 1
        dataset.PixelData = np.full((6, 7), number, np.uint16).tobytes()
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / f"{description}{number}.dcm", enforce_file_format=True)
    return folder


# A folder of files


@pytest.mark.parametrize(
    "names",
    [
        ("2021-02-28.nii.gz", "2020-03-01.nii.gz"),
        ("sub-01_20210228_T1.nii", "sub-01_20200301_T1.nii"),
        ("2021-02-28/t1.nii.gz", "2020-03-01/t1.nii.gz"),
        ("ses-2021_02_28/anat/t1.nii.gz", "ses-2020_03_01/anat/t1.nii.gz"),
    ],
)
def test_a_date_in_the_name_of_a_file_or_a_folder_makes_a_visit(tmp_path, names):
    for name in names:
        write_nifti(tmp_path / name)
    series = visits_of(tmp_path)
    assert series.dates == (FIRST, SECOND)
    assert series.days == (0, 364)


def test_files_named_one_by_one_tell_their_day_by_their_names_or_their_folders(tmp_path):
    paths = [write_nifti(tmp_path / name) for name in ("2021-02-28/t1.nii.gz", "t1_2020-03-01.nii.gz")]
    assert visits_of(paths).dates == (FIRST, SECOND)


def test_visits_of_different_grids_are_ordinary(tmp_path):
    write_nifti(tmp_path / "2020-03-01.nii.gz", size=5)
    write_nifti(tmp_path / "2021-02-28.nii.gz", size=9)
    assert [frame.shape for frame in visits_of(str(tmp_path)).frames] == [(5, 5, 5), (9, 9, 9)]


def test_the_kind_of_image_that_all_visits_have_is_chosen(tmp_path):
    for name in ("2020-03-01/T1.nii.gz", "2020-03-01/flair.nii.gz", "2021-02-28/ses-02_FLAIR_2021-02-28.nii.gz"):
        write_nifti(tmp_path / name)
    assert [frame.name.lower()[:6] for frame in visits_of(tmp_path).frames] == ["flair", "ses-02"]


def test_several_kinds_are_asked_for_with_a_list(tmp_path):
    for day in ("2020-03-01", "2021-02-28"):
        write_nifti(tmp_path / day / "T1.nii.gz")
        write_nifti(tmp_path / day / "flair.nii.gz")
    with pytest.raises(InputError, match=r"2 kinds of image in common(.|\n)*2020-03-01: T1, flair"):
        visits_of(tmp_path)
    assert [frame.name for frame in visits_of(tmp_path, series="FLAIR").frames] == ["flair", "flair"]
    with pytest.raises(InputError, match="2020-03-01 has no image 'dwi'"):
        visits_of(tmp_path, series="dwi")


def test_undated_files_are_refused_unless_dates_are_typed_in(tmp_path):
    for name in ("a/t1.nii.gz", "b/t1.nii.gz"):
        write_nifti(tmp_path / name)
    with pytest.raises(InputError, match="not known when"):
        visits_of(tmp_path)
    assert visits_of(tmp_path, dates=["2021-02-28", "2020-03-01"]).dates == (FIRST, SECOND)


def test_a_folder_of_one_visit_and_an_empty_folder_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="holds no image"):
        read_visits(tmp_path / "empty")
    write_nifti(tmp_path / "one" / "2020-03-01.nii.gz")
    with pytest.raises(InputError, match="one visit only"):
        read_visits(tmp_path / "one")


def test_a_truncated_file_is_refused_by_name(tmp_path):
    write_nifti(tmp_path / "2020-03-01.nii")
    spoiled = write_nifti(tmp_path / "2021-02-28.nii")
    spoiled.write_bytes(spoiled.read_bytes()[:400])
    with pytest.raises(MedAIError, match="2021-02-28"):
        visits_of(tmp_path)


# DICOM


@pytest.mark.parametrize(
    "tags",
    [
        {"AcquisitionDate": "20200301", "ContentDate": "20200302", "SeriesDate": "20200303", "StudyDate": "20200304"},
        {"AcquisitionDate": "", "ContentDate": "20200301", "StudyDate": "20200304"},
        {"AcquisitionDateTime": "20200301101500.000", "ContentDate": "20200302"},
        {"SeriesDate": "20200301", "StudyDate": "20200304"},
        {"AcquisitionDate": "00000000", "StudyDate": "20200301"},
    ],
)
def test_the_first_date_of_a_header_that_can_be_read_counts(tmp_path, tags):
    write_dicom(tmp_path / "a", **tags)
    write_dicom(tmp_path / "b", StudyDate="20210228")
    assert visits_of(tmp_path).dates == (FIRST, SECOND)


def test_studies_in_one_flat_folder_are_told_apart(tmp_path):
    write_dicom(tmp_path, description="FLAIR new", StudyDate="20210228")
    write_dicom(tmp_path, description="FLAIR old", StudyDate="20200301")
    series = visits_of(tmp_path)
    assert [frame.name for frame in series.frames] == ["FLAIR old", "FLAIR new"]
    assert series.frames[0].modality == "MR"


def test_of_several_series_of_a_study_the_one_that_matches_is_chosen(tmp_path):
    for day, others in (("20200301", ("T1",)), ("20210228", ("T2", "localizer"))):
        study = generate_uid()
        for description in ("t2_FLAIR" if others == ("T1",) else "T2 flair", *others):
            write_dicom(tmp_path / day / description, description=description, study=study, StudyDate=day)
    assert [frame.name for frame in visits_of(tmp_path).frames] == ["t2_FLAIR", "T2 flair"]


def test_two_series_of_one_study_that_both_match_are_asked_for(tmp_path):
    for day in ("20200301", "20210228"):
        study = generate_uid()
        for description in ("T1", "FLAIR"):
            write_dicom(tmp_path / day / description, description=description, study=study, StudyDate=day)
    with pytest.raises(InputError, match=r"2 kinds of image in common(.|\n)*T1 \(MR\)"):
        visits_of(tmp_path)
    assert {frame.name for frame in visits_of(tmp_path, series="t1").frames} == {"T1"}


def test_headers_without_dates_leave_it_to_the_folders_name(tmp_path):
    write_dicom(tmp_path / "2021-02-28 control")
    write_dicom(tmp_path / "2020-03-01 baseline")
    assert visits_of(tmp_path).dates == (FIRST, SECOND)
    assert visits_of([tmp_path / "2021-02-28 control", tmp_path / "2020-03-01 baseline"]).dates == (FIRST, SECOND)


def test_two_studies_of_the_same_day_are_refused(tmp_path):
    for name in ("morning", "evening"):
        write_dicom(tmp_path / name, StudyDate="20200301")
    with pytest.raises(InputError, match="same day"):
        visits_of(tmp_path)


def test_different_modalities_are_refused(tmp_path):
    write_dicom(tmp_path / "a", StudyDate="20200301")
    write_dicom(tmp_path / "b", StudyDate="20210228", Modality="CT")
    with pytest.raises(InputError, match="CT, MR"):
        visits_of(tmp_path)


def test_the_real_patients_tell_their_day():
    shared = Path(__file__).resolve().parents[4] / "shared" / "data" / "brain_mr_dicom"
    if not shared.is_dir():
        pytest.skip("the shared data are not here")
    from medai.dicom import list_series

    assert all(series.date is not None and series.study for series in list_series(shared))


# Given in Python and in a scene


def test_images_of_different_kinds_of_source_are_visits_together(tmp_path):
    volume = Volume(np.zeros((3, 3, 3), np.uint8), np.eye(4), "typed")
    series = visits_of([write_nifti(tmp_path / "T1_2021-02-28.nii.gz"), volume], dates=[None, "2020-03-01"])
    assert series.dates == (FIRST, SECOND)


def test_a_single_image_or_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="one visit only"):
        visits_of(write_nifti(tmp_path / "T1_2021-02-28.nii.gz"))
    with pytest.raises(InputError, match="no visits"):
        visits_of([])
    frames = Series((Volume(np.zeros((3, 3, 3), np.uint8), np.eye(4)),) * 2)
    with pytest.raises(InputError, match="several images"):
        visits_of([frames, frames])


@pytest.fixture
def a_scene():
    pytest.importorskip("slicer")
    from medai import mrml

    return mrml.create_scene()


def a_node(scene, name: str, where=None):
    import slicer

    from medai.mrml.volumes import fill_volume_node

    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) if where is None else where
    assert slicer
    fill_volume_node(node, np.zeros((3, 4, 5), np.int16), np.eye(4))
    return node


def a_sequence(scene, texts: list[str], unit: str):
    import slicer

    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "visits")
    sequence.SetIndexUnit(unit)
    for text in texts:
        frame = slicer.vtkMRMLScalarVolumeNode()
        a_node(scene, "", frame)
        sequence.SetDataNodeAtValue(frame, text)
    return sequence


def test_a_sequence_of_dates_is_visits(a_scene):
    series = visits_of(a_sequence(a_scene, ["2020-03-01", "2021-02-28"], ""))
    assert series.dates == (FIRST, SECOND)


@pytest.mark.parametrize(("unit", "days"), [("days", 30), ("year", 30 * 365.25), ("months", 30 * 365.25 / 12)])
def test_a_sequence_in_days_to_years_is_visits(a_scene, unit, days):
    assert visits_of(a_sequence(a_scene, ["0", "30"], unit)).days == pytest.approx((0, days))


def test_a_sequence_in_seconds_is_none(a_scene):
    with pytest.raises(InputError, match="not known when"):
        visits_of(a_sequence(a_scene, ["0", "30"], "s"))


def test_nodes_tell_their_date_by_attribute_study_or_name(a_scene):
    by_attribute, by_study, by_name = (a_node(a_scene, name) for name in ("one", "two", "T1 2022-01-01"))
    by_attribute.SetAttribute("DICOM.AcquisitionDate", "20200301")
    hierarchy = a_scene.GetSubjectHierarchyNode()
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.SetItemAttribute(study, "DICOM.StudyDate", "20210228")
    hierarchy.CreateItem(study, by_study)
    series = visits_of([by_name, by_study, by_attribute])
    assert series.dates == (FIRST, SECOND, date(2022, 1, 1))


def test_nodes_take_dates_that_are_typed_in(a_scene):
    nodes = [a_node(a_scene, "one"), a_node(a_scene, "two")]
    assert visits_of(nodes, dates=[SECOND, "2020-03-01"]).dates == (FIRST, SECOND)
