"""The libraries that a network can be converted for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from medai.engine.backend_names import AUTO, PYTORCH, REQUESTS
from medai.engine.backends import onnx_runtime, openvino
from medai.engine.backends.measuring import Converter
from medai.errors import DependencyError, InputError

CONVERTERS: Mapping[str, Converter] = {
    module.NAME: module for module in cast("tuple[Converter, ...]", (openvino, onnx_runtime))
}
"""By name, in the order in which they are tried."""


def for_request(requested: str) -> dict[str, Converter]:
    """The libraries to try, all of them installed; none for ``"torch"``.

    Raises
    ------
    InputError
        When there is no backend of that name.
    DependencyError
        When the one asked for is not installed. ``"auto"`` never raises.
    """
    if requested not in REQUESTS:
        raise InputError(
            f"'{requested}' is not a backend.",
            f"Known are {', '.join(REQUESTS)}.",
            f"Choose '{AUTO}' to let the fastest be found.",
        )
    if requested == AUTO:
        return {name: converter for name, converter in CONVERTERS.items() if converter.version()}
    if requested == PYTORCH:
        return {}
    converter = CONVERTERS[requested]
    if not converter.version():
        packages = " ".join(converter.PACKAGES)
        raise DependencyError(
            f"{converter.TITLE}, which you asked for, cannot be used.",
            f"Of the Python packages it needs ({packages}) at least one is not installed.",
            f"Install them with 'pip install {packages}', or choose '{AUTO}'.",
        )
    return {requested: converter}


def title(backend: str) -> str:
    """Of a backend or a form of PyTorch, for a person."""
    if backend in CONVERTERS:
        return CONVERTERS[backend].TITLE
    if backend == "int8":
        return "OpenVINO, 8-bit"
    details = ", ".join(part.replace("_", " ") for part in backend.split(":")[1:])
    return f"PyTorch ({details})" if details else "PyTorch"
