"""Weights from a bundle's files to a plain dictionary of tensors; nothing in the files is ever run."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.bundles import configs
from medai.bundles.pickles import COMPILED, names_in, plain_fault, zip_fault
from medai.errors import BundleError, BundleFormatError, DependencyError, MaliciousBundleError

if TYPE_CHECKING:
    from torch import Tensor

_DEFAULTS = ("model.safetensors", "model.pt", "best_metric_model.pt", "model.pth")
_WRAPPERS = ("model", "state_dict", "network", "net", "model_state_dict", "weights")
_FILE_NAME = re.compile(r"[\w. -]+\.(?:pt|pth|safetensors)\b")
_BLOCKED = re.compile(r"GLOBAL\s+`?([\w.]+)")
_MMAP_BYTES = 512 * 2**20
# Classes that training scripts leave in checkpoints by accident; anything else has no place there.
_CLUTTER = ("numpy.", "collections.", "monai.", "ignite.", "torch.", "argparse.", "pathlib.", "_codecs.")


def load_state_dict(root: Path | str, *, stem: str = "inference") -> dict[str, Tensor]:
    """Weights of a bundle's network, on the CPU.

    Takes the file that the ``CheckpointLoader`` of the configuration `stem` names, or its safetensors twin, else the
    usual names in ``models/``. Checkpoints that hold several state dicts give the one that ``load_dict`` names.

    Raises
    ------
    BundleFormatError
        When there is no file of weights, or it is truncated, empty or no file of weights.
    MaliciousBundleError
        When the file is a pickle that would run code, or lies outside of the bundle.
    """
    root = Path(root)
    path = weights_path(root, stem=stem)
    content = _safetensors(path, root.name) if path.suffix == ".safetensors" else _pickle(path, root.name)
    return _state_dict(content, path, root, stem)


def weights_path(root: Path, *, stem: str = "inference") -> Path:
    """The file of weights that `load_state_dict` reads.

    Raises
    ------
    BundleFormatError
        When the bundle has none.
    """
    folder = root / "models"
    named = [name for name in _configured(root, stem)[0] if name]
    names = [twin for name in named for twin in (str(Path(name).with_suffix(".safetensors")), name)]
    for name in [*names, *_DEFAULTS]:
        path = folder / name
        if path.is_file():
            return _inside(path, root)
    others = sorted(path for path in folder.glob("*") if path.suffix in (".safetensors", ".pt", ".pth"))
    if len(others) == 1:
        return _inside(others[0], root)
    if others:
        why = f"It holds {len(others)} files of weights, and its configuration does not say which one to use."
    elif any(folder.glob("*.ts")) or any(folder.glob("*.onnx")):
        why = "It holds only a compiled program (TorchScript or ONNX), which is code, not plain weights."
    else:
        why = "It holds no weights (no file models/model.safetensors or models/model.pt)."
    raise BundleFormatError(
        f"The model '{root.name}' cannot be loaded.",
        why,
        "Download the model again with its weights, or ask its authors for a file models/model.pt.",
    )


def _inside(path: Path, root: Path) -> Path:
    if not path.resolve().is_relative_to(root.resolve()):
        raise MaliciousBundleError(
            f"The model '{root.name}' was refused for safety.",
            f"Its weights {path.name} point to a file outside of the model.",
            "Do not use this copy of the model; get it from its authors.",
        )
    return path


def _configured(root: Path, stem: str) -> tuple[list[str], list[str]]:
    """File names of weights and keys of ``load_dict`` in a configuration, as far as plain reading shows."""
    files: list[str] = []
    keys: list[str] = []
    for path in configs.all_named(root, stem):
        try:
            content = configs.read(path)
        except BundleError:
            continue
        for loader in _loaders(content):
            text = str(loader.get("load_path", ""))
            # "@ckpt_path" and "$@ckpt_dir + '/model.pt'" are the two ways in which bundles name the file.
            for _ in range(5):
                target = re.fullmatch(r"[@%](\w+)", text)
                if target is None:
                    break
                text = str(content.get(target[1], ""))
            files += [match.strip() for match in _FILE_NAME.findall(text)][-1:]
            load_dict = loader.get("load_dict")
            keys += [str(key) for key in load_dict] if isinstance(load_dict, Mapping) else []
    return files, keys


def _loaders(content: object) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    stack = [content]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            if str(item.get("_target_", "")).rpartition(".")[2] == "CheckpointLoader":
                found.append(item)
            stack += list(item.values())
        elif isinstance(item, list):
            stack += item
    return found


def _safetensors(path: Path, name: str) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise DependencyError(
            f"The model '{name}' cannot be loaded.",
            "Its weights are in the safetensors format, and the Python package 'safetensors' is not installed.",
            "Install it with: pip install safetensors",
        ) from error
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _broken(path, name, str(error)) from error


def _pickle(path: Path, name: str) -> Any:
    import torch

    zipped = zipfile.is_zipfile(path)
    fault = zip_fault(path) if zipped else plain_fault(path)
    if fault == COMPILED:
        raise BundleFormatError(
            f"The model '{name}' cannot be loaded.",
            f"Its file {path.name} is a compiled program (TorchScript), which is code, not plain weights.",
            "Ask the authors of the model for its plain weights (a state dict or a safetensors file).",
        )
    if fault:
        raise _broken(path, name, fault)
    large = zipped and path.stat().st_size > _MMAP_BYTES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; of no use to the person
            return torch.load(path, map_location="cpu", weights_only=True, mmap=large or None)
    except pickle.UnpicklingError as error:
        raise _refused(path, name, str(error)) from error
    except MemoryError:
        raise
    except Exception as error:  # damaged pickles raise anything from EOFError to KeyError
        raise _broken(path, name, f"{type(error).__name__}: {error}") from error


def _state_dict(content: Any, path: Path, root: Path, stem: str) -> dict[str, Tensor]:
    import torch

    def tensors(candidate: object) -> bool:
        return (
            isinstance(candidate, Mapping)
            and bool(candidate)
            and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in candidate.items())
        )

    chosen = content
    if isinstance(content, Mapping) and not tensors(content):
        keys = [*_configured(root, stem)[1], *_WRAPPERS]
        chosen = next((content[key] for key in keys if key in content and tensors(content[key])), None)
    if not tensors(chosen):
        raise _broken(path, root.name, "no dictionary of tensors")
    if any(value.layout != torch.strided for value in chosen.values()):
        raise _broken(path, root.name, "tensors that are not dense")
    # Networks trained on several GPUs carry a prefix that a network on one device does not have.
    parallel = all(key.startswith("module.") for key in chosen)
    return {key.removeprefix("module.") if parallel else key: value for key, value in chosen.items()}


def _refused(path: Path, name: str, message: str) -> BundleError:
    """Why torch did not unpickle: the file is damaged, holds stray Python objects, or would run code."""
    blocked = _BLOCKED.search(message)
    named = {blocked[1]} if blocked else names_in(path)
    code = sorted(reached for reached in named if not reached.startswith(_CLUTTER))
    if code:
        return _malicious(path, name, code[0], message)
    if named:
        return BundleFormatError(
            f"The model '{name}' cannot be loaded.",
            f"Its file {path.name} holds Python objects ({min(named)}) beside the weights, which are never loaded.",
            "Ask the authors of the model for its plain weights (a state dict or a safetensors file).",
            details=message,
        )
    return _broken(path, name, message)


def _malicious(path: Path, name: str, what: str, message: str) -> MaliciousBundleError:
    return MaliciousBundleError(
        f"The model '{name}' was refused for safety.",
        f"Its file {path.name} should hold only numbers, but it asks the computer to run code ({what}).",
        "Do not use this copy of the model; get it from its authors, or ask them for a safetensors file.",
        details=message,
    )


def _broken(path: Path, name: str, message: str) -> BundleFormatError:
    return BundleFormatError(
        f"The model '{name}' cannot be loaded.",
        f"Its file {path.name} is damaged or incomplete, or holds no weights.",
        "Download or copy the model again.",
        details=message,
    )
