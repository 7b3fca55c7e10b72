from __future__ import annotations

import errno
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from medai.bundles import integrity, library, trust
from medai.errors import (
    BundleFormatError,
    BundleNotFoundError,
    BundleTamperedError,
    InputError,
    MaliciousBundleError,
    WriteError,
)


@pytest.fixture
def a_folder_of_models(tmp_path, make_bundle, monkeypatch):
    folder = tmp_path / "library"
    for name in ("tiny_kidney", "Spleen_ct", "liver_ct"):
        make_bundle(name, folder=folder)
    monkeypatch.setenv("MEDAI_MODELS", str(folder))
    return folder


def _names():
    return [model.name for model in library.models() if not model.root.is_relative_to(_repository())]


def _repository():
    return Path(library.__file__).resolve().parents[3]


def test_models_are_listed_by_name(a_folder_of_models):
    assert _names() == ["liver_ct", "Spleen_ct", "tiny_kidney"]
    assert all(model.problem == "" for model in library.models() if model.name in _names())


def test_a_broken_bundle_is_listed_with_its_problem_and_the_others_too(a_folder_of_models):
    (a_folder_of_models / "liver_ct" / "configs" / "metadata.json").write_text("{")
    (a_folder_of_models / "Spleen_ct" / "models" / "model.pt").unlink()
    found = {model.name: model.problem for model in library.models()}
    assert "metadata.json" in found["liver_ct"]
    assert "model.pt" in found["Spleen_ct"]
    assert found["tiny_kidney"] == ""


def test_a_bundle_that_nobody_trusts_is_listed_with_the_way_to_trust_it(make_bundle, tmp_path, monkeypatch):
    make_bundle("own_code", folder=tmp_path / "models", config={"network_def": {"_target_": "scripts.net.Net"}})
    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "models"))
    (model,) = [model for model in library.models() if model.name == "own_code"]
    assert "medai models trust own_code" in model.problem


def test_of_two_models_with_one_name_the_first_folder_wins(a_folder_of_models, make_bundle, tmp_path, monkeypatch):
    make_bundle("tiny_kidney", folder=tmp_path / "second", metadata={"version": "9.9.9"})
    monkeypatch.setenv("MEDAI_MODELS", os.pathsep.join([str(tmp_path / "second"), str(a_folder_of_models)]))
    assert library.find("tiny_kidney") == (tmp_path / "second" / "tiny_kidney").resolve()
    assert {model.name: model.version for model in library.models()}["tiny_kidney"] == "9.9.9"


def test_find_takes_names_and_paths(a_folder_of_models, a_bundle):
    assert library.find("liver_ct") == (a_folder_of_models / "liver_ct").resolve()
    assert library.find(a_bundle) == a_bundle.resolve()
    assert library.find(str(a_bundle)) == a_bundle.resolve()


def test_a_folder_beside_the_person_needs_no_dot_unless_a_model_has_its_name(
    a_folder_of_models, make_bundle, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    mine = make_bundle("just_trained", folder=tmp_path)
    assert library.find("just_trained") == mine.resolve()
    assert library.located("just_trained") == str(mine.resolve()), "another process works in another folder"
    make_bundle("liver_ct", folder=tmp_path)
    assert library.find("liver_ct") == (a_folder_of_models / "liver_ct").resolve()
    assert library.located("liver_ct") == "liver_ct"


@pytest.mark.parametrize(
    ("asked", "near"), [("liver-ct", "liver_ct"), ("Tiny_Kidny", "tiny_kidney"), ("spleen", "Spleen_ct")]
)
def test_find_names_near_matches(a_folder_of_models, asked, near):
    with pytest.raises(BundleNotFoundError, match=f"Did you mean .*'{near}'"):
        library.find(asked)


def test_a_folder_that_does_not_exist_is_no_harm(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "gone"))
    assert _names() == []
    with pytest.raises(BundleNotFoundError):
        library.find("anything")


def _zip(root: Path, target: Path, *, top: str | None = None) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                inside = path.relative_to(root).as_posix()
                archive.write(path, f"{top}/{inside}" if top else inside)
    return target


