"""The models on this computer: where they lie, what they are, and how new ones come in.

Three places are searched, in this order; of several models with one name the first counts:

1. the folders in the environment variable ``MEDAI_MODELS`` (separated like those in ``PATH``),
2. the user's own folder, into which models are imported,
3. the models that came with medai: ``shipped_models`` inside the package when it was installed with pip,
   ``Resources/Models`` beside the package in a Slicer extension, ``models`` of the repository in a checkout.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import re
import shutil
import tempfile
from pathlib import Path

from medai.bundles import configs
from medai.bundles import trust as trusting
from medai.bundles.archive import bundle_in, extract, full
from medai.bundles.description import Description, describe
from medai.bundles.encoders import ENCODE
from medai.bundles.integrity import check_pins, is_pinned, write_pins
from medai.bundles.quantized import int8_of
from medai.bundles.weights import weights_path
from medai.errors import BundleNotFoundError, InputError, MaliciousBundleError, MedAIError, UntrustedBundleError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


def models() -> tuple[Description, ...]:
    """All models that are found, by name. One that cannot be used is listed with the reason in its `problem`."""
    found: dict[str, Description] = {}
    for folder in folders():
        for root in _bundles_in(folder):
            if root.name not in found:
                found[root.name] = described(root)
    return tuple(sorted(found.values(), key=lambda model: model.name.lower()))


def find(name: str | Path) -> Path:
    """Folder of a model.

    Parameters
    ----------
    name : str or Path
        Its name, or the path of any bundle folder. A model's name is not taken for that of a folder.

    Raises
    ------
    BundleNotFoundError
        When there is none; names that are nearly the same are said.
    """
    text = str(name)
    path = Path(text).expanduser()
    is_place = _is_place(text)
    if (isinstance(name, Path) or is_place) and (path / "configs").is_dir():
        return path.resolve()
    if is_place:
        raise BundleNotFoundError(
            f"There is no model at '{text}'.",
            "The folder has no 'configs' in it, so it is no MONAI bundle."
            if path.is_dir()
            else "There is no such folder.",
            "Give the folder of a MONAI bundle, or the name of a model from 'medai models list'.",
        )
    known = _known()
    if text in known:
        return known[text].resolve()
    if (path / "configs").is_dir():  # such as the one that a training has just made in the working folder
        return path.resolve()
    lowered = {key.lower(): key for key in known}
    near = [lowered[key] for key in difflib.get_close_matches(text.lower(), lowered, n=3, cutoff=0.5)]
    near = near or sorted(key for key in known if text.lower() in key.lower())[:3]
    remedy = (
        f"Did you mean {' or '.join(repr(key) for key in near)}?" if near else "See 'medai models list' for all models."
    )
    if not known:
        remedy = "Import one with 'medai models import', or set MEDAI_MODELS to a folder of models."
    raise BundleNotFoundError(
        f"There is no model '{text}'.",
        f"{len(known)} model{'s were' if len(known) != 1 else ' was'} found, none of that name.",
        remedy,
    )


def _known() -> dict[str, Path]:
    """Every model's folder by its name; of several with one name the first."""
    return {root.name: root for folder in reversed(folders()) for root in _bundles_in(folder)}


def _is_place(text: str) -> bool:
    # "./model" is a folder, though Path forgets the dot.
    return len(Path(text).expanduser().parts) > 1 or text.startswith(".")


def located(name: str) -> str:
    """How a process that runs in another folder finds a model, too: by the same name, or by the place of its folder.

    Raises
    ------
    BundleNotFoundError
        As `find`.
    """
    if not name:
        return ""
    found = find(name)
    return name if not _is_place(name) and name in _known() else str(found)


def folders() -> tuple[Path, ...]:
    """Folders of models that exist, in the order in which they are searched."""
    named = [Path(part).expanduser() for part in os.environ.get("MEDAI_MODELS", "").split(os.pathsep) if part.strip()]
    return tuple(dict.fromkeys(path for path in [*named, *_own_folder(), *shipped_folders()] if path.is_dir()))


def shipped_folders() -> list[Path]:
    """Where the models that came with medai are looked for."""
    package = Path(__file__).resolve().parents[1]
    shipped = [package / "shipped_models", package.parent / "Resources" / "Models"]
    # In a checkout the package lies two levels below the repository; elsewhere that folder could be anybody's.
    checkout = package.parents[1]
    if (checkout / "pyproject.toml").is_file() and (checkout / "SlicerMedAI" / "medai").resolve() == package:
        shipped.append(checkout / "models")
    return shipped


def _own_folder() -> list[Path]:
    try:
        return [user_folder()]
    except ModuleNotFoundError:
        # A fresh Slicer, whose panel lists the shipped models before anybody has agreed to install platformdirs.
        return []


def user_folder() -> Path:
    """Where imported models go (``MEDAI_HOME`` + ``models`` when that variable is set)."""
    if os.environ.get("MEDAI_HOME"):
        return Path(os.environ["MEDAI_HOME"]) / "models"
    import platformdirs

    return Path(platformdirs.user_data_dir("medai", appauthor=False)) / "models"


