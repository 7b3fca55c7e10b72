"""Installing, once and with consent, the Python packages that running a model needs.

What it does to the computer comes in from outside (ask, pip, PyTorch extension, check), see `slicer_installer`, so that
tests can put doubles there and a person's refusal or a missing network can be rehearsed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

from slicer.i18n import tr as _

REQUIREMENTS_FILE = Path(__file__).parents[1] / "Resources" / "medai_requirements.txt"
FAST_REQUIREMENTS_FILE = REQUIREMENTS_FILE.with_name("medai_requirements_fast.txt")
"""What makes models faster: installed together with the rest, and everything works without it."""

SLICERS_OWN = ("numpy", "SimpleITK", "pydicom", "vtk", "torch", "torchvision")
"""Pinned to their installed versions while pip runs. Slicer ships the first four, and other modules are built against
them; torch is the PyTorch extension's, which chose the build that fits the graphics card."""

DOWNLOAD_MB = {"torch": (200, 3000), "monai": (2, 2), "nibabel": (4, 4), "openvino": (30, 85)}
"""Approximate download in MB by package, least and most; packages not named here are below 1 MB. torch is about
200 MB for the processor alone and up to 3 GB with NVIDIA's libraries; openvino is 30 MB on a Mac, 85 MB on Windows."""


class Requirement:
    """One line of the requirements file, such as ``monai>=1.5``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.name = re.match(r"[\w.-]+", text).group()
        self.specifier = text[len(self.name) :].strip()

    @property
    def size(self) -> str:
        """Approximate download, as a person reads it."""
        least, most = DOWNLOAD_MB.get(self.name, (1, 1))
        if most > 1000:
            return _("{least} MB to {most} GB").format(least=least, most=most // 1000)
        if most > least:
            return _("{least} to {most} MB").format(least=least, most=most)
        return _("about {size} MB").format(size=most) if most > 1 else _("less than 1 MB")

    def isSatisfied(self) -> bool:
        """Whether a fitting version is installed. Reads the package's metadata; imports nothing."""
        # packaging comes with Slicer's own Python, and is needed only when a job is about to start.
        from packaging.specifiers import SpecifierSet

        version = installedVersion(self.name)
        return version is not None and SpecifierSet(self.specifier).contains(version, prereleases=True)


def installedVersion(name: str) -> str | None:
    """Version of an installed package, or None; imports nothing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def readRequirements(path: Path = REQUIREMENTS_FILE) -> list[Requirement]:
    """Requirements in the order in which they are installed (torch first)."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


