"""Scenes and segmentations to files, whole or not at all."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer

from medai.errors import InputError, WriteError


def save_scene(scene: Any, path: str | Path) -> Path:
    """Save a scene that Slicer opens.

    Parameters
    ----------
    scene : vtkMRMLScene
        Node names, file names and everything else in it stay as they are.
    path : path
        ``.mrb``: one file with everything in it. ``.mrml``: the scene file, with its data in a folder ``Data`` beside.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    WriteError
        When the folder cannot be written to, or the disk is full. An older file of that name is then still there.
    """
    path = Path(path).absolute()
    if path.suffix.lower() not in (".mrb", ".mrml"):
        raise WriteError(
            f"The scene cannot be saved as '{path.name}'.",
            "Scenes are saved as .mrb (one file) or .mrml (with a data folder).",
            "Choose a name that ends in .mrb.",
        )
    with _beside(path) as folder:
        messages = slicer.vtkMRMLMessageCollection()
        if path.suffix.lower() == ".mrb":
            whole = folder / path.name
            done = scene.WriteToMRB(whole.as_posix(), None, messages) and _zip_is_whole(whole)
            _check(done, path, messages)
            whole.replace(path)
        else:
            bundle = folder / path.stem
            bundle.mkdir()
            done = scene.SaveSceneToSlicerDataBundleDirectory(bundle.as_posix(), None, messages)
            _check(done and (bundle / f"{path.stem}.mrml").is_file(), path, messages)
            _move(bundle, path)
    return path


def _move(bundle: Path, path: Path) -> None:
    """Data first, then the scene file that refers to it."""
    data = path.parent / "Data"
    taken = [file.name for file in (bundle / "Data").iterdir() if (data / file.name).exists()]
    if taken and not path.exists():
        raise WriteError(
            f"The scene '{path.name}' cannot be saved into '{path.parent}'.",
            f"The folder 'Data' there holds files of another scene with the same names ({', '.join(taken[:3])}).",
            "Choose an empty folder, or save as .mrb.",
        )
    data.mkdir(exist_ok=True)
    for file in (bundle / "Data").iterdir():
        file.replace(data / file.name)
    for file in bundle.iterdir():  # the scene file; a folder for hidden nodes when there are any
        if file.is_file() and file.suffix != ".mrml":
            file.replace(path.parent / file.name)
        elif file.is_dir() and file.name != "Data":
            shutil.copytree(file, path.parent / file.name, dirs_exist_ok=True)
    (bundle / f"{path.stem}.mrml").replace(path)


def save_segmentation(node: Any, path: str | Path) -> Path:
    """Save a segmentation node as ``.seg.nrrd`` with names, colours and terminology, on its reference image's grid.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        Its own storage node, if any, is not touched. Saved in the node's own coordinates, without parent transforms.
    path : path

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    InputError
        When the node holds no segments.
    WriteError
        When the folder cannot be written to, or the disk is full. An older file of that name is then still there.
    """
    path = Path(path).absolute()
    if not path.name.lower().endswith((".seg.nrrd", ".nrrd")):
        raise WriteError(
            f"The segmentation cannot be saved as '{path.name}'.",
            "Segmentations are saved as .seg.nrrd.",
            "Choose a name that ends in .seg.nrrd.",
        )
    if node.GetSegmentation() is None or node.GetSegmentation().GetNumberOfSegments() == 0:
        raise InputError(
            f"The segmentation '{node.GetName()}' was not saved.", "It holds no segments.", "Segment something first."
        )
    with _beside(path) as folder:
        whole = folder / path.name
        storage = slicer.vtkMRMLSegmentationStorageNode()
        storage.SetFileName(whole.as_posix())
        done = bool(storage.WriteData(node)) and _nrrd_is_whole(whole)
        _check(done, path, storage.GetUserMessages())
        whole.replace(path)
    return path


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Folder next to `path`, on the same disk, so that a finished file only needs renaming; removed in the end."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".medai-", dir=path.parent, ignore_cleanup_errors=True)
        with folder as name:
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(f"{path} is read-only")
            yield Path(name)
    except OSError as error:
        raise WriteError(
            f"'{path.name}' could not be saved.",
            f"The folder '{path.parent}' cannot be written to: {error.strerror or error}.",
            "Choose another folder, free some space, or ask for permission to write there.",
            details=repr(error),
        ) from error


def _check(done: bool, path: Path, messages: Any) -> None:
    if done:
        return
    free = shutil.disk_usage(path.parent).free
    text = messages.GetAllMessagesAsString() if messages is not None else ""
    raise WriteError(
        f"'{path.name}' could not be saved.",
        f"Writing into '{path.parent}' ended early; the disk has {free / 2**20:.0f} MB left.",
        "Free some space or choose another folder, then save again.",
        details=text,
    )


def _zip_is_whole(path: Path) -> bool:
    """Whether every member can be read back: the archive writer does not notice a full disk every time."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError):
        return False


def _nrrd_is_whole(path: Path) -> bool:
    """Whether the voxels of an attached-header NRRD file can be read to the end."""
    try:
        with path.open("rb") as file:
            header = b"".join(iter(file.readline, b"\n"))
            if b"encoding: gzip" not in header:
                return True
            with gzip.GzipFile(fileobj=file) as voxels:
                while voxels.read(1 << 24):
                    pass
    except (OSError, EOFError, zlib.error):
        return False
    return True
