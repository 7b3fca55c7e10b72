"""What a person may ask to have a network computed by; told without importing any of it."""

AUTO = "auto"
"""The fastest that was measured to agree with PyTorch on this computer."""
PYTORCH = "torch"
OPENVINO = "openvino"
ONNX_RUNTIME = "onnxruntime"
REQUESTS = (AUTO, PYTORCH, OPENVINO, ONNX_RUNTIME)
