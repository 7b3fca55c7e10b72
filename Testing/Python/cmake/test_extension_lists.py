"""Nothing that belongs to the extension is forgotten in its CMake lists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

JUNK = {"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache"}


def files_below(folder: Path) -> set[str]:
    """Files of a folder as CMake writes them, without what Python and tools leave behind."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not JUNK & set(path.relative_to(folder).parts) and not path.name.startswith(".")
    }


def modules_of(source: Path) -> list[Path]:
    return sorted(path for path in (source / "SlicerMedAI").glob("MedAI*") if path.is_dir())


def test_every_module_folder_is_built_as_a_module_with_generic_tests(an_installed_extension):
    built = {name: flag for kind, name, flag in an_installed_extension.recorded if kind == "module"}
    assert set(built) == {folder.name for folder in modules_of(an_installed_extension.source)}
    assert set(built.values()) == {"TRUE"}


def test_every_module_registers_its_self_test(an_installed_extension):
    tested = {name for kind, name, _ in an_installed_extension.recorded if kind == "unittest"}
    assert tested == {f"{folder.name}.py" for folder in modules_of(an_installed_extension.source)}


def test_every_file_of_every_module_is_listed(an_installed_extension):
    for folder in modules_of(an_installed_extension.source):
        on_disk = files_below(folder) - {"CMakeLists.txt"}
        assert an_installed_extension.listed(folder.name) == on_disk


def test_every_file_of_the_library_is_listed(an_installed_extension):
    on_disk = {f"medai/{name}" for name in files_below(an_installed_extension.source / "SlicerMedAI" / "medai")}
    assert an_installed_extension.listed("medai") == on_disk


def test_scripts_are_python_and_resources_are_not(an_installed_extension):
    for kind, _owner, name in an_installed_extension.recorded:
        if kind in {"script", "resource"}:
            assert name.endswith(".py") == (kind == "script"), name


def test_every_shipped_model_is_installed_whole_without_training_leftovers(an_installed_extension):
    models = an_installed_extension.source / "models"
    on_disk = {name for name in files_below(models) if Path(name).parts[1] not in {"runs", "eval"}}
    assert on_disk
    assert files_below(an_installed_extension.modules / "medai" / "shipped_models") == on_disk


def test_no_installed_file_differs_from_its_source(an_installed_extension):
    source, modules = an_installed_extension.source, an_installed_extension.modules
    for name in files_below(modules):
        folders = [source / "SlicerMedAI", *modules_of(source)]
        candidates = [folder / name for folder in folders]
        if name.startswith("medai/shipped_models/"):
            candidates = [source / "models" / name.removeprefix("medai/shipped_models/")]
        origin = next(path for path in candidates if path.is_file())
        assert (modules / name).read_bytes() == origin.read_bytes(), name


@pytest.mark.parametrize("tree", ["build", "install"])
def test_medai_and_the_module_package_import_from_either_tree_without_torch(an_installed_extension, tree):
    modules = getattr(an_installed_extension, tree) / "lib/Slicer-5.12/qt-scripted-modules"
    code = (
        "import sys, pathlib, medai, medai.volume, medai.bundles.library as library\n"
        f"assert pathlib.Path(medai.__file__).is_relative_to({str(modules)!r}), medai.__file__\n"
        "names = [model.name for model in library.models()]\n"
        f"shipped = sorted(p.name for p in pathlib.Path({str(modules / 'medai' / 'shipped_models')!r}).iterdir())\n"
        "assert set(shipped) <= set(names), (shipped, names)\n"
        "assert 'torch' not in sys.modules\n"
    )
    # -P and no PYTHONPATH but this: the checkout must not help out.
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(modules)!r})\n{code}"],
        cwd=an_installed_extension.build,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_extension_index_would_accept_the_metadata(an_installed_extension):
    metadata = an_installed_extension.metadata
    assert metadata["PROJECT"] == "MedAI"
    assert metadata["DEPENDS"] == "PyTorch"
    assert metadata["DESCRIPTION"]
    assert metadata["CONTRIBUTORS"] == "SlicerMedAI developers"
    assert metadata["CATEGORY"]
    for name in ("HOMEPAGE", "ICONURL", "SCREENSHOTURLS"):
        assert metadata[name].startswith("https://"), name


def test_icon_and_screenshot_addresses_name_files_of_this_repository(an_installed_extension):
    for name in ("ICONURL", "SCREENSHOTURLS"):
        for address in an_installed_extension.metadata[name].split():
            path = address.split("/raw/main/", 1)[1]
            assert (an_installed_extension.source / path).is_file(), path


def test_requirements_installed_in_slicer_are_those_of_the_package(a_source_folder):
    """pyproject.toml says what medai needs; Slicer brings some of it, and the command line is not for Slicer."""
    declared = declared_in(a_source_folder)["dependencies"]
    brought_by_slicer = ("numpy", "SimpleITK", "pydicom")
    for_the_command_line = ("typer", "rich")
    needed = {text for text in declared if not text.startswith(brought_by_slicer + for_the_command_line)}
    for path in requirement_lists(a_source_folder, "medai_requirements.txt"):
        assert listed_in(path) == needed


def test_of_what_makes_the_package_faster_slicer_is_offered_openvino(a_source_folder):
    """ONNX Runtime and the exporter to ONNX gain little beside it."""
    fast = declared_in(a_source_folder)["optional-dependencies"]["fast"]
    for path in requirement_lists(a_source_folder, "medai_requirements_fast.txt"):
        assert listed_in(path) == {text for text in fast if text.startswith("openvino")}


def declared_in(source: Path) -> dict:
    tomllib = pytest.importorskip("tomllib")
    return tomllib.loads((source / "pyproject.toml").read_text())["project"]


def requirement_lists(source: Path, name: str) -> list[Path]:
    found = sorted((source / "SlicerMedAI").glob(f"MedAI*/Resources/{name}"))
    assert found
    return found


def listed_in(path: Path) -> set[str]:
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return {line for line in lines if line}
