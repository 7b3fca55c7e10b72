"""May a bundle's configuration be evaluated? Read first, evaluated only when harmless or trusted by its hash.

A MONAI configuration is a program: ``_target_`` calls what it names, ``$`` is evaluated as Python. Here it is read
without being run, and everything that is not known to be harmless is refused (`medai.bundles.allowed` says what is)
until a person has read it and trusted these very files. Trust is kept by SHA-256, so a changed file loses it. What no
honest model needs is refused for good.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medai.bundles import allowed, components, configs
from medai.bundles.encoders import ENCODE
from medai.bundles.exchanges import EXCHANGE, exchange_findings
from medai.bundles.expressions import Finding, check, check_argument, check_import, check_path, references
from medai.bundles.integrity import CODE, digest
from medai.bundles.labels import plain_text
from medai.bundles.live import is_live, live_ids, parts
from medai.bundles.own_transforms import OWN_TRANSFORMS, argument_findings
from medai.errors import BundleTamperedError, MaliciousBundleError, UntrustedBundleError, WriteError

_TARGET = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")
_KEY = re.compile(r"\w+")


def check_config(root: Path | str, *, stem: str = "inference") -> None:
    """Refuse a bundle whose configuration would run code that nobody has trusted.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    stem : str
        Which configuration: ``"inference"``, or ``"train"``, ``"evaluate"`` on request.

    Raises
    ------
    UntrustedBundleError
        When it goes beyond monai, torch and numpy; it can be trusted after reading.
    MaliciousBundleError
        When it does what no honest model needs.
    BundleFormatError
        When the configuration is missing or damaged.
    """
    checked(root, stem=stem)


def checked(root: Path | str, *, stem: str = "inference") -> tuple[dict[str, Any], dict[str, Any]]:
    """As `check_config`, and what was checked, to be used as it is: read again, a file could hold something else.

    Returns
    -------
    content : dict
        The configuration, with what it takes from other files put in its place.
    metadata : dict
        Empty when the bundle has none.
    """
    root = Path(root)
    # Paths that leave the bundle are refused even when it is trusted.
    content = configs.inference(root, stem)
    metadata = [configs.read(path) for path in configs.all_named(root, "metadata")]
    if not is_trusted(root):
        _raise([*_metadata_findings(metadata), *_stray_code(root), *findings(content)], root)
    elif (configs.inference(root, stem), [configs.read(p) for p in configs.all_named(root, "metadata")]) != (
        content,
        metadata,
    ):
        raise BundleTamperedError(
            f"The model '{root.name}' changed while it was being read, so it is not used.",
            "Its configuration is not the one that was trusted.",
            "Try again once nothing writes to its folder any more.",
        )
    return content, metadata[0] if metadata else {}


def findings(content: Mapping[str, Any], root: Path | None = None) -> list[Finding]:
    """Everything in a configuration that is not known to be harmless.

    Parameters
    ----------
    content : mapping
        The configuration, parsed.
    root : Path, optional
        The bundle's folder; its metadata, which MONAI reads as a part of the configuration, and stray code in it are
        looked at as well.
    """
    found = _beside(root) if root else []
    strings = list(configs.strings(content))
    relative = any(re.search(r"[@%](#|::)", text) for _, text in strings)
    if relative and any(not _KEY.fullmatch(key) for key in _keys(content)):
        found.append(Finding("", "mixes relative references with unusual names, which cannot be checked"))
    macros = any(text.startswith("%") for _, text in strings)
    # Where it cannot be told what refers to what, everything is held to be live.
    paths = any("::" in key or "#" in key for key in _keys(content))
    live = None if paths or (relative and macros) else live_ids(content)
    modules: dict[str, str] = {}
    for keys, text in strings:
        if _is_import(text):
            bound, wrong = check_import(text, "::".join(keys))
            found += wrong
            if parts(keys)[:1] != ["imports"]:
                found.append(Finding("::".join(keys), "imports code outside of the list of imports"))
            for name, dotted in bound.items():
                if modules.setdefault(name, dotted) != dotted:
                    found.append(Finding("::".join(keys), f"gives the name '{name}' two meanings", harmful=True))
    for keys, text in strings:
        found += _string_findings(keys, text, modules, live=is_live(keys, live))
    for keys, item in _objects(content):
        found += _object_findings(keys, item, live=is_live(keys, live))
        target = item.get("_target_")
        if isinstance(target, str) and target in OWN_TRANSFORMS:
            found += argument_findings(item, "::".join(keys), plain=not paths and not _merges(content))
        if target == EXCHANGE:
            found += exchange_findings(item, content, "::".join(keys), plain=not paths and not _merges(content))
    return list(dict.fromkeys(found))


def concerns(root: Path | str) -> tuple[str, ...]:
    """What a person should read before trusting a bundle: one sentence per finding, empty when there is nothing."""
    root = Path(root)
    return tuple(f"{_sentence(item, 'It')}." for item in _findings_of(root))


def _findings_of(root: Path) -> list[Finding]:
    """Of every configuration that is evaluated here."""
    found = findings(configs.inference(root), root)
    if configs.all_named(root, ENCODE):
        found += findings(configs.inference(root, ENCODE))
    return list(dict.fromkeys(found))


def is_trusted(root: Path | str) -> bool:
    """Whether a person has trusted exactly these files."""
    trusted = _read_store()
    return bool(trusted) and digest(Path(root)) in trusted


def trust(root: Path | str) -> str:
    """Trust a bundle as it is now, after a person has read its configuration and scripts.

    Returns
    -------
    str
        The hash under which it is trusted; a changed file has another one.

    Raises
    ------
    MaliciousBundleError
        When it does what no honest model needs, or holds compiled code that nobody can read.
    """
    root = Path(root)
    harmful = [finding for finding in _findings_of(root) if finding.harmful]
    _raise(harmful, root)
    compiled = [path.name for path in root.rglob("*") if path.suffix in CODE - {".py"} and path.is_file()]
    if compiled:
        raise MaliciousBundleError(
            f"The model '{root.name}' cannot be trusted.",
            f"It holds compiled code that nobody can read ({compiled[0]}).",
            "Remove that file, or get the model from its authors again.",
        )
    value = digest(root)
    _write_store({**_read_store(), value: root.name})
    return value


def revoke(root: Path | str) -> bool:
    """Take trust back; whether the bundle was trusted."""
    trusted = _read_store()
    known = trusted.pop(digest(Path(root)), None) is not None
    if known:
        _write_store(trusted)
    return known


def store_path() -> Path:
    """File that keeps the trusted hashes: ``MEDAI_TRUST``, else in the user's configuration folder."""
    if os.environ.get("MEDAI_TRUST"):
        return Path(os.environ["MEDAI_TRUST"])
    import platformdirs

    return Path(platformdirs.user_config_dir("medai", appauthor=False)) / "trusted.json"


