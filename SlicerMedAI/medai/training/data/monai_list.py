"""MONAI data lists and the ``dataset.json`` of the Medical Segmentation Decathlon, which is the same thing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medai.errors import ReadError, WriteError
from medai.files import formats
from medai.training.data.datalist import DataList, relative_text
from medai.training.data.documents import read_json
from medai.training.data.item import SPLITS, TEST, TRAINING, VALIDATION, ArrayReference, DataItem, Source, parse_source

FORMAT = 1
_PATIENT_KEYS = ("patient", "patient_id", "PatientID", "subject", "subject_id")
_OWN_KEYS = ("name", "fold", "sha256", *_PATIENT_KEYS)
_OTHER_NAMES = {"train": TRAINING, "val": VALIDATION, "testing": TEST}


def read_monai_list(path: Path, *, base_dir: Path | None = None, task: str = "", patient: str = "") -> DataList:
    """Read a JSON data list.

    Parameters
    ----------
    path : Path
        ``{"training": [{"image": ..., "label": ..., "fold": 0}, ...], "validation": [...], "test": [...]}``. Entries of
        ``"test"`` may be plain paths. Names of classes as labels are numbered in alphabetical order.
    base_dir : Path, optional
        What relative paths are relative to; the file's own folder unless given.
    task : str
        What to train for, where the labels alone do not tell.
    patient : str
        Key of the patient in each entry; the usual ones are tried unless given.

    Raises
    ------
    ReadError
        When the file is not such a list.
    """
    content = read_json(path)
    root = Path(base_dir or path.parent)
    if not is_monai_list(content):
        raise _not_a_list(path, "It has no list named 'training', 'validation' or 'test'.")
    own = content["medai"] if isinstance(content.get("medai"), Mapping) else {}
    notes = own.get("notes")
    undecided = own.get("split") is False
    items = []
    for part, entries in content.items():
        split = _OTHER_NAMES.get(part, part)
        if split in SPLITS and isinstance(entries, list):
            keys = (patient,) if patient else _PATIENT_KEYS
            items += [_item(path, root, entry, "" if undecided else split, keys) for entry in entries]
    names = _label_names(content.get("labels"))
    items, names = _numbered(items, names)
    data = DataList(
        tuple(items),
        task or str(own.get("task") or _task_of(items)),
        names,
        bool(own.get("multi_label", any(_is_findings(item) for item in items))),
        root,
        str(content.get("name") or path.stem),
        tuple(str(note) for note in notes) if isinstance(notes, list) else (),
    )
    leaving = leaves_folder(data)
    return data.with_items(data.items, *((leaving,) if leaving else ()))


def is_monai_list(content: object) -> bool:
    """Whether the content of a JSON file is a data list."""
    parts = {*SPLITS, *_OTHER_NAMES}
    return isinstance(content, Mapping) and any(isinstance(content.get(part), list) for part in parts)


def is_decathlon(content: object) -> bool:
    """Whether a data list is one of the Medical Segmentation Decathlon, by what only its lists say."""
    return is_monai_list(content) and isinstance(content, Mapping) and {"modality", "labels"} <= set(content)


def write_monai_list(data: DataList, path: str | os.PathLike[str]) -> Path:
    """Save a data list for MONAI (`monai.data.load_decathlon_datalist`), Auto3DSeg and `read_monai_list`.

    Paths are relative to the file's folder where the file system allows. Cases without a part are saved as
    ``"training"``; ``medai.split`` is then false. Entries carry ``sha256``, the content hashes that
    `medai.training.data.check.check` has found or checked, where the items have them.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    WriteError
        When the folder cannot be written to. An older file of that name is then still there.
    """
    target = Path(path).absolute()
    content: dict[str, Any] = {
        "name": data.name,
        "labels": {str(value): name for value, name in data.label_names.items()},
        "numTraining": sum(item.split in ("", TRAINING) for item in data),
        "numTest": sum(item.split == TEST for item in data),
        "medai": {
            "format": FORMAT,
            "task": data.task,
            "multi_label": data.multi_label,
            "split": data.is_split or not len(data),
            "notes": list(data.notes),
        },
    }
    for part in SPLITS:
        wanted = (part, "") if part == TRAINING else (part,)
        content[part] = [_entry(item, target.parent) for item in data if item.split in wanted]
    try:
        with tempfile.TemporaryDirectory(prefix=".medai-", dir=target.parent, ignore_cleanup_errors=True) as folder:
            whole = Path(folder) / target.name
            whole.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
            whole.replace(target)
    except (TypeError, ValueError) as error:
        raise WriteError(
            f"The data list '{target.name}' could not be saved.",
            "A value of a case is infinite, or something that JSON cannot hold.",
            "Check the data (medai.training.data.check), and leave such cases out.",
            details=repr(error),
        ) from error
    except OSError as error:
        raise WriteError(
            f"The data list '{target.name}' could not be saved.",
            f"The folder '{target.parent}' cannot be written to: {error.strerror or error}.",
            "Choose another folder, or free some space.",
            details=repr(error),
        ) from error
    return target


def leaves_folder(data: DataList) -> str:
    """A sentence on the cases whose files lie outside of the list's own folder; empty when there are none."""
    outside = []
    for item in data:
        for source in (source for sources in item.files.values() for source in sources):
            text = data.relative(source)
            if text.startswith("../") or text == ".." or Path(text).is_absolute():
                outside.append((item.name, text))
                break
    if not outside:
        return ""
    name, text = outside[0]
    return (
        f"{len(outside)} of {len(data)} cases have files outside of the list's folder, such as '{name}': "
        f"'{Path(text).name}'. "
        "Use the list only if you know who made it."
    )


