"""Read a bundle's JSON and YAML files without running anything in them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from medai.errors import BundleFormatError, DependencyError, MaliciousBundleError

SUFFIXES = (".json", ".yaml", ".yml")
_LIMIT_BYTES = 8 * 2**20  # ordinary configurations are under 100 kB
_LIMIT_YAML_BYTES = 2**17  # its reader takes seconds for each megabyte
_LIMIT_DEPTH = 60
_LIMIT_INCLUDES = 5
_LIMIT_FILES = 100  # parts taken from files, all together; files that name each other many times unfold endlessly
_INCLUDE = re.compile(r"%(?P<file>.*\.(?:json|yaml|yml))(?P<ids>::.*)?$", re.IGNORECASE | re.DOTALL)


def metadata(root: Path) -> dict[str, Any]:
    """Content of ``configs/metadata.json`` (or the older spelling with YAML).

    Raises
    ------
    BundleFormatError
        When it is missing or not a JSON object.
    """
    return read(find(root, "metadata"))


def find(root: Path, stem: str) -> Path:
    """Path of ``configs/<stem>.json|yaml|yml``.

    Raises
    ------
    BundleFormatError
        When the bundle has no such file.
    """
    found = all_named(root, stem)
    if not found:
        raise BundleFormatError(
            f"The model in '{root.name}' is incomplete.",
            f"It has no file configs/{stem}.json.",
            "Download or copy the model again, with all of its files.",
        )
    return found[0]


def all_named(root: Path, stem: str) -> list[Path]:
    """Every spelling of a config that exists; JSON first."""
    return [path for suffix in SUFFIXES if (path := root / "configs" / f"{stem}{suffix}").is_file()]


def inference(root: Path, stem: str = "inference") -> dict[str, Any]:
    """The bundle's inference configuration with what it takes from other files put in its place.

    MONAI opens such files relative to the folder the process happens to be in; here they are those of the bundle.

    Raises
    ------
    BundleFormatError
        When a file is missing or damaged.
    MaliciousBundleError
        When one lies outside of the bundle.
    """
    content = _included(root, read(find(root, stem)), 0, [])
    return content if isinstance(content, dict) else {}


def _included(root: Path, item: Any, depth: int, taken: list[str]) -> Any:
    if isinstance(item, dict):
        return {key: _included(root, value, depth, taken) for key, value in item.items()}
    if isinstance(item, list):
        return [_included(root, value, depth, taken) for value in item]
    match = _INCLUDE.match(item.replace("#", "::")) if isinstance(item, str) else None
    if match is None:
        return item
    name, ids = match["file"], (match["ids"] or "").removeprefix("::")
    taken.append(name)
    try:
        candidates = [(folder / name).resolve() for folder in (root, root / "configs")]
        path = next((path for path in candidates if path.is_file() and path.is_relative_to(root.resolve())), None)
    except (OSError, ValueError):  # a name that no file can have
        candidates, path = [root.resolve()], None
    if not candidates[0].is_relative_to(root.resolve()) or Path(name).is_absolute():
        raise MaliciousBundleError(
            f"The model '{root.name}' was refused for safety.",
            f"Its configuration takes settings from '{name}', which lies outside of the model.",
            "Do not use this copy of the model; get it from its authors.",
        )
    if path is None or depth > _LIMIT_INCLUDES or len(taken) > _LIMIT_FILES:
        raise BundleFormatError(
            f"The model in '{root.name}' is incomplete.",
            f"Its configuration takes settings from '{name[:200]}', which is missing or names too many others.",
            "Download or copy the model again, with all of its files.",
        )
    part: Any = read(path)
    for key in ids.split("::") if ids else []:
        try:
            part = part[int(key)] if isinstance(part, list) else part[key]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise _broken(path, f"It has no setting '{ids}'") from error
    return _included(root, part, depth + 1, taken)


def read(path: Path) -> dict[str, Any]:
    """Content of one JSON or YAML file.

    Duplicate keys are refused: two readers could take different ones, so what was checked might not be what runs.

    Raises
    ------
    BundleFormatError
        When the file cannot be read, is larger than 8 MB (YAML: 128 kB), or is not an object.
    MaliciousBundleError
        When a YAML tag asks for a Python object.
    """
    try:
        if path.stat().st_size > (_LIMIT_BYTES if path.suffix.lower() == ".json" else _LIMIT_YAML_BYTES):
            raise _broken(path, "It is far larger than any configuration needs to be")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, object_pairs_hook=_unique) if path.suffix.lower() == ".json" else _yaml(text, path)
    except OSError as error:
        raise _broken(path, "The file cannot be opened") from error
    except json.JSONDecodeError as error:
        raise _broken(path, f"It is damaged or incomplete near its line {error.lineno}") from error
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"It is damaged or not written correctly ({error})") from error
    if not isinstance(content, dict):
        raise _broken(path, "It does not hold named settings")
    if _depth(content) > _LIMIT_DEPTH:
        raise _broken(path, "Its settings are nested too deeply")
    if not _is_plain(content):
        raise _broken(path, "It holds more than text, numbers, lists and named settings")
    return content


def strings(content: object, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every string value with the keys that lead to it."""
    if isinstance(content, str):
        yield keys, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from strings(value, (*keys, str(key)))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from strings(value, (*keys, str(number)))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{', '.join(sorted(twice)[:3])} written twice")
    return dict(pairs)


