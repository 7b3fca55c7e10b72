"""The cache holds what was written or nothing; it never stands in anybody's way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medai.engine.backends.cache import Cache

KEY, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def some_files(tmp_path: Path) -> Callable[..., Path]:
    """A folder with files of given content."""

    def write(content: bytes = b"weights" * 100, name: str = "source") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "model.bin").write_bytes(content)
        (folder / "model.xml").write_bytes(b"<net/>")
        return folder

    return write


def test_gives_back_what_was_written(a_cache: Cache, some_files: Callable[..., Path]) -> None:
    assert a_cache.read(KEY) is None
    assert a_cache.write(KEY, {"backend": "openvino"}, some_files())
    entry = a_cache.read(KEY)
    assert entry is not None
    assert entry.content == {"backend": "openvino"}
    assert entry.files == {"model.bin": b"weights" * 100, "model.xml": b"<net/>"}


def test_the_folder_is_found_by_the_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDAI_CACHE", str(tmp_path / "mine"))
    assert Cache().folder == tmp_path / "mine" / "converted"
    monkeypatch.delenv("MEDAI_CACHE")
    assert "medai" in Cache().folder.parts


def _cut(folder: Path) -> None:
    path = folder / "model.bin"
    path.write_bytes(path.read_bytes()[:-1])


def _grown(folder: Path) -> None:
    with (folder / "model.bin").open("ab") as file:
        file.write(b"more")


def _changed(folder: Path) -> None:
    path = folder / "model.bin"
    path.write_bytes(b"W" + path.read_bytes()[1:])


def _renamed(folder: Path) -> None:
    path = folder / "entry.json"
    path.write_text(path.read_text().replace("model.bin", "../model.bin"))


DAMAGES = {
    "cut": _cut,
    "grown": _grown,
    "changed": _changed,
    "file gone": lambda folder: (folder / "model.bin").unlink(),
    "manifest gone": lambda folder: (folder / "entry.json").unlink(),
    "manifest cut": lambda folder: (folder / "entry.json").write_text('{"content": {'),
    "manifest no text": lambda folder: (folder / "entry.json").write_bytes(b"\xff\x00"),
    "manifest of another kind": lambda folder: (folder / "entry.json").write_text('{"content": 1, "files": []}'),
    "manifest huge": lambda folder: (folder / "entry.json").write_bytes(b" " * 2**21),
    "a path out of the folder": _renamed,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_or_changed_entry_is_dropped(
    damage: Callable[[Path], None], a_cache: Cache, some_files: Callable[..., Path]
) -> None:
    a_cache.write(KEY, {}, some_files())
    damage(a_cache.folder / KEY)
    assert a_cache.read(KEY) is None
    assert not (a_cache.folder / KEY).exists()
    assert a_cache.write(KEY, {}, some_files())
    assert a_cache.read(KEY) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_in_place_of_a_file_or_an_entry_is_not_followed(
    a_cache: Cache, some_files: Callable[..., Path], tmp_path: Path
) -> None:
    a_cache.write(KEY, {}, some_files())
    model = a_cache.folder / KEY / "model.bin"
    model.rename(tmp_path / "elsewhere")
    model.symlink_to(tmp_path / "elsewhere")
    assert a_cache.read(KEY) is None
    a_cache.write(KEY, {}, some_files())
    (a_cache.folder / KEY).rename(tmp_path / "moved")
    (a_cache.folder / KEY).symlink_to(tmp_path / "moved", target_is_directory=True)
    assert a_cache.read(KEY) is None
    assert (tmp_path / "moved").is_dir()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
def test_the_folder_is_closed_to_other_users(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    assert Cache(folder).usable()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
def test_a_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: own + 1)
    folder = tmp_path / "theirs"
    folder.mkdir()
    folder.chmod(0o755)
    assert not Cache(folder).usable()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert Cache(folder).readable() == (own == 0)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
def test_a_folder_filled_beforehand_that_cannot_be_written_to_is_read(
    a_cache: Cache, some_files: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_cache.write(KEY, {"backend": "openvino"}, some_files())
    a_cache.folder.chmod(0o555)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "chmod", _read_only)
            patch.setattr(os, "utime", _read_only)
            assert not a_cache.usable()
            assert a_cache.readable()
            entry = a_cache.read(KEY)
        assert entry is not None
        assert entry.content == {"backend": "openvino"}
        a_cache.folder.chmod(0o757)
        assert not a_cache.readable()
    finally:
        a_cache.folder.chmod(0o700)


def test_an_entry_that_cannot_be_read_now_is_kept(
    a_cache: Cache, some_files: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_cache.write(KEY, {}, some_files())
    for error in (OSError(errno.EMFILE, "Too many open files"), MemoryError()):

        def fail(path: Path, error: BaseException = error) -> bytes:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", fail)
            assert a_cache.read(KEY) is None
        assert a_cache.read(KEY) is not None


def test_a_place_that_cannot_be_a_folder_means_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "converted")
    assert not cache.usable()
    assert not cache.write(KEY, {})
    assert cache.read(KEY) is None
    with cache.claimed(KEY) as mine:
        assert not mine


def test_a_full_disk_leaves_no_entry_and_nothing_behind(
    a_cache: Cache, some_files: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    assert not a_cache.write(KEY, {}, some_files())
    assert a_cache.read(KEY) is None
    assert list(a_cache.folder.iterdir()) == []


def test_the_entry_used_longest_ago_makes_room(a_cache: Cache, some_files: Callable[..., Path]) -> None:
    cache = Cache(a_cache.folder, limit_bytes=3500)
    for key in (KEY, OTHER):
        cache.write(key, {}, some_files(b"x" * 1000))
        _age(cache, key, 100 if key == KEY else 50)
    cache.read(KEY)
    cache.write(THIRD, {}, some_files(b"x" * 1000))
    assert cache.read(KEY) is not None
    assert cache.read(OTHER) is None
    assert cache.read(THIRD) is not None


def test_an_entry_larger_than_the_limit_is_kept_for_now(a_cache: Cache, some_files: Callable[..., Path]) -> None:
    cache = Cache(a_cache.folder, limit_bytes=10)
    cache.write(KEY, {}, some_files())
    cache.write(OTHER, {}, some_files())
    assert cache.read(KEY) is None
    assert cache.read(OTHER) is not None


def test_what_a_killed_process_left_is_cleared_after_a_day(a_cache: Cache) -> None:
    for name, days in ((".new-killed", 2), (".old-killed", 2), (".new-from-the-future", -2)):
        (a_cache.folder / name).mkdir()
        _age(a_cache, name, days * 24 * 3600)
    (a_cache.folder / ".new-now").mkdir()
    a_cache.write(KEY, {})
    assert {path.name for path in a_cache.folder.iterdir()} == {".new-now", KEY}


def test_many_writers_and_readers_at_once_see_whole_entries(a_cache: Cache, some_files: Callable[..., Path]) -> None:
    sources = [some_files(bytes([number]) * 20_000, f"source{number}") for number in range(4)]

    def work(number: int) -> set[bytes]:
        seen = set()
        for _ in range(15):
            a_cache.write(KEY, {"number": number}, sources[number])
            entry = a_cache.read(KEY)
            if entry is not None:
                assert entry.files["model.bin"] == bytes([entry.content["number"]]) * 20_000
                seen.add(entry.files["model.bin"][:1])
        return seen

    with ThreadPoolExecutor(4) as pool:
        assert set().union(*pool.map(work, range(4))) <= {bytes([number]) for number in range(4)}
    assert a_cache.read(KEY) is not None


def test_one_process_at_a_time_makes_an_entry_and_its_death_frees_it(a_cache: Cache) -> None:
    script = (
        "import sys; from pathlib import Path; from medai.engine.backends.cache import Cache\n"
        f"with Cache(Path({str(a_cache.folder)!r})).claimed({KEY!r}) as mine:\n"
        "    print(mine, flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdin is not None
    try:
        assert other.stdout.readline().strip() == "True"
        with a_cache.claimed(KEY) as mine:
            assert not mine
    finally:
        other.kill()
        other.communicate()
    with a_cache.claimed(KEY) as mine:
        assert mine


@pytest.mark.parametrize("old", [2 * 24 * 3600, -2 * 24 * 3600])  # or from a clock that has been set back since
def test_attempts_are_counted_until_forgotten_or_a_day_old(a_cache: Cache, old: int) -> None:
    assert [a_cache.count_attempt(KEY) for _ in range(3)] == [1, 2, 3]
    assert a_cache.count_attempt(OTHER) == 1
    assert (a_cache.attempts(KEY), a_cache.attempts(THIRD)) == (3, 0)
    _age(a_cache, f"{KEY}.attempts", old)
    assert a_cache.count_attempt(KEY) == 1
    a_cache.forget_attempts(KEY)
    assert a_cache.count_attempt(KEY) == 1


def test_names_that_are_no_keys_are_refused(a_cache: Cache) -> None:
    for name in ("", "../" + KEY, KEY[:-1], KEY.upper()):
        with pytest.raises(ValueError, match="not a key"):
            a_cache.read(name)


def _read_only(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def _age(cache: Cache, name: str, seconds: float) -> None:
    path = cache.folder / name
    path = path / "entry.json" if (path / "entry.json").exists() else path
    moment = path.stat().st_mtime - seconds
    os.utime(path, (moment, moment))


def test_a_manifest_is_plain_text_that_a_person_can_read(a_cache: Cache, some_files: Callable[..., Path]) -> None:
    a_cache.write(KEY, {"backend": "openvino"}, some_files())
    assert json.loads((a_cache.folder / KEY / "entry.json").read_text())["content"] == {"backend": "openvino"}