def _entry(item: DataItem, folder: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for key, sources in item.files.items():
        texts = [relative_text(source, folder) for source in sources]
        entry[key] = texts[0] if len(texts) == 1 else texts
    entry.update(item.values)
    entry["name"] = item.name
    # An empty text would be taken for a path by MONAI.
    entry.update({"patient": item.patient} if item.patient else {})
    entry.update({"fold": item.fold} if item.fold is not None else {})
    entry.update({"sha256": item.digests} if item.digests else {})
    return entry


def _item(path: Path, root: Path, entry: object, split: str, patient_keys: Sequence[str]) -> DataItem:
    if isinstance(entry, str):
        entry = {"image": entry}
    if not isinstance(entry, Mapping):
        raise _not_a_list(path, f"An entry of '{split}' is neither a path nor a set of named values.")
    files: dict[str, tuple[Source, ...]] = {}
    values: dict[str, object] = {}
    for key, value in entry.items():
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and texts and all(isinstance(t, str) and _is_file(key, t, root) for t in texts):
            files[key] = tuple(_normal(parse_source(text, root)) for text in texts)
        elif key not in _OWN_KEYS:
            values[key] = value
    first = next((str(source) for sources in files.values() for source in sources), "")
    patient = next((str(entry[key]) for key in patient_keys if entry.get(key) not in (None, "")), "")
    fold, digests = entry.get("fold"), entry.get("sha256")
    return DataItem(
        str(entry.get("name") or formats.stem(Path(first)) or patient or "case"),
        files,
        values,
        patient,
        split,
        fold if isinstance(fold, int) else None,
        {str(k): str(v) for k, v in digests.items()} if isinstance(digests, Mapping) else {},
    )


def _is_file(key: str, text: str, root: Path) -> bool:
    """Whether a text in a list names a file: the image always does; a label may be the name of a class.

    What an image is to be made into may be a folder, too, of DICOM slices.
    """
    if not text or key in ("name", *_PATIENT_KEYS):
        return False
    if key == "image":
        return True
    source = parse_source(text, root)
    if isinstance(source, ArrayReference) or formats.suffix(source) in (*formats.READABLE, ".dcm"):
        return True
    return key == "target" and source.is_dir()


def _normal(source: Source) -> Source:
    """Without ``./`` and ``a/../``, so that equal files have equal paths."""
    if isinstance(source, ArrayReference):
        return ArrayReference(Path(os.path.normpath(source.path)), source.array, source.index)
    return Path(os.path.normpath(source))


def _label_names(labels: object) -> dict[int, str]:
    """``{"0": "background"}`` as MSD writes it, or ``{"background": 0}`` as nnU-Net does; a list of names, too."""
    if isinstance(labels, list):
        return {number: str(name) for number, name in enumerate(labels)}
    names = {}
    for key, value in labels.items() if isinstance(labels, Mapping) else ():
        if isinstance(value, int) and not str(key).lstrip("-").isdecimal():
            names[value] = str(key)
        elif str(key).isdecimal() and isinstance(value, str):
            names[int(key)] = value
    return names


def _numbered(items: list[DataItem], names: dict[int, str]) -> tuple[list[DataItem], dict[int, str]]:
    """Give numbers to labels that are names of classes."""
    classes = sorted({item.label for item in items if isinstance(item.label, str)})
    if not classes:
        return items, names
    known = {name: value for value, name in names.items()}
    if not set(classes) <= set(known):
        known = {name: number for number, name in enumerate(classes)}
    named = [i.with_values(label=known[i.label]) if isinstance(i.label, str) else i for i in items]
    return named, {value: name for name, value in known.items()}


def _is_findings(item: DataItem) -> bool:
    return isinstance(item.label, tuple) and "box" not in item.values and len(item.label) > 0


def _task_of(items: Sequence[DataItem]) -> str:
    if any("label" in item.files for item in items):
        return "segment"
    if any("box" in item.values for item in items):
        return "detect"
    labels = [item.label for item in items if item.label is not None]
    if any(isinstance(label, float) for label in labels):
        return "regress"
    return "classify" if labels else ""


def _not_a_list(path: Path, why: str) -> ReadError:
    return ReadError(
        f"'{path.name}' is not a data list.",
        why,
        "Use a MONAI data list or the 'dataset.json' of a Medical Segmentation Decathlon task.",
    )