@pytest.mark.parametrize("top", [None, "tiny_kidney"])
def test_a_zip_is_imported_whole_and_pinned(a_bundle, tmp_path, top):
    model = library.import_bundle(_zip(a_bundle, tmp_path / "tiny_kidney.zip", top=top))
    assert model.name == "tiny_kidney"
    assert model.root.parent == library.user_folder().resolve() or model.root.parent == library.user_folder()
    assert integrity.check_pins(model.root) is True
    assert library.find("tiny_kidney") == model.root.resolve()
    assert integrity.digest(model.root) == integrity.digest(a_bundle)


def test_a_folder_is_imported_under_another_name(a_bundle):
    model = library.import_bundle(a_bundle, name="my kidney")
    assert model.name == "my_kidney"
    assert a_bundle.is_dir()


def test_an_existing_model_is_replaced_only_on_request(a_bundle, make_bundle, tmp_path):
    library.import_bundle(a_bundle)
    newer = make_bundle(folder=tmp_path / "newer", metadata={"version": "0.3.0"})
    with pytest.raises(InputError, match="already"):
        library.import_bundle(newer)
    assert library.import_bundle(newer, replace=True).version == "0.3.0"
    assert [path.name for path in library.user_folder().iterdir()] == ["tiny_kidney"]


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".hidden", "con", "a:b"])
def test_names_that_are_no_folder_names_are_refused(a_bundle, name):
    if name:
        with pytest.raises(InputError, match="cannot be the name"):
            library.import_bundle(a_bundle, name=name)
    assert library.import_bundle(a_bundle, name=None).name == "tiny_kidney"


def _nothing_left():
    folder = library.user_folder()
    return not folder.exists() or list(folder.iterdir()) == []


def _evil_zip(a_bundle, tmp_path, name, *, mode=0, content=b"x"):
    path = _zip(a_bundle, tmp_path / "evil.zip", top="evil")
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt",
        "evil/../../outside.txt",
        "/outside.txt",
        "C:/outside.txt",
        "C:outside.txt",
        "..\\outside.txt",
        "evil\\..\\..\\outside.txt",
        "evil/configs/file:stream",
        "evil/nul",
        "evil/configs/inference.json.",
        "evil//x",
        "evil/./x",
    ],
)
def test_a_zip_whose_parts_leave_its_folder_is_refused_and_nothing_is_written(a_bundle, tmp_path, name):
    path = _evil_zip(a_bundle, tmp_path, name)
    with pytest.raises(MaliciousBundleError):
        library.import_bundle(path)
    assert _nothing_left()
    assert not list(tmp_path.rglob("outside.txt"))


def test_a_link_in_a_zip_is_refused(a_bundle, tmp_path):
    path = _evil_zip(a_bundle, tmp_path, "evil/models/link", mode=stat.S_IFLNK | 0o777, content=b"/etc/passwd")
    with pytest.raises(MaliciousBundleError, match="link"):
        library.import_bundle(path)
    assert _nothing_left()


def test_a_link_out_of_a_folder_is_refused(a_bundle, tmp_path):
    try:
        (a_bundle / "docs" / "link").symlink_to(tmp_path)
    except OSError:
        pytest.skip("links need a privilege here")
    with pytest.raises(MaliciousBundleError, match="link"):
        library.import_bundle(a_bundle)
    assert _nothing_left()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["evil/configs/inference.json", "evil/configs/INFERENCE.json"])
def test_a_file_that_is_there_twice_is_refused(a_bundle, tmp_path, name):
    with pytest.raises(MaliciousBundleError, match="twice"):
        library.import_bundle(_evil_zip(a_bundle, tmp_path, name))
    assert _nothing_left()


