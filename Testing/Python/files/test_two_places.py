"""A NIfTI file has room for two positions in the patient; where they differ, a person is told which one was used."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from medai.files import read
from medai.volume import crop


@pytest.fixture
def a_file_with(tmp_path):
    def write(sform: np.ndarray, qform: np.ndarray, codes: tuple[int, int] = (1, 1), frames: int = 1):
        shape = (6, 7, 8) if frames == 1 else (6, 7, 8, frames)
        image = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), None)
        image.header.set_xyzt_units("mm", "sec")
        image.set_qform(qform, codes[1])
        image.set_sform(sform, codes[0])
        image.to_filename(tmp_path / "head.nii")
        return tmp_path / "head.nii"

    return write


def shifted(by: float) -> np.ndarray:
    affine = np.diag([-1.0, -1, 1, 1])
    affine[:3, 3] = by, 0, 0
    return affine


@pytest.mark.parametrize("frames", [1, 3])
def test_two_different_positions_are_told_with_their_distance(a_file_with, frames):
    image = read(a_file_with(shifted(12), shifted(0), frames=frames))
    for volume in [image] if frames == 1 else image.frames:
        np.testing.assert_array_equal(volume.affine, shifted(12))
        (note,) = volume.notes
        assert "up to 12 mm apart" in note
        assert "use its sform" in note
        assert crop(volume, (slice(0, 2), slice(0, 2), slice(0, 2))).notes == volume.notes


def test_the_other_one_is_named_where_monai_uses_it(a_file_with):
    # The voxel size in the header is the qform's: MONAI then distrusts the sform.
    image = read(a_file_with(np.diag([2.0, 2, 2, 1]), shifted(0)))
    np.testing.assert_array_equal(image.affine, shifted(0))
    assert "use its qform" in image.notes[0]


@pytest.mark.parametrize(
    ("sform", "qform", "codes"),
    [
        (shifted(5), shifted(5), (1, 1)),
        (shifted(5), shifted(5.2), (1, 1)),
        (shifted(5), shifted(0), (1, 0)),
        (shifted(5), shifted(0), (0, 1)),
    ],
    ids=["the same", "less than half a voxel", "no qform", "no sform"],
)
def test_one_position_needs_no_note(a_file_with, sform, qform, codes):
    assert read(a_file_with(sform, qform, codes)).notes == ()


def test_a_damaged_second_position_does_not_make_the_file_unreadable(a_file_with):
    path = a_file_with(shifted(3), shifted(3))
    content = bytearray(path.read_bytes())
    content[256:268] = np.array([2, 2, 2], np.float32).tobytes()  # no rotation has such a quaternion
    path.write_bytes(content)
    image = read(path)
    np.testing.assert_array_equal(image.affine, shifted(3))
    assert image.notes == ()


def test_the_note_reaches_the_person(a_file_with):
    from medai.bundles.description import Description

    image = read(a_file_with(shifted(12), shifted(0)))
    assert image.notes[0] in Description("m", a_file_with(shifted(0), shifted(0)).parent).warnings([image])
