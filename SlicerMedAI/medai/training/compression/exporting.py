"""Write a model's network for other programs: TorchScript, ONNX, OpenVINO; each is run, and compared with PyTorch."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from medai.bundles import configs
from medai.bundles.description import describe
from medai.bundles.labels import input_specs
from medai.bundles.quantized import in_float
from medai.bundles.verify import smallest_shape
from medai.engine.backends import openvino
from medai.engine.backends.probe import inputs
from medai.engine.devices import Device
from medai.errors import DependencyError, InputError, WriteError
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Result, Table
from medai.tasks.choice import usable
from medai.tasks.life import Life
from medai.training.compression import derived
from medai.training.compression.compiled import Flat, relative_error, tensors
from medai.training.compression.request import FORMATS, ExportRequest

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

Run = Callable[[torch.Tensor], Sequence[torch.Tensor]]
_ALIKE = 1e-3
_CPU = Device("cpu", "CPU: what is written runs on every computer")
_NO_IMAGE = {
    "synthesize": "makes images from random numbers",
    "forecast": "looks at several visits and their dates at once",
}
_INPUT, _OUTPUT = "image", "output"
_AXES = ("depth", "height", "width")


def export(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Write a network, read it again, run it on probes, and compare.

    Parameters
    ----------
    job : Job
        Its ``bundle`` is the model, its parameters those of an `ExportRequest`.
    report, loaded
        As for `medai.tasks.run`.

    Returns
    -------
    Result
        A `Table` "exported".

    Raises
    ------
    InputError
        When the network cannot be written in that form, or what was written gives something else.
    WriteError
        When the files cannot be written; then there are none.
    """
    request = ExportRequest.of(job.parameters)
    life = Life(job, report, "Exporting")
    description = usable(job.bundle)
    if description.task in _NO_IMAGE:
        raise InputError(
            f"The model '{description.name}' cannot be exported.",
            f"It {_NO_IMAGE[description.task]}; what is written here takes an image.",
            "Choose a model that takes an image.",
        )
    name = FORMATS[request.to]
    _check_folder(request, name)
    life.at("Loading model")
    pipeline = loaded.get(description.root, "cpu")
    network = in_float(pipeline.network)
    roi = getattr(pipeline.inferer, "roi_size", None)
    spec = next(iter(input_specs(configs.metadata(description.root)).values()), {})
    channels = description.channels or 1
    sizes = _sizes(roi, spec, 2 if pipeline.planar else 3)
    probes = _fitting(network, [image[:1] for image in inputs(channels, sizes)])
    life.at("Exporting")
    with tempfile.TemporaryDirectory(prefix="medai-") as place:
        folder = Path(place)
        fixed, found, worst = _written(network, probes, request.to, folder)
        facts = _facts(description.root, request.to, name, fixed=fixed, probe=probes[0], found=found)
        facts |= {"largest_relative_error": worst}
        derived.write(folder, {"export.json": facts})
        life.at("Writing")
        _keep(folder, request.folder)
    if fixed:
        life.tell(f"It takes images of {' x '.join(map(str, probes[0].shape[2:]))} only: the network allows no others.")
    life.tell(f"Checked on {len(found)} probes against PyTorch; largest relative error {worst:.2g}.")
    files = sorted(path for path in request.folder.iterdir() if path.name in (*_files(name), "export.json"))
    table = Table(
        {
            "File": tuple(str(path) for path in files),
            "MB": tuple(round(path.stat().st_size / 1e6, 3) for path in files),
            "Largest relative error": (worst,) * len(files),
        },
        "exported",
    )
    return Result((table,), life.provenance([describe(description.root)], request, _CPU))


def _written(
    network: torch.nn.Module, probes: Sequence[torch.Tensor], to: str, folder: Path
) -> tuple[bool, list[list[torch.Tensor]], float]:
    """Whether it is for one size only, what the network gives for each probe, and the worst error."""
    write = {"torchscript": _torchscript, "onnx": _onnx, "openvino": _openvino}[to]
    with torch.inference_mode():
        expected = [tensors(network(probe)) for probe in probes]
    why = ""
    for fixed in (False, True):
        few = 1 if fixed else len(probes)
        try:
            run = write(Flat(network), probes[0].clone(), folder, fixed)
            worst = max(relative_error(expected[n], run(probes[n])) for n in range(few))
        except (DependencyError, WriteError):
            raise
        except Exception as error:  # tracing runs the network's own code, which fails in many ways
            why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            continue
        if worst <= _ALIKE:
            return fixed, expected[:few], worst
        why = f"its result differs from PyTorch's by {100 * worst:.2g} %"
    raise InputError(
        f"The network cannot be written as {to}.", f"It says: {why.rstrip('.')}.", "Choose another format."
    )


def _torchscript(network: torch.nn.Module, example: torch.Tensor, folder: Path, _: bool) -> Run:
    path = folder / FORMATS["torchscript"]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # sizes taken for constants show when the result is compared
        torch.jit.trace(network, example, check_trace=False).save(str(path))
        back = torch.jit.load(str(path), map_location="cpu")

    def run(x: torch.Tensor) -> Sequence[torch.Tensor]:
        with torch.no_grad():
            return tensors(back(x.clone()))

    return run


