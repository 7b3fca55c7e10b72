"""Look into a file of weights without unpickling it: what it names, and whether its parts are whole."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

COMPILED = "TorchScript"
"""What `zip_fault` says of an archive that holds a program."""

_LARGEST_PICKLE = 2**25  # a hundred times what ten thousand tensors need; the voxels themselves lie elsewhere
_DEEPEST_TUPLE = 50
_WIDEST_TUPLE = 100_000
_LEGACY_PICKLES = 5  # torch's older format: magic number, version, system, content, names of the storages

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
            described = [info for info in infos if info.filename.rpartition("/")[2] == "data.pkl"]
            if any(info.file_size > _LARGEST_PICKLE for info in described):
                return "a description far longer than that of any weights"
            pickles = [archive.read(info) for info in described]
        return next((fault for data in pickles if (fault := _size_fault(data, sizes))), "")
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def plain_fault(path: Path) -> str:
    """What is wrong with a file of torch's older format, which is no archive; ``""`` if nothing that is seen here."""
    if not path.stat().st_size:
        return "the file is empty"
    with path.open("rb") as file:
        for number in range(_LEGACY_PICKLES):
            try:
                _InertUnpickler(file).load()
            except Exception as error:  # damaged pickles raise anything
                ended = isinstance(error, EOFError) and number > 0  # one bare pickle: torch says what it thinks of that
                return "" if ended else f"{type(error).__name__}: {error}"
    return ""


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


class _NestedError(ValueError):
    """A tuple that holds itself over and over."""


class _InertUnpickler(pickle._Unpickler):
    """Reads which storages a pickle names. Every class and function in it becomes a stand-in that does nothing.

    Tuples are weighed as they are made: of a tuple that holds another one twice, which holds another one twice, and so
    on, a hundred bytes take Python longer to hash than the universe is old, and one that is nested deeply enough
    crashes it. Only Python's own unpickler written in Python lets them be seen.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: list[tuple[str, str, int]] = []
        self._weights: dict[int, tuple[tuple[object, ...], int, int]] = {}

    def _make_tuple(self, code: int) -> None:
        pickle._Unpickler.dispatch[code](self)  # type: ignore[arg-type]
        made = self.stack[-1]  # type: ignore[attr-defined]
        inner = [self._weights[id(item)][1:] for item in made if id(item) in self._weights]
        depth = 1 + max((depth for depth, _ in inner), default=0)
        width = len(made) + sum(width for _, width in inner)
        if depth > _DEEPEST_TUPLE or width > _WIDEST_TUPLE:
            raise _NestedError("tuples within tuples, far more than any weights need")
        self._weights[id(made)] = (made, depth, width)  # kept, so that nothing else gets its id

    for _code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
        dispatch[_code[0]] = partial(_make_tuple, code=_code[0])

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