def _read_store() -> dict[str, str]:
    try:
        content = json.loads(store_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, ModuleNotFoundError):
        return {}  # no list, a damaged one, or a fresh Slicer that lacks platformdirs: nothing is trusted
    return {str(key): str(value) for key, value in content.items()} if isinstance(content, dict) else {}


def _write_store(content: Mapping[str, str]) -> None:
    path = store_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise WriteError(
            "The list of trusted models cannot be written.",
            f"The system says: {error.strerror or error} ({path}).",
            "Free some disk space, or check that you may write to that folder.",
        ) from error


def _sentence(item: Finding, alone: str) -> str:
    where = plain_text(item.where)
    return plain_text(f"'{where}' {item.what}" if where else f"{alone} {item.what}", 500)


def _raise(found: list[Finding], root: Path) -> None:
    harmful = [finding for finding in found if finding.harmful]
    shown = [_sentence(item, "it") for item in (harmful or found)[:3]]
    more = len(harmful or found) - len(shown)
    why = "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
    if harmful:
        raise MaliciousBundleError(
            f"The model '{root.name}' was refused for safety.",
            f"Its configuration does what no honest model needs: {why}.",
            "Do not use this copy of the model; get it from its authors, and tell them.",
        )
    if found:
        raise UntrustedBundleError(
            f"The model '{root.name}' would run code of its own, and nobody has trusted it yet.",
            f"In its configuration, {why}.",
            f"Read what it does with 'medai models show {root.name}'; if you trust its authors, "
            f"allow exactly these files with 'medai models trust {root.name}'.",
        )


def _beside(root: Path) -> list[Finding]:
    metadata = [configs.read(path) for path in configs.all_named(root, "metadata")]
    return _metadata_findings(metadata) + _stray_code(root)


def _metadata_findings(metadata: Sequence[Mapping[str, Any]]) -> list[Finding]:
    # MONAI puts the metadata into the configuration, where its texts are evaluated like any other.
    found = []
    for content in metadata:
        for keys, text in configs.strings(content):
            if text.startswith(("$", "%")) or "_target_" in keys[-1:]:
                found.append(Finding("::".join(("metadata", *keys)), "is code, where only a description belongs"))
    return found


def _stray_code(root: Path) -> list[Finding]:
    """Python files where they could take the place of another package; ``scripts`` and ``docs`` cannot."""
    found = []
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.suffix.lower() in CODE and relative.parts[0] not in ("scripts", "docs"):
            found.append(Finding(relative.as_posix(), "is code of the model's own"))
    return found


