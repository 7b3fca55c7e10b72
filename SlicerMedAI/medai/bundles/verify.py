"""Everything about a bundle that can be checked, as a list that a person can read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.bundles import configs, trust
from medai.bundles.description import describe
from medai.bundles.encoders import ENCODE
from medai.bundles.integrity import check_pins
from medai.bundles.labels import input_specs, output_spec
from medai.bundles.licence import licence_of
from medai.bundles.purpose import task_of
from medai.bundles.quantized import int8_of
from medai.bundles.weights import load_state_dict, weights_path
from medai.errors import BundleError, BundleFormatError, MedAIError, UntrustedBundleError

if TYPE_CHECKING:
    from medai.bundles.latents import Latents
    from medai.bundles.pipeline import Pipeline

_REQUIRED = (
    "version",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
)
_LARGEST_EDGE = 96
_LARGEST_PLANE = 1024
_ATTEMPTS = (1, 2, 3, 4, 5, 6)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
        What was looked at.
    ok : bool
        Whether it is as it should be.
    message : str
        What was found.
    essential : bool
        Whether the bundle cannot be used when it is not ok.
    """

    name: str
    ok: bool
    message: str
    essential: bool = True


@dataclass(frozen=True)
class Report:
    """What `verify` found.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    checks : tuple of Check
        In the order in which they were made.
    """

    root: Path
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether the bundle can be used; remarks that are not essential do not count."""
        return all(check.ok for check in self.checks if check.essential)

    def __str__(self) -> str:
        marks = {(True, True): "ok", (True, False): "ok", (False, True): "FAILED", (False, False): "note"}
        return "\n".join(
            f"{marks[check.ok, check.essential]:>6}  {check.name}: {check.message}" for check in self.checks
        )


def verify(root: Path | str, run_network: bool = True) -> Report:
    """Check a bundle's files, hashes, configuration, weights, and what its network takes and gives.

    Nothing of the bundle is evaluated before its hashes and its configuration have passed.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    run_network : bool
        Whether to build the network and run it once on zeros of the size its metadata names (at most 96 per axis).

    Returns
    -------
    Report
        Never raises for a broken bundle: what is wrong is in the report.
    """
    root = Path(root)
    checks = [_checked("metadata", _metadata, root), *_files(root)]
    pins = _checked("hashes", _hashes, root)
    allowed = _checked("configuration", _configuration, root)
    weights = _checked("weights", _weights, root)
    checks += [pins, allowed, weights, *_other_configs(root)]
    if configs.all_named(root, ENCODE):
        checks.append(_checked("encoding", _encoding, root))
    checks.append(_checked("8-bit form", _int8, root))
    if run_network:
        if all(check.ok for check in checks if check.essential):
            checks.append(_checked("network", _network, root))
        else:
            checks.append(Check("network", ok=False, message="not run, because of what is said above"))
    return Report(root, tuple(checks))


def smallest_shape(spatial_shape: tuple[str, ...] | list[object]) -> tuple[int, ...]:
    """Smallest sensible size that fits the expressions of a metadata file.

    Parameters
    ----------
    spatial_shape : sequence
        Per axis an integer, ``"*"`` or an expression such as ``"16*n"`` or ``"2**p*n"``; variables are shared.

    Returns
    -------
    tuple of int
        At least 32 per axis where the expression allows it, at most 96 unless the size is fixed.

    Raises
    ------
    BundleFormatError
        When an expression is not arithmetic.
    """
    return tuple(_smallest_edge(str(size).replace(" ", "")) for size in spatial_shape)


def _smallest_edge(expression: str) -> int:
    if expression == "*":
        return 64
    if re.fullmatch(r"\d{1,9}", expression):
        return max(int(expression), 1)
    if not re.fullmatch(r"[\da-z+*/()-]{1,40}", expression) or re.search(r"[a-z]{2}|\*{3}|\d{5}|\*\*\d{2}", expression):
        raise BundleFormatError(
            "The size of the model's input cannot be understood.",
            f"Its metadata says '{expression}'.",
            "Ask the authors of the model for a correct metadata.json.",
        )
    names = sorted(set(re.findall(r"[a-z]", expression)))
    sizes: list[int] = []
    for values in _assignments(len(names)):
        size = _arithmetic(expression, dict(zip(names, values, strict=True)))
        if 1 <= size <= _LARGEST_EDGE:
            sizes.append(size)
    large = [size for size in sizes if size >= 32]
    return min(large) if large else max(sizes, default=64)


def _assignments(count: int) -> list[tuple[int, ...]]:
    values: list[tuple[int, ...]] = [()]
    for _ in range(min(count, 3)):
        values = [(*value, number) for value in values for number in (*_ATTEMPTS, 8, 12, 16, 32, 64)]
    return values


def _arithmetic(expression: str, variables: Mapping[str, int]) -> int:
    import ast
    import operator

    operators: dict[type[ast.operator], Callable[[int, int], Any]] = {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.FloorDiv: operator.floordiv,
        ast.Div: operator.floordiv,
    }

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.Name):
            return variables[node.id]
        if isinstance(node, ast.BinOp):
            left, right = value(node.left), value(node.right)
            if isinstance(node.op, ast.Pow):
                return left**right if 0 <= right <= 10 and abs(left) <= _LARGEST_EDGE else 0
            if type(node.op) in operators and not (isinstance(node.op, (ast.Div, ast.FloorDiv)) and right == 0):
                return int(operators[type(node.op)](left, right))
        return 0

    try:
        return value(ast.parse(expression, mode="eval").body)
    except (SyntaxError, KeyError, ValueError, RecursionError):
        return 0


def _checked(name: str, check: Callable[[Path], str], root: Path) -> Check:
    try:
        return Check(name, ok=True, message=check(root))
    except MedAIError as error:
        return Check(name, ok=False, message=str(error))
    except OSError as error:
        return Check(name, ok=False, message=f"A file cannot be read: {error.strerror or error}.")
    except Exception as error:
        return Check(name, ok=False, message=f"{type(error).__name__}: {_cause(error)}")


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _metadata(root: Path) -> str:
    meta = configs.metadata(root)
    missing = [key for key in _REQUIRED if not meta.get(key)]
    if missing:
        raise BundleFormatError(
            "Its metadata is incomplete.",
            f"Missing: {', '.join(missing)}.",
            "Ask the authors of the model for a complete metadata.json.",
        )
    if not input_specs(meta) or not output_spec(meta):
        raise BundleFormatError("Its metadata does not say what goes into the network and what comes out.")
    description = describe(root)
    return f"{description.title} {description.version}, {len(description.segments)} structures"


def _files(root: Path) -> list[Check]:
    licence = licence_of(root, {})
    found = [Check("licence", bool(licence), licence or "no file LICENSE, which the specification asks for", False)]
    text = (root / "docs" / "README.md").is_file()
    return [*found, Check("documentation", text, "docs/README.md" if text else "no file docs/README.md", False)]


def _hashes(root: Path) -> str:
    if check_pins(root):
        return "all files are the published ones (SHA256SUMS)"
    return "no SHA256SUMS, so changes of its files would not be noticed"


def _configuration(root: Path) -> str:
    trust.check_config(root)
    return "trusted by its hash" if trust.is_trusted(root) else "uses only monai, torch and numpy"


def _other_configs(root: Path) -> list[Check]:
    """Training and evaluation are never run from here, so what they do is told, not refused."""
    checks = []
    for path in sorted((root / "configs").glob("*")):
        if (
            path.suffix not in configs.SUFFIXES
            or path.stem in ("inference", ENCODE, "metadata")
            or path.stem.startswith("logging")
        ):
            continue
        try:
            trust.check_config(root, stem=path.stem)
            checks.append(Check(path.name, True, "uses only monai, torch and numpy", False))
        except UntrustedBundleError as error:
            checks.append(Check(path.name, False, f"runs more when used with MONAI itself: {error.why}", False))
        except BundleError as error:
            checks.append(Check(path.name, False, str(error), "safety" in error.what))
    return checks


def _weights(root: Path) -> str:
    state = load_state_dict(root)
    count = sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point())
    return f"{weights_path(root).name}, {len(state)} tensors, {count / 1e6:.2f} million numbers"


def _encoding(root: Path) -> str:
    """The second network of a bundle."""
    trust.check_config(root, stem=ENCODE)
    return f"{weights_path(root, stem=ENCODE).name}, {len(load_state_dict(root, stem=ENCODE))} tensors"


def _int8(root: Path) -> str:
    forms = int8_of(root)
    size = sum(len(form.xml) + len(form.weights) for form in forms)
    return f"{size / 1e6:.1f} MB, a network and nothing else" if forms else "none"


def _network(root: Path) -> str:
    import torch

    from medai.bundles.pipeline import Pipeline

    if task_of(configs.metadata(root)) == "forecast":
        return _forecast(root)
    pipeline = Pipeline(root, "cpu")
    if pipeline.latents is not None:
        return _of_numbers(pipeline, pipeline.latents)
    spec = next(iter(input_specs(configs.metadata(root)).values()))
    channels = spec.get("num_channels")
    shape = spec.get("spatial_shape")
    if not isinstance(channels, int) or channels < 1 or not isinstance(shape, list) or not shape:
        raise BundleFormatError("Its metadata does not say how large the network's input is.")
    size = smallest_shape([f"{edge}" for edge in shape])
    if len(size) > 3 or max(size) > _LARGEST_PLANE:
        size = tuple(min(edge, _LARGEST_PLANE) for edge in size[:3])
    if max(size) > _LARGEST_EDGE and len(size) > 2:
        # A fixed size beyond this would need more memory than a check may take; networks of windows take a smaller one.
        size = tuple(min(edge, _LARGEST_EDGE) for edge in size)
    with torch.inference_mode():
        output = pipeline.network(torch.zeros(1, channels, *size))
    return _compared(output, output_spec(configs.metadata(root)), (channels, *size))


def _of_numbers(pipeline: Pipeline, latents: Latents) -> str:
    """A network that makes images of random numbers: whether it does."""
    made = pipeline.images(pipeline.infer(latents.draw(1, seed=0)), "image")
    given = " and ".join(f"{_by(image.shape[::-1])} voxels" for image in made.values())
    return f"{_by(latents.shape)} random numbers in, {given} out"


def _forecast(root: Path) -> str:
    """Of two visits, at the second of which nothing is known."""
    from medai.tasks.forecast.course import YEAR, Course, Visit
    from medai.tasks.forecast.model import ForecastModel

    model = ForecastModel(root, "cpu")
    visits = (Visit(0.0, dict.fromkeys(model.measurements, 1.0)), Visit(YEAR))
    model.forecast(Course("visits", visits), [2 * YEAR])
    given, told = len(model.measurements), len(model.classes)
    return f"{given} measurements of 2 visits in, {len(model.targets)} forecast and {told} classes out"


def _compared(output: Any, spec: Mapping[str, Any], given: tuple[int, ...]) -> str:
    # Networks with deep supervision give a list, the full size first, or a stack with one axis more.
    tensor = output
    if isinstance(tensor, Mapping):
        tensor = tensor.get("pred", next(iter(tensor.values())))
    if isinstance(tensor, (list, tuple)):
        tensor = tensor[0]
    if tensor.ndim == len(given) + 2:
        tensor = tensor[:, 0]
    expected = spec.get("num_channels")
    found = tuple(int(edge) for edge in tensor.shape[1:])
    boxes = "object" in str(spec.get("type"))
    if boxes and isinstance(expected, int) and expected > 0 and not found[0] % expected:
        return f"{given[0]} x {_by(given[1:])} in, {found[0] // expected} guesses for {_by(found[1:])} places out"
    if isinstance(expected, int) and expected > 0 and found[0] != expected:
        raise BundleFormatError(
            "The network does not give what the metadata promises.",
            f"It gives {found[0]} channels, the metadata says {expected}.",
            "Ask the authors of the model for a matching metadata.json.",
        )
    if found[1:] != given[1:] and len(found) == len(given) and "segmentation" in str(spec.get("format")):
        raise BundleFormatError(
            "The network does not give what the metadata promises.",
            f"From an image of {_by(given[1:])} it gives one of {_by(found[1:])}.",
            "Ask the authors of the model for a matching metadata.json.",
        )
    return f"{given[0]} x {_by(given[1:])} in, {_by(found)} out"


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(str(edge) for edge in size)
