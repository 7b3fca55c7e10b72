"""The folder of the new bundle: a copy of the old one that is changed, completed, and only then put in its place."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from medai.bundles import integrity, library, trust
from medai.errors import InputError, WriteError
from medai.training.folder import METADATA

Config = dict[str, Any]
_PREFIX = ".compress-"
_ASIDE = ".replaced"
_POLL_S = 0.05
# How the old weights were trained says nothing of the new ones.
_LEFT_OUT = ("runs", "eval", "__pycache__", ".git", integrity.PINS, "train.json", "train.yaml")


def place_of(source: Path, suffix: str) -> Path:
    """Where a model made of `source` goes when nobody says: beside it, or among the user's own where it came with
    medai."""
    home = library.user_folder() if is_shipped(source) else source.parent
    return home / f"{source.name}_{suffix}"


def is_shipped(source: Path) -> bool:
    """Whether a model came with medai: such folders are replaced as a whole by the next version."""
    return source.resolve().parent in [folder.resolve() for folder in library.shipped_folders()]


def check_place(source: Path, output: Path, *, overwrite: bool, replace: bool) -> None:
    """Refuse what would lose a model, before anything slow happens.

    Raises
    ------
    InputError
        When the output is the original, lies in it, is taken, or the original cannot be replaced.
    """
    if output.resolve() == source.resolve() or source.resolve() in output.resolve().parents:
        raise InputError(
            "The new model cannot be made there.",
            "That is the folder of the model it is made of.",
            "Choose another folder (--output); to replace the old model once the new one is judged, use --replace.",
        )
    if output.exists() and not overwrite:
        raise InputError(
            f"There is something at '{output}' already.",
            "A compressed model of that name would replace it.",
            "Choose another folder (--output), or ask for it to be overwritten (--overwrite).",
        )
    if replace and is_shipped(source):
        raise InputError(
            f"The model '{source.name}' cannot be replaced.",
            "It came with medai, and would come back with the next version.",
            "Leave --replace out: the new model gets a name of its own.",
        )


@contextmanager
def workplace(source: Path, output: Path) -> Iterator[Path]:
    """A folder beside `output` for the new bundle, a copy of `source` without what belongs to the old weights.

    It is gone afterwards, but for what `publish` has moved out of it; what a killed process left is removed as well.

    Raises
    ------
    WriteError
        When it cannot be made.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        tidy(output.parent)
        place = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=output.parent))
    except OSError as error:
        raise _unwritten(output, error) from error
    try:
        root = place / output.name
        try:
            shutil.copytree(source, root, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        except (OSError, shutil.Error) as error:
            raise _unwritten(output, error) from error
        yield root
    finally:
        shutil.rmtree(place, ignore_errors=True)


def tidy(folder: Path, patience_s: float = 0.0) -> None:
    """Remove what killed compressions left, and put back what they had set aside.

    Parameters
    ----------
    folder : Path
        In which new models were made.
    patience_s : float
        How long to wait for processes that are just being ended.
    """
    until = time.monotonic() + patience_s
    for left in folder.glob(f"{_PREFIX}*"):
        number = left.name.removeprefix(_PREFIX).partition("-")[0]
        while number.isdecimal() and _runs(int(number)) and time.monotonic() < until:
            time.sleep(_POLL_S)
        if number.isdecimal() and not _runs(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    for aside in folder.glob(f".*{_ASIDE}"):
        place = folder / aside.name[1:].removesuffix(_ASIDE)
        if place.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(place)


def _runs(number: int) -> bool:
    """Whether a process is there, and not only its entry that nobody has asked for yet."""
    try:
        return bool(psutil.Process(number).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def read(root: Path, name: str) -> Config:
    """One of the bundle's configurations, as it is written."""
    content: Config = json.loads((root / name).read_text(encoding="utf-8"))
    return content


def write(root: Path, texts: Mapping[str, object]) -> None:
    """Write files of a bundle: text as it is, anything else as JSON.

    Raises
    ------
    WriteError
        When the disk is full or read-only.
    """
    try:
        for name, content in texts.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritten(root, error) from error


def describe_origin(root: Path, source: Path, method: str, title: str, chosen: Mapping[str, object]) -> None:
    """Write into the metadata of what, how and with which choices the bundle was made."""
    metadata = read(root, METADATA)
    own = metadata.setdefault("medai", {})
    named = own.get("title") or metadata.get("name") or source.name
    own["title"] = f"{named} ({title})"
    own["compressed"] = {
        "from": source.name,
        "version": str(metadata.get("version", "")),
        "sha256": integrity.digest(source),
        "method": method,
        "parameters": dict(chosen),
    }
    write(root, {METADATA: metadata})


def pin(root: Path, source: Path) -> None:
    """Pin every file; code that a person has trusted in the old bundle is the same in the new one and stays
    trusted."""
    for name in ("inference", "metadata"):
        if not (root / "configs" / f"{name}.json").is_file():
            raise InputError(
                f"The model '{source.name}' cannot be compressed.",
                f"Its configs/{name} is not written in JSON.",
                "Convert the configuration to JSON first.",
            )
    integrity.write_pins(root)
    if trust.is_trusted(source):
        trust.trust(root)


def publish(root: Path, target: Path) -> None:
    """Put a complete bundle in its place, at once; what was there before comes back when that fails.

    Raises
    ------
    WriteError
        When the disk does not let it.
    """
    old = target.parent / f".{target.name}{_ASIDE}"  # not in the workplace, which is deleted
    try:
        if target.exists():
            target.rename(old)
        try:
            root.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    except OSError as error:
        raise _unwritten(target, error) from error
    shutil.rmtree(old, ignore_errors=True)


def size_of(root: Path) -> int:
    """Bytes of everything in a bundle but what trainings and evaluations left."""
    return sum((root / name).stat().st_size for name in integrity.files_of(root))


def _unwritten(output: Path, error: BaseException) -> WriteError:
    said = getattr(error, "strerror", None) or error
    return WriteError(
        f"The model '{output.name}' could not be written.",
        f"The computer reports: {said}.",
        "Free some space or choose another folder (--output); the original model is as it was.",
        details=repr(error),
    )
