"""From whatever MONAI, PyTorch or a bundle's own transforms raise to an error a person understands."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from medai.engine.memory import is_out_of_memory, out_of_memory
from medai.errors import BundleError, BundleFormatError, DependencyError, MedAIError

UNFIT_IMAGE = "Check that the image is of the kind this model expects; if it is, tell the model's authors."
# MONAI divides by what is left of a thin edge; PyTorch refuses to compute with it, each layer in its own words.
_NOTHING_LEFT = re.compile(
    r"cannot convert float infinity|sizes should be greater than 0|Kernel size can't be greater than actual input size"
)
UNFIT_MODEL = "Import or download the model again; if that does not help, it was made for another version of MONAI."


@contextmanager
def explained(
    what: str, model: str, device: str, *, kind: type[BundleError] = BundleError, remedy: str = UNFIT_IMAGE
) -> Iterator[None]:
    """Inside the ``with`` block, turn foreign exceptions into ours; the traceback goes into the details.

    Parameters
    ----------
    what : str
        What failed, one sentence.
    model : str
        Name of the bundle.
    device : str
        Where it runs, for an error about memory.
    kind : type
        Of the error when nothing better is known.
    remedy : str
        What to do now.

    Raises
    ------
    OutOfMemoryError
        When the computer or its GPU has too little memory.
    DependencyError
        When a Python package is missing.
    BundleError
        Otherwise, of the given kind.
    """
    try:
        yield
    except MedAIError:
        raise
    except Exception as error:
        said = _said(error)
        if said is not None:
            raise said from error
        if is_out_of_memory(error):
            raise out_of_memory(error, device) from error
        package = _missing_package(error)
        details = "".join(traceback.format_exception(error))
        if package:
            raise DependencyError(
                f"The model '{model}' needs a part that is not installed.",
                f"The Python package '{package}' is missing.",
                f"Install '{package}' into the same Python, then try again.",
                details=details,
            ) from error
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        message = str(cause).strip().splitlines() or [type(cause).__name__]
        why = f"The model '{model}' says: {message[0][:300].rstrip('.')}."
        if _NOTHING_LEFT.search(message[0]):
            why = f"The image is too thin: brought to the size '{model}' works at, too little is left along one edge."
            remedy = "Choose an image that is thicker there, or a model of single slices."
        raise kind(what, why, remedy, details=details) from error


def unusable(model: str, why: str) -> BundleFormatError:
    """The error for a bundle that lacks a part nobody can do without."""
    return BundleFormatError(
        f"The model '{model}' cannot be used here.",
        f"{why}.",
        "Ask its authors for a bundle that follows the MONAI bundle specification.",
    )


def _said(error: BaseException) -> MedAIError | None:
    """What one of medai's own steps said, which MONAI wraps on its way up."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, MedAIError):
        cause = cause.__cause__
    return cause


def _missing_package(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return cause.name.partition(".")[0]
        # MONAI's own three ways to say so.
        told = r"^required package `([\w-]+)|^(\w+)(?:\.\w+)* required\.?$|\(No module named '(\w+)[\w.]*'\)"
        named = re.search(told, str(cause))
        if named:
            name = (named[1] or named[2] or named[3]).lower()
            return "scikit-image" if name == "skimage" else name
        cause = cause.__cause__ or cause.__context__
    return ""