def _yaml(text: str, path: Path) -> object:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"The file {path.name} of a model cannot be read yet.",
            "It is written in YAML, and the Python package pyyaml is not installed.",
            "Install pyyaml (in Slicer: press Apply in the MedAI Segmentation panel and agree to the installation).",
        ) from error

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names = [str(self.construct_object(key, deep=True)) for key, _ in node.value if "merge" not in key.tag]
            _unique([(name, None) for name in names])
            return super().construct_mapping(node, deep)

        def compose_node(self, parent: Any, index: Any) -> Any:
            # Aliases are refused: a few lines of them unfold into gigabytes.
            if self.check_event(yaml.events.AliasEvent):
                raise ValueError("it repeats parts by alias, which is not supported")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except yaml.constructor.ConstructorError as error:
        if "python" in str(error):
            raise MaliciousBundleError(
                f"The model in '{path.parent.parent.name}' was refused for safety.",
                f"Its file {path.name} asks for Python objects to be built from text.",
                "Do not use this copy of the model; get it from its authors.",
            ) from error
        raise ValueError(str(error).splitlines()[0]) from error
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    except (KeyError, IndexError, TypeError, AttributeError) as error:  # values that do not fit their YAML tag
        raise ValueError(f"a value does not fit its tag: {error!r}") from error


def _is_plain(content: object) -> bool:
    """Whether all of it is what JSON can hold; YAML has tuples, sets and dates, which checks would pass over."""
    stack = [content]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if not all(isinstance(key, (str, int, float)) for key in item):
                return False
            stack += item.values()
        elif isinstance(item, list):
            stack += item
        elif not (item is None or isinstance(item, (str, int, float, date))):
            return False
    return True


def _depth(content: object) -> int:
    deepest, stack = 0, [(content, 1)]
    while stack:
        item, depth = stack.pop()
        deepest = max(deepest, depth)
        if isinstance(item, (dict, list)) and depth <= _LIMIT_DEPTH:
            values = item.values() if isinstance(item, dict) else item
            stack += [(value, depth + 1) for value in values]
    return deepest


def _broken(path: Path, why: str) -> BundleFormatError:
    return BundleFormatError(
        f"The model in '{path.parent.parent.name}' cannot be used.",
        f"Its file {path.name} cannot be read. {why}.",
        "Download or copy the model again, or ask its authors for a correct one.",
    )