class Installer:
    """Asks once, installs, and checks that the packages import.

    Parameters
    ----------
    ask : callable
        ``ask(title, text) -> bool``: the consent dialog.
    pipInstall : callable
        ``pipInstall(requirements, constraintsPath)``: installs a list of requirement texts; raises when it cannot.
    installTorch : callable
        ``installTorch(specifier)``: installs PyTorch in the build that fits this computer; raises when it cannot.
    check : callable
        ``check(moduleNames) -> str``: imports them in a child process; empty when that worked, else what it printed.
    requirements : list of Requirement, optional
        What is needed; the module's requirements file by default.
    optional : list of Requirement, optional
        What is installed along with it and may fail; the module's file of what makes models faster by default.
    log : callable, optional
        Gets a line of text for every step.
    """

    def __init__(
        self,
        *,
        ask: Callable[[str, str], bool],
        pipInstall: Callable[[list[str], Path], None],
        installTorch: Callable[[str], None],
        check: Callable[[list[str]], str],
        requirements: list[Requirement] | None = None,
        optional: list[Requirement] | None = None,
        log: Callable[[str], None] = logging.info,
    ) -> None:
        self._ask = ask
        self._pipInstall = pipInstall
        self._installTorch = installTorch
        self._check = check
        self._requirements = requirements
        self._optional = optional
        self.log = log

    def missing(self) -> list[Requirement]:
        """What is needed and not installed in a fitting version."""
        return [requirement for requirement in self.requirements if not requirement.isSatisfied()]

    @property
    def requirements(self) -> list[Requirement]:
        """Everything that is needed, installed or not."""
        if self._requirements is None:
            self._requirements = readRequirements()
        return self._requirements

    @property
    def optional(self) -> list[Requirement]:
        """What makes models faster, installed or not."""
        if self._optional is None:
            self._optional = readRequirements(FAST_REQUIREMENTS_FILE)
        return self._optional

    def ensure(self) -> bool:
        """Whether everything needed is installed; asks and installs first when something is missing.

        What is optional is offered and installed along with it. Alone it is not asked for: nobody wants to be asked at
        every Apply.

        Returns
        -------
        bool
            False when the person refused. Nothing was installed then.

        Raises
        ------
        medai.errors.DependencyError
            When something could not be installed, or does not import afterwards.
        """
        from medai.errors import DependencyError

        missing = self.missing()
        if not missing:
            return True
        optional = [requirement for requirement in self.optional if not requirement.isSatisfied()]
        if not self._ask(_("MedAI - first use"), consentText(missing, optional)):
            self.log(_("Nothing was installed, as you chose."))
            return False
        try:
            self._install(missing)
        except DependencyError:
            raise
        except Exception as error:  # pip, the PyTorch extension and Slicer raise what they like
            logging.exception("Installing %s failed", [requirement.text for requirement in missing])
            raise DependencyError(
                _("The packages that the model needs could not be installed."),
                _("The installer stopped: there may be no connection to the internet, or too little disk space."),
                _("Check the connection and press Apply again, or install them by hand."),
                details=str(error),
            ) from error
        importlib.invalidate_caches()  # Python remembers what its folders held before
        self.log(_("Checking that the packages work..."))
        complaint = self._check(["torch", "monai"])
        if complaint:
            raise DependencyError(
                _("The packages are installed, but they do not start on this computer."),
                complaint.strip().splitlines()[-1],
                _("Restart Slicer and try again. If that does not help, reinstall PyTorch (module PyTorch Utils)."),
                details=complaint,
            )
        self.log(_("The packages work."))
        for requirement in optional:
            self._tryToInstall(requirement)
        return True

    def _install(self, missing: list[Requirement]) -> None:
        others = []
        for requirement in missing:
            if requirement.name == "torch":
                self.log(_("Installing PyTorch..."))
                self._installTorch(requirement.specifier)
            else:
                others.append(requirement.text)
        if others:
            self.log(_("Installing {packages}...").format(packages=", ".join(others)))
            with constraints() as path:
                self._pipInstall(others, path)

    def _tryToInstall(self, requirement: Requirement) -> None:
        self.log(_("Installing {packages}...").format(packages=requirement.text))
        try:
            with constraints() as path:
                self._pipInstall([requirement.text], path)
        except Exception as error:  # there is no build for every system, for one
            logging.warning("Installing %s failed: %s", requirement.text, error)
            self.log(_("{package} was not installed: {error}").format(package=requirement.name, error=error))
            self.log(_("Models run without it, more slowly on the processor."))
        importlib.invalidate_caches()


@contextmanager
def constraints() -> Iterator[Path]:
    """A pip constraints file that keeps Slicer's own packages at the versions they have."""
    versions = {name: installedVersion(name) for name in SLICERS_OWN}
    with tempfile.TemporaryDirectory(prefix="medai-") as folder:
        path = Path(folder) / "constraints.txt"
        lines = [f"{name}=={version}\n" for name, version in versions.items() if version]
        path.write_text("".join(lines), encoding="utf-8")
        yield path


def consentText(missing: list[Requirement], optional: list[Requirement] = ()) -> str:
    """What the consent dialog says: every package that will be installed, how much is downloaded, and what for."""
    lines = [f"  - {requirement.name}  ({requirement.size})" for requirement in missing]
    faster = _("optional: makes models several times faster on the processor")
    lines += [f"  - {requirement.name}  ({requirement.size}; {faster})" for requirement in optional]
    return "\n".join([
        _("Models run with Python packages that are not part of Slicer. To be downloaded and installed into Slicer:"),
        "",
        *lines,
        "",
        _("This happens once and takes a few minutes. Slicer's own packages are left as they are. Your images stay on "
          "this computer."),
        "",
        _("Install now?"),
    ])  # fmt: skip


def offlineText(missing: list[Requirement], optional: list[Requirement] = ()) -> str:
    """How to install without a connection, as HTML for the panel."""
    faster = " ".join(f'"{requirement.text}"' for requirement in optional)
    names = [requirement.text for requirement in missing]
    download = escape("PythonSlicer -m pip download -d wheels " + " ".join(f'"{name}"' for name in names))
    arguments = ["--no-index", "--find-links", "wheels", *names]
    install = escape(f"slicer.util.pip_install({arguments})".replace(", ", ",\n "))
    return "".join([
        "<b>", _("Models cannot run yet: Python packages are missing."), "</b><p>",
        _("With internet: press Apply and agree to the installation."), "</p><p>",
        _("Without: on a connected computer with the same system and the same version of Slicer, run"),
        f"</p><p><code>{download}</code></p><p>",
        _("copy the folder <i>wheels</i> to this computer, and enter in Slicer's Python console, with the folder's "
          "full path in place of <i>wheels</i>"),
        f"</p><pre>{install}</pre>",
        _("Models are several times faster on the processor with {packages} in both lines.").format(
            packages=f"<code>{escape(faster)}</code>"
        ) if faster else "",
    ])  # fmt: skip
