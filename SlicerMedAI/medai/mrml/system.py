"""Does this machine have what VTK needs to draw? Asked before anything is loaded that would crash without it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import Any

PACKAGES = "libegl1 libgl1-mesa-dri"


def missing_system_libraries() -> str | None:
    """What to install so that pictures can be made, or None when nothing is missing.

    Windows, macOS and Slicer itself bring OpenGL along. On Linux VTK loads it when it first draws, and ends the whole
    process with a segmentation fault when it cannot; so a child process tries it first (about a second).

    Returns
    -------
    str or None
        A sentence with the command for Debian and Ubuntu.
    """
    if not sys.platform.startswith("linux") or hasattr(sys.modules.get("slicer"), "app"):
        return None
    libraries = [name for name in ("libEGL.so.1", "libOSMesa.so.8") if _loads(name)]
    if not os.environ.get("DISPLAY") and not libraries:
        return _sentence("the system library libEGL.so.1 (OpenGL without a screen) is not installed")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "medai.mrml.system", "--probe"]
    try:
        probe = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return _sentence("OpenGL did not answer within two minutes")
    if probe.returncode != 0:
        return _sentence("no OpenGL driver could be started (software rendering by Mesa is enough)")
    return None


def _sentence(why: str) -> str:
    return (
        f"Pictures cannot be drawn: {why}. Install it with 'sudo apt-get install {PACKAGES}' (Debian, Ubuntu), "
        "or your system's packages of the same purpose; then try again."
    )


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def offscreen_window() -> Any:
    """A vtkRenderWindow that draws into memory, on a screen, a GPU without a screen, or Mesa."""
    from vtkmodules import vtkRenderingOpenGL2
    from vtkmodules.vtkRenderingCore import vtkRenderWindow

    kind: Any = vtkRenderWindow
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        # Left to itself VTK would look for an X server first, and complain or crash.
        names = {"libEGL.so.1": "vtkEGLRenderWindow", "libOSMesa.so.8": "vtkOSOpenGLRenderWindow"}
        found = (getattr(vtkRenderingOpenGL2, names[name], None) for name in names if _loads(name))
        kind = next((candidate for candidate in found if candidate is not None), vtkRenderWindow)
    window = kind()
    window.SetOffScreenRendering(1)
    return window


def _probe() -> int:
    window = offscreen_window()
    window.SetSize(8, 8)
    window.Render()
    return 0 if window.SupportsOpenGL() else 1


if __name__ == "__main__":
    if "--probe" in sys.argv:
        sys.exit(_probe())
    if message := missing_system_libraries():
        sys.exit(message)
