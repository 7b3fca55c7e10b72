"""The extension, configured and installed by the real CMake against a stand-in for Slicer's CMake package."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Extension:
    """Where the extension was built and installed, and what its lists said."""

    source: Path
    build: Path
    install: Path
    recorded: tuple[tuple[str, str, str], ...]
    metadata: dict[str, str]

    @property
    def modules(self) -> Path:
        """Where Slicer's Python finds the installed modules."""
        return self.install / "lib/Slicer-5.12/qt-scripted-modules"

    def listed(self, target: str) -> set[str]:
        """Scripts and resources of a target, relative to its folder."""
        return {name for kind, owner, name in self.recorded if kind in {"script", "resource"} and owner == target}


@pytest.fixture(scope="session")
def a_source_folder() -> Path:
    """The repository."""
    return HERE.parents[2]


@pytest.fixture(scope="session")
def cmake() -> str:
    """The cmake program."""
    found = shutil.which("cmake")
    if not found:
        pytest.skip("CMake is not installed.")
    return found


@pytest.fixture(scope="session")
def an_installed_extension(cmake, a_source_folder, tmp_path_factory) -> Extension:
    """The repository as it is on disk, through cmake configure and install."""
    build, install = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("install")
    configure(cmake, a_source_folder, build)
    run(cmake, "--install", str(build), "--prefix", str(install))
    lines = (build / "recorded.txt").read_text().splitlines()
    pairs = (line.split("=", 1) for line in (build / "extension.txt").read_text().splitlines())
    recorded = tuple(tuple(line.split(" ", 2)) for line in lines)
    return Extension(a_source_folder, build, install, recorded, dict(pairs))


def configure(cmake: str, source: Path, build: Path) -> None:
    """Configure the extension against the stand-in."""
    run(
        cmake,
        *("-S", str(source), "-B", str(build)),
        f"-DSlicer_DIR={HERE / 'fake_slicer'}",
        f"-DCMAKE_TOOLCHAIN_FILE={HERE / 'fake_slicer' / 'NoCompiler.cmake'}",
        "-DBUILD_TESTING=ON",
    )


def run(*command: str) -> None:
    """Run a program; fail with what it printed."""
    # The fake compiler must not be mixed up with flags that somebody set for a real one.
    environment = {name: value for name, value in os.environ.items() if name not in {"CC", "CXX", "CFLAGS", "CXXFLAGS"}}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