def _string_findings(keys: tuple[str, ...], text: str, modules: Mapping[str, str], *, live: bool) -> list[Finding]:
    where = "::".join(keys)
    found: list[Finding] = []
    for name in references(text):
        parts = [part for part in name.split("::") if part]
        if not parts or "imports" in parts:
            found.append(Finding(where, "refers to its imports or to itself as a whole", harmful=True))
    if text.startswith("%"):
        parts = [part for part in text[1:].replace("#", "::").split("::") if part]
        if not parts or "imports" in parts:
            found.append(Finding(where, "copies its imports or itself as a whole", harmful=True))
    elif text.startswith("$"):
        reader = keys[-1:] in (("reader",), ("writer",)) and re.fullmatch(r"\$monai\.data\.(\w+)", text)
        if not _is_import(text) and not (reader and _known_reader(reader[1], where)):
            found += check(text, where, modules, live=live)
    elif live or keys[-1:] == ("load_path",):
        found += check_path(text, where)
    return found


def _object_findings(keys: tuple[str, ...], item: Mapping[str, Any], *, live: bool) -> list[Finding]:
    found: list[Finding] = []
    for key, value in item.items():
        where = "::".join((*keys, str(key)))
        leaf = parts((str(key),))[-1]
        if leaf == "_target_":
            found += _target_findings(value, item, where, live=live)
        elif leaf == "_mode_" and value not in ("default", "callable"):
            found.append(Finding(where, f"asks for the mode '{value}'", harmful=str(value) == "debug"))
        elif leaf == "_mode_" and value == "callable" and _is_guarded(item):
            found.append(Finding(where, "hands out a part whose arguments are known only once it runs"))
        elif leaf == "_debug_":
            found.append(Finding(where, "asks to stop in a debugger", harmful=True))
        else:
            found += check_argument(leaf, value, where)
    return found


def _target_findings(target: object, item: Mapping[str, Any], where: str, *, live: bool) -> list[Finding]:
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        return [Finding(where, f"calls '{target}', which is known only once it runs")]
    name = target.rpartition(".")[2]
    a_reader = _known_reader(name, where) and components.is_plain(name) and target in (name, f"monai.data.{name}")
    if a_reader or target in OWN_TRANSFORMS or target == EXCHANGE:  # whose arguments are looked at together
        return []
    harmful = _dotted_harm(target, where, live=live) if "." in target else _plain_harm(target)
    if harmful is not None:
        return [Finding(where, f"calls '{target}', which is not a harmless part of MONAI, torch or numpy", harmful)]
    if live and allowed.FILE_CLASSES.fullmatch(name):
        return [Finding(where, f"calls '{target}', which reads or writes files")]
    if live and name in allowed.DOWNLOADING and item.get("pretrained") is not False:
        return [Finding(where, f"calls '{target}', which downloads files unless told otherwise")]
    return []


def _is_guarded(item: Mapping[str, Any]) -> bool:
    """Whether it is of a class that is harmless with some arguments only."""
    name = str(item.get("_target_", "")).rpartition(".")[2]
    guarded = (allowed.LOADERS.fullmatch(name), allowed.FILE_CLASSES.fullmatch(name), re.match(r"resnet\d", name))
    return any(guarded) or name in allowed.DOWNLOADING


def _plain_harm(name: str) -> bool | None:
    """None when a bare name is harmless, else whether no honest model needs it."""
    if components.is_plain(name):
        return None
    return name in allowed.HARMFUL_BUILTINS or name in allowed.HARMFUL_MODULES


def _dotted_harm(target: str, where: str, *, live: bool) -> bool | None:
    """None when a dotted name is harmless, else whether no honest model needs it."""
    parts = tuple(target.split("."))
    if parts[0] == "monai" and components.split_member(parts) == len(parts):
        return None
    # An expression made of the same name is held to the same list; a name beyond it is not known there at all.
    names = {name: name for name in ("os", "sys", *allowed.HARMFUL_MODULES)}
    wrong = check(f"${target}", where, names, live=live)
    if not wrong and parts[0] != "monai":
        return None
    return any(finding.harmful for finding in wrong)


def _known_reader(name: str, where: str) -> bool:
    keys = parts((where,))
    return name in allowed.READERS | allowed.WRITERS and any(key in ("reader", "writer") for key in keys)


def _is_import(text: str) -> bool:
    # MONAI imports wherever the first statement of an expression is an import.
    return text.startswith("$") and re.match(r"\$\s*(import|from)\b", text) is not None


def _merges(content: object) -> bool:
    """Whether a setting is laid over another of the same name."""
    return any(key.startswith("+") for key in _keys(content))


def _keys(content: object) -> Iterator[str]:
    for _, item in _objects(content):
        yield from (str(key) for key in item)


def _objects(content: object, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if isinstance(content, Mapping):
        yield keys, content
        for key, value in content.items():
            yield from _objects(value, (*keys, str(key)))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _objects(value, (*keys, str(number)))
