from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from medai.bundles import integrity
from medai.errors import BundleFormatError, BundleTamperedError, MaliciousBundleError, WriteError


def test_pinned_files_pass(a_bundle):
    integrity.write_pins(a_bundle)
    assert integrity.check_pins(a_bundle) is True


def test_a_bundle_without_pins_is_allowed_but_told(a_bundle):
    assert integrity.check_pins(a_bundle) is False


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_the_list_is_one_that_sha256sum_understands(a_bundle):
    integrity.write_pins(a_bundle)
    subprocess.run(["sha256sum", "-c", integrity.PINS], cwd=a_bundle, capture_output=True, check=True)


def test_one_changed_byte_is_found_and_both_hashes_are_said(a_bundle):
    integrity.write_pins(a_bundle)
    path = a_bundle / "models" / "model.pt"
    before = integrity.file_hash(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # someone who hides the change
    with pytest.raises(BundleTamperedError) as caught:
        integrity.check_pins(a_bundle)
    assert "models/model.pt" in str(caught.value)
    assert before in str(caught.value)
    assert integrity.file_hash(path) in str(caught.value)


def test_a_missing_file_is_named(a_bundle):
    integrity.write_pins(a_bundle)
    (a_bundle / "docs" / "README.md").unlink()
    with pytest.raises(BundleFormatError, match=r"docs/README\.md"):
        integrity.check_pins(a_bundle)


@pytest.mark.parametrize(
    "name", ["configs/extra.json", "models/other.pt", "scripts/more.py", "helper.py", "itk/__init__.py"]
)
def test_a_file_that_is_not_listed_is_found(a_bundle, name):
    integrity.write_pins(a_bundle)
    (a_bundle / name).parent.mkdir(exist_ok=True)
    (a_bundle / name).write_text("{}")
    with pytest.raises(BundleTamperedError, match=name):
        integrity.check_pins(a_bundle)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "C:/windows/x", "a/../../b", "..\\outside"])
def test_a_list_that_names_files_outside_is_refused(a_bundle, name):
    (a_bundle / integrity.PINS).write_text(f"{'0' * 64}  {name}\n")
    with pytest.raises(MaliciousBundleError):
        integrity.check_pins(a_bundle)


def test_a_damaged_list_is_refused(a_bundle):
    (a_bundle / integrity.PINS).write_text("not a hash  configs/inference.json\n")
    with pytest.raises(BundleFormatError):
        integrity.check_pins(a_bundle)


def test_the_digest_tells_content_names_and_presence_apart(a_bundle):
    seen = {integrity.digest(a_bundle)}
    config = a_bundle / "configs" / "inference.json"
    config.write_text(config.read_text() + " ")
    seen.add(integrity.digest(a_bundle))
    config.rename(a_bundle / "configs" / "other.json")
    seen.add(integrity.digest(a_bundle))
    (a_bundle / "scripts").mkdir()
    (a_bundle / "scripts" / "net.py").write_text("")
    seen.add(integrity.digest(a_bundle))
    assert len(seen) == 4
    assert all(len(value) == 64 for value in seen)


def test_the_digest_does_not_depend_on_the_place_or_on_documentation(a_bundle, tmp_path):
    copy = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(a_bundle, copy)
    (copy / "docs" / "README.md").write_text("changed")
    assert integrity.digest(copy) == integrity.digest(a_bundle)


def test_pins_that_cannot_be_written_are_a_write_error_and_leave_nothing(a_bundle, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(WriteError, match="No space left"):
        integrity.write_pins(a_bundle)
    assert not list(a_bundle.glob("SHA256SUMS*"))
