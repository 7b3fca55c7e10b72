"""The bundle's folder while and after a training: prepared before, completed after. Never imports torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from medai.bundles import integrity
from medai.bundles.operating_points import OperatingPoint
from medai.errors import InputError, WriteError
from medai.training.data import DataList, write_monai_list

RUNS = "runs"
CHECKPOINT = f"{RUNS}/checkpoint.pt"
DATALIST = f"{RUNS}/datalist.json"
HISTORY = f"{RUNS}/history.json"
START = f"{RUNS}/start.pt"
PARAMETERS = f"{RUNS}/parameters.yaml"
WEIGHTS = "models/model.pt"
TRAINING = "configs/train.json"
INFERENCE = "configs/inference.json"
METADATA = "configs/metadata.json"
_REPLACED = ".replaced"
_OURS = ("configs", "models", "docs", RUNS, "eval", "LICENSE", integrity.PINS)


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """While a training is at work in a folder, keep every other one out of it.

    The operating system forgets the lock with the process that holds it, however that ends.

    Raises
    ------
    InputError
        When another training is at work there.
    """
    from filelock import FileLock, Timeout

    # Beside the folder: what lies in it is removed to begin anew, and pinned in the end.
    place = root.resolve()
    lock = FileLock(place.with_name(f".{place.name}.lock"))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0.5, poll_interval=0.1)  # more than one try: whoever held it may be removing it just now
    except Timeout as error:
        raise InputError(
            f"Another training is at work in '{root}'.",
            "Two of them would spoil each other's files.",
            "Wait until it has ended, stop it, or choose another folder.",
        ) from error
    except (OSError, ValueError, NotImplementedError):
        yield  # a disk that knows no locks, a folder in which nobody may write: rather unguarded than not at all
        return
    try:
        yield
    finally:
        # While it is held, so that nobody loses a lock by it: who has opened this file and gets the lock next sees that
        # it is gone, and makes another (filelock, from 3.21 on). Windows refuses; there filelock removes it itself.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


@contextmanager
def prepared(
    root: Path,
    configs: Mapping[str, Mapping[str, Any]],
    data: DataList,
    *,
    overwrite: bool = False,
    finish: bool = False,
) -> Iterator[bool]:
    """Make the folder, or find that it holds this very training, unfinished.

    What is overwritten is there again when an error ends the block, in which the training is given all that it needs.

    Parameters
    ----------
    root : Path
        Of the bundle.
    configs : mapping
        Content by name in ``configs/``.
    data : DataList
        Divided.
    overwrite : bool
        Remove what another training left there.
    finish : bool
        Take a finished model of this very training too, which is to be completed anew.

    Yields
    ------
    bool
        Whether an unfinished training goes on.

    Raises
    ------
    InputError
        When the folder holds something else.
    WriteError
        When it cannot be written to.
    """
    with ExitStack() as undone:
        with _explained(root):
            anew = overwrite or not root.exists() or not any(root.iterdir())
            if anew:
                undone.enter_context(_set_aside(root))
            _fill(root, {name: _as_text(content) for name, content in configs.items()}, data, anew=anew, finish=finish)
        yield not anew and (root / CHECKPOINT).is_file()
    shutil.rmtree(root / _REPLACED, ignore_errors=True)


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"The model's folder '{root}' cannot be prepared.",
            f"The computer reports: {error.strerror or error}.",
            "Choose another folder.",
            details=repr(error),
        ) from error


@contextmanager
def _set_aside(root: Path) -> Iterator[None]:
    """Without what another training left there, until an error ends the block."""
    _check_replaceable(root)
    _put_back(root)  # of another time, that had no time to do so
    try:
        _move(root, root / _REPLACED)
        yield
    except BaseException:
        _put_back(root)
        raise


def _fill(root: Path, texts: Mapping[str, str], data: DataList, *, anew: bool, finish: bool) -> None:
    if not anew:
        _check_same(root, texts, data, finish=finish)
        # What judges and describes the model is written again; a completed model's pins would be wrong from here.
        (root / integrity.PINS).unlink(missing_ok=True)
        _write(root, texts)
        return
    for name in ("configs", "models", "docs", RUNS):
        (root / name).mkdir(parents=True, exist_ok=True)
    _write(root, texts)
    write_monai_list(data, root / DATALIST)


def _write(root: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (root / "configs" / name).write_text(text, encoding="utf-8")


def _move(source: Path, target: Path) -> None:
    """What a training writes, from one folder to another."""
    for name in _OURS:
        if (source / name).exists() or (source / name).is_symlink():
            target.mkdir(parents=True, exist_ok=True)
            (source / name).rename(target / name)


def _put_back(root: Path) -> None:
    """What was replaced, in place of what replaced it."""
    if not (root / _REPLACED).is_dir():
        return
    failed = root / f"{_REPLACED}.failed"
    shutil.rmtree(failed, ignore_errors=True)
    _move(root, failed)
    _move(root / _REPLACED, root)
    shutil.rmtree(failed, ignore_errors=True)
    (root / _REPLACED).rmdir()


def _check_same(root: Path, texts: Mapping[str, str], data: DataList, *, finish: bool) -> None:
    if integrity.is_pinned(root) and not finish:
        raise InputError(
            f"There is a finished model in '{root}' already.",
            "It would be replaced.",
            "Choose another folder, or ask for it to be overwritten (--overwrite).",
        )
    old = root / DATALIST
    same = _text(root / TRAINING) == texts[Path(TRAINING).name] and old.is_file()
    if same:
        fresh = old.with_name("datalist.new.json")
        write_monai_list(data, fresh)
        same = _text(fresh) == _text(old)
        fresh.unlink()
    if not same:
        raise InputError(
            f"The folder '{root}' is not empty.",
            "What it holds is not this training: the data, the parameters or the program have changed since.",
            "Choose another folder, or ask for it to be overwritten (--overwrite).",
        )


def _check_replaceable(root: Path) -> None:
    """Whoever names a folder of something else by mistake keeps its documents and models."""
    if (root / METADATA).is_file() or (root / TRAINING).is_file():
        return
    files = (path for name in _OURS for path in (root / name, *(root / name).rglob("*")) if path.is_file())
    found = next(files, None)
    if found is not None:
        raise InputError(
            f"The folder '{root}' is not overwritten.",
            f"It is no model, but holds something that would be lost, such as '{found.relative_to(root).as_posix()}'.",
            "Choose another folder, or empty this one yourself.",
        )


def history(root: Path) -> list[dict[str, float]]:
    """Rows of the training so far, one per epoch."""
    path = root / HISTORY
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []


def decide(root: Path, temperature: float, points: Sequence[OperatingPoint]) -> None:
    """Write into the configurations of a classifier how sure it is of what, and from where on it says yes.

    Parameters
    ----------
    root : Path
        Of the bundle, as `prepare` has made it.
    temperature : float
        By which its logits are divided.
    points : sequence of OperatingPoint

    Raises
    ------
    WriteError
        When the disk is full or read-only.
    """
    inference, metadata = (json.loads((root / name).read_text(encoding="utf-8")) for name in (INFERENCE, METADATA))
    inference["temperature"] = temperature
    metadata["medai"]["operating_point"] = [point.as_json() for point in points]
    try:
        _write(root, {Path(INFERENCE).name: _as_text(inference), Path(METADATA).name: _as_text(metadata)})
    except OSError as error:
        raise _incomplete(root.name, error) from error


def soften(root: Path, spread: Sequence[float], temperature: float) -> None:
    """Write into the configuration of a forecaster by what its scales are multiplied and its logits divided.

    Raises
    ------
    WriteError
        When the disk is full or read-only.
    """
    inference = json.loads((root / INFERENCE).read_text(encoding="utf-8"))
    inference |= {"spread": list(spread), "temperature": temperature}
    try:
        _write(root, {Path(INFERENCE).name: _as_text(inference)})
    except OSError as error:
        raise _incomplete(root.name, error) from error


def note_points(root: Path, points: Sequence[OperatingPoint]) -> None:
    """Write into a detector's description from which score on it shows something.

    Raises
    ------
    WriteError
        When the disk is full or read-only.
    """
    metadata = json.loads((root / METADATA).read_text(encoding="utf-8"))
    metadata["medai"]["operating_point"] = [point.as_json() for point in points]
    try:
        _write(root, {Path(METADATA).name: _as_text(metadata)})
    except OSError as error:
        raise _incomplete(root.name, error) from error


def complete(root: Path, *, card: str, licence: str, data_licence: str) -> None:
    """Write what belongs to the weights, and pin every file.

    Raises
    ------
    WriteError
        When the disk is full or read-only.
    """
    name = root.name
    try:
        (root / "docs").mkdir(exist_ok=True)
        (root / "docs" / "README.md").write_text(card, encoding="utf-8")
        (root / "docs" / "data_license.txt").write_text(f"{data_licence.strip()}\n", encoding="utf-8")
        (root / "LICENSE").write_text(_licence(name, licence), encoding="utf-8")
        (root / CHECKPOINT).unlink(missing_ok=True)
    except OSError as error:
        raise _incomplete(name, error) from error
    integrity.write_pins(root)


def _licence(name: str, licence: str) -> str:
    return (
        f"{name}\n\nLicence of the trained weights (models/model.pt): {licence}\n\n"
        "They were made from data with a licence of their own, see docs/data_license.txt. They come without warranty\n"
        "of any kind. This is not a medical device.\n"
    )


def _as_text(content: Mapping[str, Any]) -> str:
    """A configuration as its file holds it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _incomplete(name: str, error: OSError) -> WriteError:
    return WriteError(
        f"The model '{name}' is trained, but not all of its files could be written.",
        f"The computer reports: {error.strerror or error}.",
        "Free some space and give the same command again.",
        details=repr(error),
    )


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
