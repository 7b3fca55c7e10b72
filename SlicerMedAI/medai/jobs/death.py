"""Why a worker process ended, told from what it left behind."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

from medai.errors import MedAIError, WorkerDiedError
from medai.jobs.failures import mentions_memory, missing_package, out_of_memory

# Below this the system is about to end the largest process; 2 % of memory, at least 256 MB.
_SCARCE_FRACTION = 0.02
_SCARCE_BYTES = 256 * 1024**2

_NATIVE_CRASHES = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP", "SIGSYS"}
# NTSTATUS values that Windows gives as exit code: access violation, in-page error, illegal instruction, stack
# overflow, heap corruption, stack buffer overrun; and no memory, commitment limit.
_WINDOWS_CRASHES = {0xC0000005, 0xC0000006, 0xC000001D, 0xC00000FD, 0xC0000374, 0xC0000409}
_WINDOWS_NO_MEMORY = {0xC0000017, 0xC000012D}
_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")


def oom_kills() -> int:
    """How many processes Linux has ended for lack of memory since it started; 0 where that is not told."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def memory_is_scarce(available: int) -> bool:
    """Whether so few bytes are left that the system may end processes."""
    import psutil

    return bool(available < max(_SCARCE_BYTES, _SCARCE_FRACTION * psutil.virtual_memory().total))


def explain(exit_code: int | None, log: str, *, short_of_memory: bool, stage: str) -> MedAIError:
    """The error a person sees when the worker ended without being asked to.

    Parameters
    ----------
    exit_code : int or None
        As `subprocess.Popen` gives it: negative for a signal.
    log : str
        The end of what the worker wrote.
    short_of_memory : bool
        Whether the system was short of memory, or has ended a process for that, meanwhile.
    stage : str
        What the worker was doing, in a person's words; ``""`` when it had not started yet.
    """
    cause = _signal_name(exit_code)
    details = (
        f"Worker exit code: {exit_code}{f' ({cause})' if cause else ''}. Stage: {stage or 'starting'}.\n{log}".strip()
    )
    during = f" during '{stage}'" if stage else " while it was starting"
    if (cause == "SIGKILL" and short_of_memory) or _windows(exit_code) in _WINDOWS_NO_MEMORY or mentions_memory(log):
        return out_of_memory(details)
    missing = _MISSING_MODULE.search(log)
    if missing and not stage:
        return missing_package(missing[1], details)
    if cause in _NATIVE_CRASHES or _windows(exit_code) in _WINDOWS_CRASHES:
        return WorkerDiedError(
            f"The program that runs the model crashed{during}.",
            "A fault in its native code (PyTorch, a GPU driver or another library) ended it; your scene is unchanged.",
            "Try again with the device set to CPU; if it happens again, report it with the log.",
            details=details,
        )
    if cause:
        return WorkerDiedError(
            f"The program that runs the model was stopped{during}.",
            "The system, a security program or another person ended it; your scene is unchanged.",
            "Try again; if it happens again, close other programs or ask your administrator.",
            details=details,
        )
    return WorkerDiedError(
        f"The program that runs the model ended unexpectedly{during}.",
        "It closed without giving a reason; your scene is unchanged.",
        "Try again; if it happens again, report it with the log.",
        details=details,
    )


def _signal_name(exit_code: int | None) -> str:
    if exit_code is None or sys.platform == "win32":
        return ""
    # A launcher between us passes a signal on as 128 + its number, as shells do.
    number = -exit_code if exit_code < 0 else exit_code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def _windows(exit_code: int | None) -> int:
    return (exit_code or 0) & 0xFFFFFFFF if sys.platform == "win32" else 0
