"""Look into a file of weights without unpickling it: what it names, and whether its parts are whole."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMPILED = "TorchScript"
"""What `zip_fault` says of an archive that holds a program."""

_ELEMENT_BYTES = {
    "FloatStorage": 4,
    "DoubleStorage": 8,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
}


def zip_fault(path: Path) -> str:
    """What is wrong with an archive: it unfolds to more than it holds, or its parts are damaged; ``""`` if nothing.

    Looked at before torch maps the file into memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if any(info.filename.endswith("constants.pkl") for info in infos):
                return COMPILED
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                return "compressed parts"
            if sum(info.file_size for info in infos) > path.stat().st_size:
                return "overlapping parts"
            sizes = {info.filename.rpartition("/")[2]: info.file_size for info in infos if "/data/" in info.filename}
            pickles = [archive.read(info) for info in infos if info.filename.rpartition("/")[2] == "data.pkl"]
        return next((fault for data in pickles if (fault := _size_fault(data, sizes))), "")
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _size_fault(data: bytes, sizes: Mapping[str, int]) -> str:
    """Every storage that the pickle names must be in the archive, with all of its bytes.

    Older versions of torch trust these numbers and read past the end of memory.
    """
    # Python makes room for as many remembered objects as the highest number says: gigabytes for a lie of five bytes.
    if any(code.name in {"PUT", "LONG_BINPUT"} and int(n or 0) > len(data) for code, n, _ in pickletools.genops(data)):
        return "an object's number is larger than the file"
    reader = _InertUnpickler(io.BytesIO(data))
    reader.load()
    for kind, key, elements in reader.storages:
        if sizes.get(key, -1) < elements * _ELEMENT_BYTES.get(kind, 1) or elements < 0:
            return f"part {key} has {sizes.get(key)} bytes for {elements} {kind}"
    return ""


class _InertUnpickler(pickle.Unpickler):
    """Reads which storages a pickle names. Every class and function in it becomes a stand-in that does nothing."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: list[tuple[str, str, int]] = []

    def find_class(self, module: str, name: str) -> Any:
        return type(name, (_Inert,), {"__module__": module})

    def persistent_load(self, pid: Any) -> object:
        if isinstance(pid, tuple) and len(pid) == 5 and isinstance(pid[4], int):
            self.storages.append((getattr(pid[1], "__name__", ""), str(pid[2]), pid[4]))
        return _Inert()


class _Inert:
    def __new__(cls, *_: object, **__: object) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def append(self, value: object) -> None:
        """Accept what a list would."""

    def extend(self, values: object) -> None:
        """Accept what a list would."""

    def add(self, value: object) -> None:
        """Accept what a set would."""


def names_in(path: Path) -> set[str]:
    """Classes and functions that a plain pickle names, without loading it; empty when it is no pickle."""
    named: set[str] = set()
    texts: list[str] = []
    try:
        with path.open("rb") as file:
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "GLOBAL":
                    named.add(str(argument).replace(" ", "."))
                elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
                    named.add(".".join(texts[-2:]))
                elif isinstance(argument, str):
                    texts = [*texts[-1:], argument]
    except Exception:
        return named
    return named
