"""Models that would come in under another's name, or never stop coming in."""

from __future__ import annotations

import json

import pytest

from medai.bundles import library
from medai.errors import InputError, MaliciousBundleError


@pytest.fixture
def link(a_bundle):
    def make(name: str, target: str) -> None:
        (a_bundle / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            (a_bundle / name).symlink_to(target, target_is_directory=True)
        except OSError:
            pytest.skip("links need a privilege here")

    return make


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["docs/more", "scripts/a/b"])
def test_folders_that_lead_in_a_circle_are_refused_before_they_are_copied(a_bundle, link, name):
    link(name, str(a_bundle))
    link("docs/again", "..")
    with pytest.raises(MaliciousBundleError, match="link to another folder"):
        library.import_bundle(a_bundle)
    assert list(library.user_folder().iterdir()) == []


def test_a_link_to_a_file_of_the_same_model_is_copied_as_that_file(a_bundle):
    try:
        (a_bundle / "models" / "best.pt").symlink_to("model.pt")
    except OSError:
        pytest.skip("links need a privilege here")
    copy = library.import_bundle(a_bundle).root / "models" / "best.pt"
    assert not copy.is_symlink()
    assert copy.read_bytes() == (a_bundle / "models" / "model.pt").read_bytes()


def test_a_folder_next_door_with_the_same_beginning_is_outside(a_bundle):
    neighbour = a_bundle.with_name(f"{a_bundle.name}_private")
    neighbour.mkdir()
    (neighbour / "secret").write_text("my password")
    try:
        (a_bundle / "docs" / "secret").symlink_to(neighbour / "secret")
    except OSError:
        pytest.skip("links need a privilege here")
    with pytest.raises(MaliciousBundleError, match="outside of the model"):
        library.import_bundle(a_bundle)


def test_nobody_takes_the_place_of_a_shipped_model_unawares(make_bundle, tmp_path, monkeypatch):
    shipped = tmp_path / "shipped"
    original = make_bundle("hippocampus", folder=shipped)
    monkeypatch.setattr(library, "shipped_folders", lambda: [shipped])
    foreign = make_bundle("hippocampus", folder=tmp_path / "download", metadata={"version": "6.6.6"})
    with pytest.raises(InputError, match=r"already.*shipped.*--name.*--replace"):
        library.import_bundle(foreign)
    assert library.find("hippocampus") == original.resolve()
    library.import_bundle(foreign, replace=True)
    assert json.loads((library.find("hippocampus") / "configs" / "metadata.json").read_text())["version"] == "6.6.6"


def test_of_two_imports_of_one_name_at_once_the_second_is_told(a_bundle, make_bundle, tmp_path, monkeypatch):
    other = make_bundle(folder=tmp_path / "other", metadata={"version": "0.9.0"})
    original = library._check

    def meanwhile(root):
        monkeypatch.setattr(library, "_check", original)
        library.import_bundle(other)
        original(root)

    monkeypatch.setattr(library, "_check", meanwhile)
    with pytest.raises(InputError, match="already"):
        library.import_bundle(a_bundle)
    assert [path.name for path in library.user_folder().iterdir()] == [other.name]
    assert json.loads((library.find(other.name) / "configs" / "metadata.json").read_text())["version"] == "0.9.0"
