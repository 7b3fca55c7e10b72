"""Backends: PyTorch, OpenVINO and ONNX Runtime behind one call, chosen by measurement on the user's computer.

`Backends.network` is what others call; `staged` brings windows onto a GPU.
"""

from medai.engine.backends.networks import Backends, Ready
from medai.engine.backends.staging import staged

__all__ = ["Backends", "Ready", "staged"]
