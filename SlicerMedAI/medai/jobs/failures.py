"""What a person reads when a job ends without a result. Standard library only: both sides of a worker use it."""

from __future__ import annotations

import errno
import re
import traceback

from medai.errors import (
    DependencyError,
    InputError,
    JobCancelled,
    JobError,
    MedAIError,
    OutOfMemoryError,
    WorkerDiedError,
)

_MEMORY_WORDS = re.compile(
    # The last is how the loader of libraries says it; with a reason behind it, it is something else.
    r"\bMemoryError\b|bad_alloc|out of memory|not enough memory|(cannot|can't) allocate memory"
    r"|failed to map segment from shared object$",
    re.IGNORECASE | re.MULTILINE,
)


_WITHOUT_REGION = {
    "synthesize": "Close other programs, or use a computer with more memory: it makes images of one size only.",
    "forecast": "Close other programs, crop the images to the structure, or use a computer with more memory.",
    "change": "Close other programs, crop the images to the structure, or use a computer with more memory.",
    "evaluate": "Close other programs, leave out the largest cases, or use a computer with more memory.",
    "compress": "Close other programs, leave out the largest cases, or use a computer with more memory.",
    "export": "Close other programs, or use a computer with more memory.",
    "prepare": "Close other programs, or use a computer with more memory.",
    "train": "Close other programs and start the same training again: it goes on from its last checkpoint. With a "
    "smaller patch_size, batch_size or width it needs less memory, but begins anew.",
}
"""What helps when memory ran out in tasks that look at no chosen part of an image."""
_KILLED = {
    "train": "Start the same training again: it goes on from its last checkpoint. If it ends like this again, close "
    "other programs, or report it with the log.",
}
"""What helps when the worker was ended in the middle of a task that does not begin anew."""


def advised(error: MedAIError, task: str) -> MedAIError:
    """The same error; when memory ran out, or the worker was ended, with what helps in this task."""
    for kind, advice in ((OutOfMemoryError, _WITHOUT_REGION), (WorkerDiedError, _KILLED)):
        if isinstance(error, kind) and task in advice:
            return kind(error.what, error.why, advice[task], details=error.details)
    return error


def cancelled() -> JobCancelled:
    """What every cancelled job raises."""
    return JobCancelled(
        "The job was cancelled.", "You asked for it.", "Nothing was changed; start it again at any time."
    )


def out_of_memory(details: str) -> OutOfMemoryError:
    """The one text for all ways of running out of memory."""
    return OutOfMemoryError(
        "The computer ran out of memory while running the model.",
        "The image, or the model's window on it, needs more memory than is free.",
        "Close other programs, crop the image or choose a region around the structure, then try again.",
        details=details,
    )


def missing_package(name: str, details: str) -> DependencyError:
    """A Python package that the worker needs is not there."""
    package = name.split(".", maxsplit=1)[0]
    how = (
        "In Slicer, install the PyTorch extension and let it install PyTorch; elsewhere run 'pip install torch'."
        if package == "torch"
        else f"In Slicer, open the module again and agree to the installation; elsewhere run 'pip install {package}'."
    )
    return DependencyError(
        f"The Python package '{package}' is not installed.",
        "The program that runs models cannot work without it.",
        how,
        details=details,
    )


def broken_package(error: BaseException, details: str) -> DependencyError:
    """A Python package is there but cannot be loaded: another version, a missing system library."""
    name = getattr(error, "name", None) or "a Python package"
    return DependencyError(
        f"The installation of '{name}' is damaged or does not fit this computer.",
        f"Loading it failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}.",
        "Install it again; for PyTorch in Slicer, use the PyTorch extension and restart Slicer.",
        details=details,
    )


def mentions_memory(text: str) -> bool:
    """Whether a message or log tells of memory that ran out."""
    return bool(_MEMORY_WORDS.search(text))


def explain_exception(error: BaseException) -> MedAIError:
    """The typed, readable error for anything a task has raised; the traceback goes into its details."""
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    if isinstance(error, JobCancelled):
        return cancelled()
    if isinstance(error, MedAIError):
        # A refused input is no fault of the program: its three sentences say all there is.
        if not isinstance(error, InputError) and trace not in error.details:
            error.details = f"{error.details}\n{trace}".strip()
        return error
    # torch.OutOfMemoryError by name: torch may not be imported at all.
    torch_says_so = type(error).__name__ == "OutOfMemoryError"
    if (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or torch_says_so
        or (isinstance(error, (RuntimeError, ImportError)) and mentions_memory(str(error)))
    ):
        return out_of_memory(trace)
    if isinstance(error, ImportError):
        absent = isinstance(error, ModuleNotFoundError) and error.name
        return missing_package(absent, trace) if absent else broken_package(error, trace)
    reason = " ".join(str(error).split())[:200]
    return JobError(
        "The model could not finish its work on this image.",
        f"It stopped with: {reason}" if reason else "It stopped without giving a reason.",
        "Check that the image is what the model was made for; if it is, report this with the log.",
        details=trace,
    )
