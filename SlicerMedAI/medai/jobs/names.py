"""Names that both sides of a worker know before they can talk."""

ADDRESS_VARIABLE = "MEDAI_WORKER"
"""Environment variable with the port, both secrets (hex), the parent's process id and the key, separated by spaces."""

LOG_NAME = "worker.log"
TEMP_NAME = "tmp"
"""Folder of the worker's temporary files. Beside them nothing lies from which Python would import."""
"""File in the worker's working directory that takes its standard output and error."""


def input_name(key: str, number: int) -> str:
    """Shared memory with the voxels of job `number` of the process `key`, on their way to the worker."""
    return f"{key}-{number}i"


def output_name(key: str, number: int) -> str:
    """Shared memory with the voxels of that job's result, on their way back."""
    return f"{key}-{number}o"