def import_bundle(
    source: str | Path, name: str | None = None, *, trust: bool = False, replace: bool = False
) -> Description:
    """Copy a model into the user's folder: all of it, or nothing.

    Parameters
    ----------
    source : str or Path
        A bundle's folder or zip file.
    name : str, optional
        Under which it is kept; its folder's or zip file's name by default.
    trust : bool
        Trust its configuration and scripts by their hash; only after somebody has read them.
    replace : bool
        Take the place of a model of that name.

    Returns
    -------
    Description
        Of the imported model. When nobody has trusted a configuration that runs code of its own, the model is
        imported but its `problem` says so.

    Raises
    ------
    MaliciousBundleError, BundleFormatError, BundleTamperedError
        When it must not or cannot be used.
    InputError
        When the name cannot be a folder's, is taken, or the source does not exist.
    WriteError
        When the disk is full or read-only; nothing is left behind.
    """
    source = Path(source).expanduser()
    if not source.exists():
        raise InputError(f"'{source}' does not exist.", "There is no such file or folder.", "Check the path.")
    target = user_folder() / _checked_name(name or (source.resolve().name if source.is_dir() else source.stem))
    if not replace:
        # One that came with medai counts, too: whoever asks for it by name must not get somebody else's unawares.
        taken = [folder for folder in (target.parent, *folders()) if (folder / target.name).exists()]
        if taken:
            raise _taken(target.name, taken[0])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # On the same disk as the target, so that the last step is a rename.
        workplace = Path(tempfile.mkdtemp(prefix=".import-", dir=target.parent))
    except OSError as error:
        raise full(target.name, error) from error
    try:
        root = _copied(source, workplace, target.name)
        _check(root)
        if not is_pinned(root):
            write_pins(root)
        if trust:
            trusting.trust(root)
        _move(root, target, workplace, replace=replace)
    except OSError as error:
        raise full(target.name, error) from error
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    return described(target)


def _bundles_in(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".") and (path / "configs").is_dir()]
    except OSError:
        return []  # a folder on a drive that is gone
    return sorted(found)


def described(root: Path) -> Description:
    """What a bundle says about itself; in its `problem`, why it cannot be used. Never raises for a broken one."""
    try:
        description = describe(root)
    except MedAIError as error:
        return Description(name=root.name, root=root, title=root.name, task="other", problem=str(error))
    except Exception as error:
        return Description(name=root.name, root=root, title=root.name, task="other", problem=_unforeseen(error))
    try:
        configs.find(root, "inference")
        weights_path(root)
        # What came with medai was checked before; a list must open at once. The run checks it again.
        if root.parent not in shipped_folders():
            trusting.check_config(root)
        problem = ""
    except MedAIError as error:
        problem = str(error)
    except OSError as error:
        problem = f"The files of this model cannot be read: {error.strerror or error}."
    except Exception as error:
        problem = _unforeseen(error)
    return dataclasses.replace(description, problem=problem)


def _unforeseen(error: Exception) -> str:
    # One strange bundle must not take the list of all others from the person.
    return f"Its files cannot be understood ({type(error).__name__}). Import or download the model again."


def _checked_name(name: str) -> str:
    name = name.strip().replace(" ", "_")
    if not _NAME.fullmatch(name) or name.endswith(".") or name.upper() in ("CON", "PRN", "AUX", "NUL"):
        raise InputError(
            f"'{name}' cannot be the name of a model.",
            "Names begin with a letter or digit and hold only letters, digits, points, hyphens and underscores.",
            "Choose another name.",
        )
    return name


def _copied(source: Path, workplace: Path, name: str) -> Path:
    unpacked = workplace / "unpacked"
    unpacked.mkdir()
    if source.is_file():
        root = extract(source, unpacked)
    else:
        found = bundle_in(source.resolve(), source.name)
        _refuse_links(found)
        root = unpacked / name
        shutil.copytree(found, root, ignore=shutil.ignore_patterns("__pycache__", ".git"))
    for cache in list(root.rglob("__pycache__")):
        shutil.rmtree(cache)
    # Errors name the bundle by its folder.
    named = workplace / name
    root.rename(named)
    return named


def _refuse_links(root: Path) -> None:
    real = os.path.realpath(root)
    for path in root.rglob("*"):
        if not path.is_symlink():
            continue
        # A link to a folder within the model may lead in a circle, and a copy would follow it until the disk is full.
        if path.is_dir() or not os.path.realpath(path).startswith(f"{real}{os.sep}"):
            where = "another folder" if path.is_dir() else "a place outside of the model"
            raise MaliciousBundleError(
                f"The model '{root.name}' was refused for safety.",
                f"Its part '{path.relative_to(root)}' is a link to {where}.",
                "Copy the files themselves, or get the model from its authors.",
            )


def _check(root: Path) -> None:
    """What can be checked without running anything. Lacking trust is no reason not to import: it can be given later."""
    from medai.bundles.weights import load_state_dict

    describe(root)
    check_pins(root)
    with contextlib.suppress(UntrustedBundleError):
        trusting.check_config(root)
    load_state_dict(root)
    int8_of(root)
    if configs.all_named(root, ENCODE):
        load_state_dict(root, stem=ENCODE)


def _taken(name: str, folder: Path) -> InputError:
    return InputError(
        f"There is a model '{name}' already.",
        f"It lies in {folder}.",
        "Give the new one another name (--name on the command line), or let it take the place of that one (--replace).",
    )


def _move(root: Path, target: Path, workplace: Path, *, replace: bool) -> None:
    old = workplace / "replaced"
    if target.exists():
        if not replace:  # somebody else has imported one of that name meanwhile
            raise _taken(target.name, target.parent)
        target.rename(old)
    try:
        root.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
