"""Names that both sides of a worker know before they can talk."""

from collections.abc import Sequence

ADDRESS_VARIABLE = "MEDAI_WORKER"
"""Environment variable with the port, both secrets (hex), the parent's process id and the key, separated by spaces."""

LOG_NAME = "worker.log"
"""File in the worker's working directory that takes its standard output and error."""

TEMP_NAME = "tmp"
"""Folder there for temporary files, so that nothing lies beside the log from which Python would import."""


def clears_up(command: Sequence[str]) -> bool:
    """Whether a program of this command line is the one by which Python's multiprocessing removes what processes that
    were killed have left behind. It ends by itself after them, and must not be killed before."""
    return any("resource_tracker" in part for part in command)


def input_name(key: str, number: int) -> str:
    """Shared memory with the voxels of job `number` of the process `key`, on their way to the worker."""
    return f"{key}-{number}i"


def output_name(key: str, number: int) -> str:
    """Shared memory with the voxels of that job's result, on their way back."""
    return f"{key}-{number}o"
