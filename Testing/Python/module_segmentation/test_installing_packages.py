"""First use: consent, installation, check; and what happens when one of them fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from medai.errors import DependencyError

ABSENT = "no-such-package-for-medai"


class Rehearsal:
    """An installer whose dealings with the computer are doubles, and what they were asked to do."""

    def __init__(
        self, install, *, requirements, optional=(), consent=True, pip=None, fast=None, torch=None, complaint=""
    ) -> None:
        self.done: list[tuple] = []
        self.log: list[str] = []
        self.constraints = ""

        def ask(title, text):
            self.done.append(("ask", title, text))
            return consent

        def pip_install(names, constraints: Path):
            self.done.append(("pip", names))
            self.constraints = constraints.read_text()
            if pip and names != list(optional):
                raise pip
            if fast and names == list(optional):
                raise fast

        def install_torch(specifier):
            self.done.append(("torch", specifier))
            if torch:
                raise torch

        def check(modules):
            self.done.append(("check", modules))
            return complaint

        self.installer = install.Installer(
            ask=ask,
            pipInstall=pip_install,
            installTorch=install_torch,
            check=check,
            requirements=[install.Requirement(text) for text in requirements],
            optional=[install.Requirement(text) for text in optional],
            log=self.log.append,
        )

    @property
    def steps(self) -> list[str]:
        return [step[0] for step in self.done]


@pytest.fixture
def rehearse(a_slicer):
    from MedAISegmentationLib import install

    return lambda **doubles: Rehearsal(install, **doubles)


def test_nothing_is_asked_when_everything_is_installed(rehearse):
    rehearsal = rehearse(requirements=["pytest>=8", "numpy"])
    assert rehearsal.installer.ensure() is True
    assert rehearsal.done == []


def test_consent_names_exactly_what_is_missing_and_how_large_it_is(rehearse):
    rehearsal = rehearse(requirements=["pytest>=8", f"{ABSENT}>=1", "torch>=99"], consent=False)
    rehearsal.installer.ensure()
    text = rehearsal.done[0][2]
    assert ABSENT in text
    assert "torch  (200 MB to 3 GB)" in text
    assert "pytest" not in text


def test_refusal_installs_nothing(rehearse):
    rehearsal = rehearse(requirements=[ABSENT, "torch>=99"], consent=False)
    assert rehearsal.installer.ensure() is False
    assert rehearsal.steps == ["ask"]


def test_consent_installs_torch_first_then_the_rest_and_checks_that_they_import(rehearse):
    rehearsal = rehearse(requirements=["torch>=99", f"{ABSENT}>=1"])
    assert rehearsal.installer.ensure() is True
    assert rehearsal.done[1:] == [("torch", ">=99"), ("pip", [f"{ABSENT}>=1"]), ("check", ["torch", "monai"])]


def test_an_outdated_package_counts_as_missing(rehearse):
    assert [r.name for r in rehearse(requirements=["pytest>=999", "pytest>=1"]).installer.missing()] == ["pytest"]


def test_packages_that_slicer_ships_and_torch_are_pinned_while_pip_runs(rehearse):
    import importlib.metadata

    rehearsal = rehearse(requirements=[ABSENT])
    rehearsal.installer.ensure()
    for name in ("numpy", "SimpleITK", "pydicom", "torch"):
        assert f"{name}=={importlib.metadata.version(name)}\n" in rehearsal.constraints


def test_no_network_is_told_with_a_remedy_and_the_details_apart(rehearse):
    rehearsal = rehearse(requirements=[ABSENT], pip=RuntimeError("exit status 1: [Errno 11001] getaddrinfo failed"))
    with pytest.raises(DependencyError) as caught:
        rehearsal.installer.ensure()
    assert "internet" in caught.value.why
    assert "getaddrinfo" not in str(caught.value)
    assert "getaddrinfo" in caught.value.details


def test_what_the_pytorch_extension_explains_is_passed_on_unchanged(rehearse):
    explained = DependencyError("PyTorch could not be installed.", "The extension is missing.", "Install it.")
    rehearsal = rehearse(requirements=["torch>=99", ABSENT], torch=explained)
    with pytest.raises(DependencyError) as caught:
        rehearsal.installer.ensure()
    assert caught.value is explained
    assert "pip" not in rehearsal.steps


def test_packages_that_do_not_import_are_an_error_although_pip_succeeded(rehearse):
    complaint = "Traceback (most recent call last):\n  ...\nOSError: [WinError 126] c10.dll"
    rehearsal = rehearse(requirements=[ABSENT], complaint=complaint)
    with pytest.raises(DependencyError) as caught:
        rehearsal.installer.ensure()
    assert caught.value.why == "OSError: [WinError 126] c10.dll"
    assert caught.value.details == complaint


FASTER = "no-such-faster-package-for-medai>=1"


def test_what_makes_models_faster_is_named_in_the_one_dialog_and_installed_last(rehearse):
    rehearsal = rehearse(requirements=["torch>=99", ABSENT], optional=[FASTER])
    assert rehearsal.installer.ensure()
    assert rehearsal.steps == ["ask", "torch", "pip", "check", "pip"]
    asked = rehearsal.done[0][2]
    assert "no-such-faster-package-for-medai  (less than 1 MB; optional: makes models several times faster" in asked
    assert rehearsal.done[-1] == ("pip", [FASTER])


def test_what_makes_models_faster_may_fail_without_harm(rehearse, warned):
    no_build = RuntimeError("No matching distribution found")
    rehearsal = rehearse(requirements=[ABSENT], optional=[FASTER], fast=no_build)
    assert rehearsal.installer.ensure()
    assert any("No matching distribution found" in line for line in rehearsal.log)
    assert any("Models run without it" in line for line in rehearsal.log)
    assert any(FASTER in line for line in warned)


def test_after_a_refusal_nothing_optional_is_installed_either(rehearse):
    rehearsal = rehearse(requirements=[ABSENT], optional=[FASTER], consent=False)
    assert not rehearsal.installer.ensure()
    assert rehearsal.steps == ["ask"]


def test_nobody_is_asked_for_what_is_only_optional(rehearse):
    rehearsal = rehearse(requirements=["pytest"], optional=[FASTER])
    assert rehearsal.installer.ensure()
    assert rehearsal.steps == []


def test_openvino_is_offered_with_its_size(a_slicer):
    from MedAISegmentationLib.install import FAST_REQUIREMENTS_FILE, Requirement, consentText, readRequirements

    optional = readRequirements(FAST_REQUIREMENTS_FILE)
    assert "openvino  (30 to 85 MB; optional" in consentText([Requirement(ABSENT)], optional)


def test_the_offline_text_names_what_makes_models_faster(a_slicer):
    from MedAISegmentationLib.install import Requirement, offlineText

    assert "faster" not in offlineText([Requirement(ABSENT)])
    assert "no-such-faster-package-for-medai&gt;=1" in offlineText([Requirement(ABSENT)], [Requirement(FASTER)])


def test_the_offline_text_is_a_command_that_python_understands(a_slicer):
    import ast
    import html
    import re

    from MedAISegmentationLib.install import offlineText, readRequirements

    text = offlineText(readRequirements())
    command = html.unescape(re.search(r"<pre>(.*?)</pre>", text, re.DOTALL).group(1))
    arguments = ast.literal_eval(ast.parse(command).body[0].value.args[0])
    assert arguments[:3] == ["--no-index", "--find-links", "wheels"]
    assert "torch>=2.4" in arguments


def test_requirements_are_read_with_torch_first(a_slicer):
    from MedAISegmentationLib.install import readRequirements

    assert readRequirements()[0].name == "torch"


def test_the_check_imports_in_a_child_process_and_reports_what_that_printed(a_slicer):
    from MedAISegmentationLib.slicer_installer import check

    assert check(["json", "numpy"]) == ""
    assert "no_such_module_for_medai" in check(["no_such_module_for_medai"])


def test_slicers_pip_gets_the_requirements_of_a_consented_installation(a_slicer, monkeypatch):
    import slicer.packaging
    from MedAISegmentationLib.slicer_installer import pipInstall

    asked = []
    monkeypatch.setattr(slicer.packaging, "installer", asked.append)
    pipInstall([f"{ABSENT}>=1"], Path("constraints.txt"))
    assert asked == [[f"{ABSENT}>=1"]]


def test_a_slicer_without_pip_ensure_is_served_by_pip_install(a_slicer, monkeypatch):
    import slicer
    from MedAISegmentationLib.slicer_installer import pipInstall

    asked = []
    monkeypatch.delattr("slicer.packaging.pip_ensure")
    monkeypatch.setattr(slicer.util, "pip_install", asked.append, raising=False)
    pipInstall([f"{ABSENT}>=1"], Path("constraints.txt"))
    assert asked == [["--constraint", "constraints.txt", f"{ABSENT}>=1"]]


def test_without_the_pytorch_extension_a_person_is_told_where_to_get_it(a_slicer):
    from MedAISegmentationLib.slicer_installer import installTorch

    with pytest.raises(DependencyError, match="Extensions Manager"):
        installTorch(">=2.4")


def test_the_pytorch_extension_is_asked_without_a_second_consent(a_slicer, monkeypatch):
    import sys
    from types import ModuleType

    from MedAISegmentationLib.slicer_installer import installTorch

    asked = []

    class PyTorchUtilsLogic:
        def installTorch(self, **options):  # noqa: N802
            asked.append(options)
            return object()

    extension = ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    installTorch(">=2.4")
    assert asked == [{"askConfirmation": False, "torchVersionRequirement": ">=2.4"}]
