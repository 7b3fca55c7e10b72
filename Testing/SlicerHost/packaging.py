"""Slicer's module ``slicer.packaging``. Nothing is ever installed by the stand-in."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .not_imitated import NotImitated

installer: Callable[[list[str]], None] | None = None
"""What a test puts here gets the requirements instead of pip."""


def load_requirements(path: str | Path) -> list:
    """Requirements in a file, comments and empty lines left out."""
    from packaging.requirements import Requirement

    lines = (line.split(" #")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pip_check(requirements: object) -> bool:
    """Whether all of them are installed in versions that fit."""
    return not _missing(requirements)


def pip_ensure(requirements: object, constraints: object = None, requester: str = "", **options: object) -> None:
    """Hand what is missing to the test's `installer`, after asking as Slicer does.

    Raises
    ------
    RuntimeError
        If the person declines.
    NotImitated
        If something is missing and no test has set `installer`.
    """
    import slicer

    missing = _missing(requirements)
    if not missing or (options.get("skip_in_testing", True) and slicer.app.testingEnabled()):
        return
    question = f"Install {', '.join(missing)}?"
    if options.get("prompt_install", True) and not slicer.util.confirmOkCancelDisplay(question, requester or None):
        raise RuntimeError(f"Declined: {question}")
    pip_install(missing, constraints=constraints)


def pip_install(requirements: object, **_options: object) -> None:
    """Hand the requirements to the test's `installer`."""
    if installer is None:
        raise NotImitated(
            "Installing packages", f"Asked for {requirements!r}; a test may set slicer.packaging.installer."
        )
    installer([str(item) for item in _list(requirements)])


def _missing(requirements: object) -> list[str]:
    from packaging.requirements import Requirement

    return [str(item) for item in _list(requirements) if not _is_installed(Requirement(str(item)))]


def _is_installed(requirement: object) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _list(requirements: object) -> list:
    if isinstance(requirements, str):
        return requirements.split()
    return list(requirements) if isinstance(requirements, (list, tuple)) else [requirements]