def _onnx(network: torch.nn.Module, example: torch.Tensor, folder: Path, fixed: bool) -> Run:
    from medai.engine.backends import onnx_runtime

    if not onnx_runtime.version():
        raise _missing("ONNX", "onnx onnxruntime")
    import onnxruntime

    path = folder / FORMATS["onnx"]
    names = ["batch", "", *_AXES[-(example.ndim - 2) :]]
    axes = {axis: name for axis, name in enumerate(names) if name}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about this exporter's age; the newer one needs a further package
        count = len(network(example))
        outputs = [_OUTPUT] if count == 1 else [f"{_OUTPUT}_{n}" for n in range(count)]
        torch.onnx.export(
            network,
            (example,),
            str(path),
            dynamo=False,
            input_names=[_INPUT],
            output_names=outputs,
            dynamic_axes=None if fixed else {_INPUT: axes},
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: [torch.from_numpy(found) for found in session.run(None, {_INPUT: x.numpy()})]


def _openvino(network: torch.nn.Module, example: torch.Tensor, folder: Path, fixed: bool) -> Run:
    if not openvino.version():
        raise _missing("OpenVINO's format", "openvino")
    path = folder / FORMATS["openvino"]
    model = openvino.converted(network, example, fixed=fixed)
    model.inputs[0].get_tensor().set_names({_INPUT})
    for n, output in enumerate(model.outputs):
        output.get_tensor().set_names({_OUTPUT if len(model.outputs) == 1 else f"{_OUTPUT}_{n}"})
    openvino.save(model, path)
    back = openvino.package().Core().read_model(str(path))
    return openvino.OpenVINORunner(back, torch.get_num_threads(), None).outputs


def _facts(
    root: Path, to: str, name: str, *, fixed: bool, probe: torch.Tensor, found: Sequence[Sequence[torch.Tensor]]
) -> dict[str, Any]:
    """What another program has to know."""
    description = describe(root)
    content = configs.inference(root)
    free = ["batch", probe.shape[1], *_AXES[-(probe.ndim - 2) :]]
    count = len(found[0])
    return {
        "model": description.name,
        "version": description.version,
        "task": description.task,
        "format": to,
        "file": name,
        "input": {"name": _INPUT, "shape": list(probe.shape) if fixed else free, "dtype": "float32"},
        "outputs": [
            {"name": _OUTPUT if count == 1 else f"{_OUTPUT}_{n}", "shape_of_probe": list(one.shape)}
            for n, one in enumerate(found[0])
        ],
        "probe_shape": list(probe.shape),
        "spacing_mm": _argument(content.get("preprocessing"), "Spacing", "pixdim"),
        "axes": _argument(content.get("preprocessing"), "Orientation", "axcodes"),
        # MONAI's transforms by name, in their order: what has to be done to an image first, and to the result after.
        "preprocessing": content.get("preprocessing"),
        "inferer": content.get("inferer"),
        "postprocessing": content.get("postprocessing"),
        "license": description.licence,
    }


def _argument(item: object, kind: str, name: str) -> object:
    """An argument of the first transform of a kind."""
    if isinstance(item, Mapping):
        if str(item.get("_target_", "")).rpartition(".")[2].startswith(kind) and name in item:
            return item[name]
        item = list(item.values())
    if isinstance(item, list):
        return next((found for part in item if (found := _argument(part, kind, name)) is not None), None)
    return None


def _sizes(roi: object, spec: Mapping[str, Any], axes: int) -> list[int]:
    if isinstance(roi, int):
        roi = [roi] * axes
    if isinstance(roi, (list, tuple)) and len(roi) == axes and all(int(size) > 0 for size in roi):
        return [int(size) for size in roi]
    shape = spec.get("spatial_shape")
    if isinstance(shape, list) and len(shape) == axes:
        return list(smallest_shape([f"{edge}" for edge in shape]))
    return [64] * axes


def _fitting(network: torch.nn.Module, probes: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Those that the network can take; the first one is of its own size."""
    fitting = []
    for probe in probes:
        try:
            with torch.inference_mode():
                network(probe.clone())
        except Exception:  # noqa: S112 - it is for certain sizes
            continue
        fitting.append(probe)
    if not fitting:
        raise InputError(
            "The network cannot be exported.", "It could not be run on an image of its own size.", "Check the model."
        )
    return fitting


def _files(name: str) -> tuple[str, ...]:
    return (name, "model.bin") if name.endswith(".xml") else (name,)


def _check_folder(request: ExportRequest, name: str) -> None:
    taken = [each for each in (*_files(name), "export.json") if (request.folder / each).exists()]
    if taken and not request.overwrite:
        raise InputError(
            f"There is a file '{taken[0]}' in '{request.folder}' already.",
            "It would be replaced.",
            "Choose another folder, or ask for it to be replaced (--overwrite).",
        )


def _keep(made: Path, folder: Path) -> None:
    """Put all files into the folder, or none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
        try:
            for path in made.iterdir():
                shutil.copy2(path, partial / path.name)
            for path in sorted(partial.iterdir()):
                path.replace(folder / path.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise WriteError(
            f"The network could not be written to '{folder}'.",
            f"The computer reports: {error.strerror or error}.",
            "Free some space, or choose another folder.",
            details=repr(error),
        ) from error


def _missing(what: str, packages: str) -> DependencyError:
    return DependencyError(
        f"The network cannot be written in {what}.",
        f"Of the Python packages that it needs ({packages}) at least one is not installed.",
        f"Install with: pip install {packages}",
    )