def test_a_zip_bomb_is_refused_before_it_unfolds(a_bundle, tmp_path):
    path = _zip(a_bundle, tmp_path / "bomb.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("models/bomb", bytes(30 * 2**20))
    with pytest.raises(MaliciousBundleError, match="unfolds"):
        library.import_bundle(path)
    assert _nothing_left()


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_a_truncated_zip_is_a_format_error(a_bundle, tmp_path, share):
    path = _zip(a_bundle, tmp_path / "tiny.zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BundleFormatError, match="damaged"):
        library.import_bundle(path)
    assert _nothing_left()


def test_a_damaged_part_of_a_zip_is_a_format_error(a_bundle, tmp_path):
    path = _zip(a_bundle, tmp_path / "tiny.zip")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BundleFormatError):
        library.import_bundle(path)
    assert _nothing_left()


@pytest.mark.parametrize("name", ["configs/metadata.json", "configs/inference.json", "models/model.pt"])
def test_an_incomplete_bundle_is_not_imported(a_bundle, name):
    (a_bundle / name).unlink()
    with pytest.raises(BundleFormatError):
        library.import_bundle(a_bundle)
    assert _nothing_left()


def test_a_tampered_bundle_is_not_imported(a_bundle):
    integrity.write_pins(a_bundle)
    (a_bundle / "configs" / "inference.json").write_text("{}")
    with pytest.raises(BundleTamperedError):
        library.import_bundle(a_bundle)
    assert _nothing_left()


def test_weights_that_run_code_are_not_imported(a_bundle, an_evil_object, a_marker):
    import torch

    torch.save({"weight": an_evil_object}, a_bundle / "models" / "model.pt")
    with pytest.raises(MaliciousBundleError):
        library.import_bundle(a_bundle)
    assert _nothing_left()
    assert not a_marker.exists()


def test_a_malicious_config_is_not_imported_but_an_untrusted_one_is(make_bundle, tmp_path):
    evil = make_bundle("evil", config={"x": {"_target_": "os.system"}})
    with pytest.raises(MaliciousBundleError):
        library.import_bundle(evil, trust=True)
    assert _nothing_left()
    own = make_bundle("own", config={"network_def": {"_target_": "scripts.net.Net"}})
    assert "trust" in library.import_bundle(own).problem
    assert library.import_bundle(own, replace=True, trust=True).problem == ""
    assert trust.is_trusted(library.find("own"))


def _disk_is_full(monkeypatch, after: int):
    """Writing fails once `after` files have been written."""
    written = []
    real_copy, real_write = shutil.copyfileobj, shutil.copyfile

    def counted(real):
        def write(*arguments, **options):
            written.append(1)
            if len(written) > after:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments, **options)

        return write

    monkeypatch.setattr(shutil, "copyfileobj", counted(real_copy))
    monkeypatch.setattr(shutil, "copyfile", counted(real_write))
    monkeypatch.setattr(shutil, "copy2", counted(shutil.copy2))
    return written


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_full_disk_leaves_nothing_behind(a_bundle, tmp_path, monkeypatch, after, zipped):
    source = _zip(a_bundle, tmp_path / "tiny.zip") if zipped else a_bundle
    written = _disk_is_full(monkeypatch, after)
    with pytest.raises(WriteError, match="No space left"):
        library.import_bundle(source)
    assert len(written) > after
    assert _nothing_left()


def test_a_full_disk_while_replacing_keeps_the_old_model(a_bundle, make_bundle, tmp_path, monkeypatch):
    library.import_bundle(a_bundle)
    newer = make_bundle(folder=tmp_path / "newer", metadata={"version": "0.3.0"})
    real = Path.rename

    def rename(self, target):
        if (
            Path(target) == library.user_folder() / "tiny_kidney"
            and self.name == "tiny_kidney"
            and ".import" in str(self)
        ):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(WriteError):
        library.import_bundle(newer, replace=True)
    assert {model.name: model.version for model in library.models()}["tiny_kidney"] == "0.2.0"


def test_a_source_that_does_not_exist_says_so(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        library.import_bundle(tmp_path / "nothing.zip")


def test_a_zip_of_something_else_is_no_bundle(tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.txt", "x")
    with pytest.raises(BundleFormatError, match="no MONAI bundle"):
        library.import_bundle(path)
    assert _nothing_left()
