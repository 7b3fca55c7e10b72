"""The `Installer` as it works in Slicer: its dialogs, its pip, the PyTorch extension, PythonSlicer for the check."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from MedAISegmentationLib.install import Installer

CHECK_TIMEOUT_S = 300.0
"""The very first import of torch reads gigabytes, past a virus scanner on many hospital computers."""


def slicerInstaller(log: Callable[[str], None]) -> Installer:
    """An installer for the running Slicer.

    Parameters
    ----------
    log : callable
        Gets a line of text for every step.
    """
    return Installer(ask=ask, pipInstall=pipInstall, installTorch=installTorch, check=check, log=log)


def ask(title: str, text: str) -> bool:
    """The consent dialog."""
    return slicer.util.confirmOkCancelDisplay(text, title)


def pipInstall(requirements: list[str], constraints: Path) -> None:
    """Install with Slicer's pip, in the way this version of Slicer offers."""
    try:
        from slicer.packaging import pip_ensure  # Slicer 5.12 and later: a progress window that can be followed
    except ImportError:
        with slicer.util.WaitCursor():
            slicer.util.pip_install(["--constraint", str(constraints), *requirements])
    else:
        pip_ensure(requirements, constraints=constraints, prompt_install=False, requester="MedAI")


def installTorch(specifier: str) -> None:
    """Install torch through the PyTorch extension, which knows the build for this computer's graphics card.

    Raises
    ------
    medai.errors.DependencyError
        When the extension is missing or could not install it.
    """
    from medai.errors import DependencyError

    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise DependencyError(
            _("PyTorch could not be installed."),
            _("The PyTorch extension is not installed in this Slicer."),
            _("Open the Extensions Manager, install the extension 'PyTorch', restart Slicer, and press Apply again."),
            details=str(error),
        ) from error
    # Consent has been given for everything together, in one dialog.
    torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=specifier)
    if torch is None:
        raise DependencyError(
            _("PyTorch could not be installed."),
            _("The PyTorch extension did not succeed."),
            _("Open the module 'PyTorch Utils' and install PyTorch there, then press Apply again."),
        )


def check(moduleNames: list[str]) -> str:
    """Import packages in a child process; what it printed when that failed, else empty.

    A child, because a broken or mismatched library may end the process that loads it, and because torch has no
    business in Slicer's own. Slicer's window stays alive meanwhile.
    """
    from medai.jobs.process import python_executable

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        child = subprocess.Popen(  # noqa: S603 - no shell, and names of our own
            [str(python_executable()), "-c", f"import {', '.join(moduleNames)}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        deadline = time.monotonic() + CHECK_TIMEOUT_S
        while child.poll() is None and time.monotonic() < deadline:
            slicer.app.processEvents()
            time.sleep(0.02)
        if child.poll() is None:
            child.kill()
            child.wait()
            return _("They did not answer within {minutes} minutes.").format(minutes=round(CHECK_TIMEOUT_S / 60))
        if child.returncode == 0:
            return ""
        output.seek(0)
        return output.read().strip() or _("The check ended with code {code}.").format(code=child.returncode)
