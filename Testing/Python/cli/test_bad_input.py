"""Everything that a person may bring by mistake, or somebody else on purpose: what the command says of it.

One line per kind of bad input: which exit code, and the words that tell a clinician what is wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medai.bundles.integrity import write_pins

RNG = np.random.default_rng(0)
AXES = np.diag([-1.0, -1, 1, 1])


def nifti(path: Path, array: np.ndarray, affine: np.ndarray = AXES) -> Path:
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


def ordinary(shape: tuple[int, ...] = (16, 16, 16)) -> np.ndarray:
    return RNG.normal(100, 20, shape).astype(np.float32)


def with_voxels(*values: float) -> np.ndarray:
    array = ordinary()
    array[0, 0, : len(values)] = values
    return array


def picture(path: Path, array: np.ndarray) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(path))
    return path


def flat(path: Path) -> Path:
    image = nib.Nifti1Image(np.ones((3, 3, 3), np.uint8), None)
    image.header["pixdim"][1:4] = [1, 1, 0]
    image.header.set_sform(np.diag([1, 1, 0, 1.0]), 1)
    image.to_filename(path)
    return path


def enormous(path: Path) -> Path:
    """3.6 TB, of which the disk holds a page: a sparse file."""
    header = nib.Nifti2Header()
    header.set_data_shape((30000, 30000, 2000))
    header.set_data_dtype(np.int16)
    header.set_sform(AXES, 1)
    header["vox_offset"] = 544
    with path.open("wb") as file:
        file.write(header.binaryblock)
        file.truncate(544 + 30000 * 30000 * 2000 * 2)
    return path


def cut(path: Path) -> Path:
    nifti(path, ordinary())
    path.write_bytes(path.read_bytes()[:2000])
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty": (lambda folder: empty(folder / "a.nii.gz"), "'a.nii.gz' is empty"),
    "one voxel": (
        lambda folder: nifti(folder / "a.nii", np.full((1, 1, 1), 7, np.int16)),
        "Its only voxel has the value 7",
    ),
    "not a number": (lambda folder: nifti(folder / "a.nii", np.full((4, 4, 4), np.nan)), "holds no valid voxel"),
    "infinite": (lambda folder: nifti(folder / "a.nii", np.full((4, 4, 4), np.inf)), "holds no valid voxel"),
    "constant": (lambda folder: nifti(folder / "a.nii", np.full((9, 9, 9), 5, np.int16)), "All of its 729 voxels"),
    "vectors": (lambda folder: picture(folder / "a.nrrd", ordinary((8, 8, 8, 3))), "3 values per voxel"),
    "zero spacing": (lambda folder: flat(folder / "a.nii"), "no thickness"),
    "larger than memory": (lambda folder: enormous(folder / "a.nii"), "3.3 TB of memory"),
    "truncated": (lambda folder: cut(folder / "a.nii.gz"), "damaged, incomplete"),
}


@pytest.mark.parametrize(("make", "words"), [pytest.param(*case, id=name) for name, case in REFUSED.items()])
def test_an_image_that_cannot_be_used_is_refused_in_words(medai, tmp_path, make, words):
    done = medai("segment", make(tmp_path), "-m", "tiny", "-o", tmp_path / "out.nrrd")
    assert (done.exit_code, done.stdout) == (3, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "pixdim" not in done.stderr  # what a library mutters while it reads
    assert not (tmp_path / "out.nrrd").exists()


ACCEPTED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "some voxels without a value": (
        lambda folder: nifti(folder / "a.nii", with_voxels(np.nan, np.inf, -np.inf)),
        "3 voxels of 'a' are infinite or not a number",
    ),
    "colour": (
        lambda folder: picture(folder / "a.png", RNG.integers(0, 255, (20, 20, 3)).astype(np.uint8)),
        "its brightness was used",
    ),
    "another modality": (
        lambda folder: nifti(folder / "a.nii", (ordinary() * 10 - 2000).astype(np.int16)),
        "looks like computed tomography (CT). Results are likely to be wrong",
    ),
    "another field of view": (
        lambda folder: nifti(folder / "a.nii", ordinary(), np.diag([-20, -20, 20, 1.0])),
        "the model expects at most 90 mm in each direction. Draw a region around the thing.",
    ),
}


@pytest.mark.parametrize(("make", "words"), [pytest.param(*case, id=name) for name, case in ACCEPTED.items()])
def test_an_image_that_is_unlike_those_of_the_training_is_warned_of_and_done(medai, tmp_path, choosy, make, words):
    done = medai("segment", make(tmp_path), "-m", choosy, "-o", tmp_path / "out.nrrd", "--json")
    assert done.exit_code == 0, done.output
    (note,) = [note for note in json.loads(done.stdout)["notes"] if words in note]
    assert note in done.stderr, "said while it is being done"
    assert not [n for n in json.loads(done.stdout)["notes"] if "CT" in n and "CT" not in note]


@pytest.fixture
def choosy(models_folder, tmp_path) -> Path:
    """A model that says what it was made for."""
    root = tmp_path / "choosy"
    shutil.copytree(models_folder / "tiny", root)
    path = root / "configs" / "metadata.json"
    content = json.loads(path.read_text())
    content["medai"] = {
        "modality": "MR",
        "expects": {"extent_mm": [10, 90]},
        "region_hint": "Draw a region around the thing",
    }
    path.write_text(json.dumps(content))
    return root


class RunsCommand:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def without_weights(root: Path, _: Path) -> None:
    (root / "models" / "model.pt").unlink()


def with_cut_weights(root: Path, _: Path) -> None:
    path = root / "models" / "model.pt"
    path.write_bytes(path.read_bytes()[:700])


def with_cut_config(root: Path, _: Path) -> None:
    path = root / "configs" / "inference.json"
    path.write_text(path.read_text()[:300])


def tampered(root: Path, _: Path) -> None:
    write_pins(root)
    path = root / "models" / "model.pt"
    path.write_bytes(path.read_bytes() + b"x")


def with_code_for_weights(root: Path, marker: Path) -> None:
    import torch

    torch.save({"weight": torch.ones(2), "x": RunsCommand(marker)}, root / "models" / "model.pt")


def with_a_shell_command(root: Path, marker: Path) -> None:
    path = root / "configs" / "inference.json"
    inferer = {"_target_": "os.system", "command": f"mkdir {marker}"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "inferer": inferer}))


MODELS = {
    without_weights: "holds no weights",
    with_cut_weights: "model.pt is damaged or incomplete",
    with_cut_config: "inference.json cannot be read. It is damaged or incomplete near its line",
    tampered: "was changed after it was published",
    with_code_for_weights: "should hold only numbers, but it asks the computer to run code",
    with_a_shell_command: "does what no honest model needs",
}


@pytest.mark.parametrize("command", ["segment", "import", "verify"])
@pytest.mark.parametrize(("spoil", "words"), [pytest.param(*case, id=case[0].__name__) for case in MODELS.items()])
def test_a_model_that_cannot_be_used_is_refused_in_words(
    medai, models_folder, an_image, tmp_path, *, command, spoil, words
):
    root, marker = tmp_path / "spoilt", tmp_path / "attack_succeeded"
    shutil.copytree(models_folder / "tiny", root)
    spoil(root, marker)
    if command == "segment":
        done = medai("segment", an_image(), "-m", root, "-o", tmp_path / "out.nrrd")
    else:
        done = medai("models", command, root)
    assert done.exit_code == 4
    assert words in " ".join((done.stderr if command != "verify" else done.stdout).split())
    assert not marker.exists()
    assert not (tmp_path / "out.nrrd").exists()


def test_a_model_that_is_not_there_is_named(medai, an_image, tmp_path):
    done = medai("segment", an_image(), "-m", tmp_path / "nowhere", "-o", tmp_path / "out.nrrd")
    assert done.exit_code == 4
    assert "There is no such folder" in done.stderr


def test_a_zip_that_would_write_elsewhere_is_refused(medai, models_folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
        for path in (models_folder / "tiny").rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(models_folder / "tiny"))
        archive.writestr("../../evil.txt", "x")
    done = medai("models", "import", tmp_path / "slip.zip")
    assert done.exit_code == 4
    assert "would be written outside of the folder of models" in done.stderr
    assert not list(tmp_path.rglob("evil.txt"))


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_full_disk_is_told_and_what_was_there_stays(surroundings, an_image, tmp_path):
    """With a real limit on what may be written, in a process of its own."""
    target = tmp_path / "out.nrrd"
    target.write_text("from yesterday")
    program = (
        "import resource, sys\nfrom medai.cli import app\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "app(sys.argv[1:])\n"
    )
    source = Path(sys.modules["medai"].__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program, "segment", an_image(size=40), "-m", "tiny", "-o", target],
        env={**os.environ, **surroundings, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "The disk is full or a size limit is reached" in done.stderr
    assert "Free some space or choose another folder" in done.stderr
    assert target.read_text() == "from yesterday"
    assert not list(tmp_path.glob(".medai-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="names have other limits there")
@pytest.mark.parametrize("which", ["input", "output"])
def test_a_name_that_is_too_long_is_said_to_be(medai, an_image, tmp_path, which):
    long = tmp_path / f"{'x' * 300}.nii.gz"
    image, target = (long, tmp_path / "a.nii.gz") if which == "input" else (an_image(), long)
    done = medai("segment", image, "-m", "tiny", "-o", target)
    assert done.exit_code != 0
    assert "too long" in done.stderr
    assert "unexpected" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_terminal_does_not_obey_the_name_of_a_file(medai, an_image, tmp_path):
    image = an_image("\x1b]0;owned\x07\x1b[31m.nii.gz")
    done = medai("segment", image, "-m", "tiny", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "owned" in done.stdout
    assert "owned" in done.stderr
    assert "\x1b" not in done.output
