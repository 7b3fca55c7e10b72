"""Prepare ``.venv`` for ``make demo``, ``make test`` and ``make bench``, saying what it does and what it reuses.

Standard library only: it runs before anything is installed. Missing system libraries are named first, because without
them everything would install for minutes and fail at the end.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
TORCH = "2.13.0"

# Shared library that is loaded at run time -> Debian/Ubuntu package that holds it. VTK draws through EGL without a
# screen; Qt, which only the tests need, loads the others.
DRAWING = {"libEGL.so.1": "libegl1"}
QT = {
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libglib-2.0.so.0": "libglib2.0-0",
}
LIBRARIES = {"demo": DRAWING, "test": DRAWING | QT}
# One of these must exist for EGL to draw: Mesa's software driver, or NVIDIA's own.
DRIVERS = ("dri/*swrast_dri.so", "libgallium-*.so", "libEGL_nvidia.so.0")


def missing_packages(purpose: str) -> list[str]:
    """Debian packages to install first; empty on systems other than Linux."""
    if sys.platform != "linux":
        return []
    packages = [] if importlib.util.find_spec("ensurepip") else ["python3-venv"]
    for library, package in LIBRARIES[purpose].items():
        try:
            ctypes.CDLL(library)
        except OSError:
            packages.append(package)
    folders = [Path("/usr/lib"), Path("/usr/lib64"), *Path("/usr/lib").glob("*-linux-gnu")]
    if not any(any(folder.glob(driver)) for folder in folders for driver in DRIVERS):
        packages.append("libgl1-mesa-dri")
    return packages


def has_nvidia_gpu() -> bool:
    """Whether the NVIDIA driver answers; without it the CUDA build of torch is gigabytes of dead weight."""
    tool = shutil.which("nvidia-smi")
    return bool(tool) and subprocess.run([tool, "-L"], capture_output=True, check=False).returncode == 0


def pip(*arguments: str, quiet: bool = False) -> bool:
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, stderr=subprocess.DEVNULL if quiet else None, check=False).returncode == 0


def install_torch() -> bool:
    """The CPU build where no NVIDIA GPU is found. Several ways lead to it, none of them knows an address."""
    if sys.platform != "linux" or has_nvidia_gpu():
        return pip(f"torch=={TORCH}")
    print(f"  torch {TORCH}, CPU build: no NVIDIA GPU was found")
    # 1. The configured package index or wheel folder offers CPU builds under their local version label.
    if pip(f"torch=={TORCH}+cpu", quiet=True):
        return True
    # 2. uv knows PyTorch's own index.
    if pip("uv", quiet=True):
        uv = [str(PYTHON), "-m", "uv", "pip", "install", "--quiet", "--python", str(PYTHON), "--torch-backend", "cpu"]
        if subprocess.run([*uv, f"torch=={TORCH}"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return True
    # 3. Whatever the index has; on Linux x86-64 this may be the CUDA build, which also runs on the CPU.
    print("  no CPU build was offered here: installing the index's own build, which may be large")
    return pip(f"torch=={TORCH}")


def fingerprint(extras: str) -> str:
    content = (ROOT / "pyproject.toml").read_bytes() + extras.encode() + sys.version.encode() + TORCH.encode()
    return hashlib.sha256(content).hexdigest()


def prepare(purpose: str, extras: str) -> int:
    """Return a process exit status."""
    if sys.version_info < (3, 10):  # noqa: UP036 - this file is what tells people so
        print(f"Python 3.10 or newer is needed; this is {sys.version.split()[0]}. On Debian: apt-get install python3")
        return 1
    if packages := missing_packages(purpose):
        print("System libraries are missing. Install them first, then run the same command again:")
        print(f"  sudo apt-get update && sudo apt-get install -y {' '.join(packages)}")
        return 1
    stamp = VENV / f"medai-{purpose}.stamp"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == fingerprint(extras):
        print(f"Reusing {VENV.name}: its packages are those that pyproject.toml asks for.")
        return 0
    if not PYTHON.exists():
        print(f"Creating {VENV.name} ({sys.version.split()[0]})")
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    has_torch = [str(PYTHON), "-c", f"import importlib.metadata as m; assert m.version('torch').startswith('{TORCH}')"]
    if subprocess.run(has_torch, capture_output=True, check=False).returncode == 0:
        print("  torch is already there")
    elif not install_torch():
        print(
            "torch could not be installed. Check the network (or your pip configuration), then run the command again."
        )
        return 1
    print(f"  medai with its extras [{extras}]")
    if not pip(f"torch=={TORCH}", "--editable", f"{ROOT}[{extras}]"):
        print("The packages could not be installed. Check the network, then run the command again.")
        return 1
    stamp.write_text(fingerprint(extras))
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("purpose", choices=sorted(LIBRARIES))
    parser.add_argument("--extras", required=True, help="extras of pyproject.toml, comma-separated")
    options = parser.parse_args()
    sys.exit(prepare(options.purpose, options.extras))
