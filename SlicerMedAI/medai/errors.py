"""The errors a person can meet, each saying what happened, why, and what to do now.

Every error that leaves ``medai`` on purpose derives from `MedAIError`. Its text is written for a clinician: no
class names, no tracebacks. Developers find the technical cause in ``__cause__`` and in `MedAIError.details`.
"""

from __future__ import annotations

import unicodedata


class MedAIError(Exception):
    """A failure explained in three sentences.

    Parameters
    ----------
    what : str
        What happened, one sentence.
    why : str
        Why it happened, one sentence.
    remedy : str
        What the person can do now, one sentence.
    details : str, optional
        Technical text for the log (a worker's traceback, a file name); never needed to understand the error.
    """

    def __init__(self, what: str, why: str = "", remedy: str = "", *, details: str = "") -> None:
        what, why, remedy = printable(what), printable(why), printable(remedy)
        super().__init__(what, why, remedy)
        self.what = what
        self.why = why
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return " ".join(sentence for sentence in (self.what, self.why, self.remedy) if sentence)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only `details` must survive the way from the worker process to its parent.
        return _rebuild, (type(self), self.what, self.why, self.remedy, self.details)


def printable(text: str) -> str:
    """Text without control characters, which a terminal obeys, and those that turn the direction of writing.

    Names of files, models and series are quoted to people; such characters make one name look like another, or worse.
    """
    if text.isprintable():
        return text
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def _rebuild(kind: type[MedAIError], what: str, why: str, remedy: str, details: str) -> MedAIError:
    error = MedAIError.__new__(kind)
    MedAIError.__init__(error, what, why, remedy, details=details)
    return error


class InputError(MedAIError):
    """The image, or a parameter given with it, cannot be used."""


class NothingToSeeError(InputError):
    """An image, or the chosen part of it, shows nothing: one value everywhere, or none that is valid."""


class GeometryError(InputError):
    """Spacing, axes, extent or a transform make the image unusable, or two images do not lie in the same place."""


class ReadError(InputError):
    """A file or folder cannot be read as an image."""


class WriteError(MedAIError):
    """A result cannot be written: disk full, folder read-only, unknown format."""


class BundleError(MedAIError):
    """A model bundle cannot be used."""


class UnfitImageError(BundleError):
    """A model fails on an image, which says nothing about the next one."""


class BundleNotFoundError(BundleError):
    """No model of that name is installed."""


class BundleFormatError(BundleError):
    """The bundle is incomplete, truncated or does not follow the MONAI bundle specification."""


class BundleTamperedError(BundleError):
    """A file of the bundle is not the file that was pinned by its SHA-256."""


class UntrustedBundleError(BundleError):
    """The bundle would run code beyond monai, torch and numpy, and nobody has trusted it by its hash yet."""


class MaliciousBundleError(BundleError):
    """The bundle holds something no honest model needs: a pickle that runs code, a path that leaves its folder."""


class DependencyError(MedAIError):
    """A Python package or system library that the job needs is missing."""


class JobError(MedAIError):
    """A job ended without a result."""


class JobCancelled(JobError):  # noqa: N818 - a person asked for it, so it is no error to them
    """The person cancelled the job."""


class WorkerDiedError(JobError):
    """The worker process ended unexpectedly: killed, crashed in native code."""


class OutOfMemoryError(JobError):
    """The computer or the GPU ran out of memory during the job."""


class SceneError(MedAIError):
    """The scene cannot take the result: it was closed, or the input node is gone."""
