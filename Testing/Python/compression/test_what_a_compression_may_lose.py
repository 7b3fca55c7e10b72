"""The original is never lost: refusals, a full disk, a cancel, a tolerance that is not met."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

import medai
from medai.bundles import integrity, library
from medai.errors import InputError, JobCancelled, WriteError
from medai.training.compression import costing, derived


@pytest.fixture
def a_library(a_model, tmp_path) -> Path:
    """A folder with a copy of the model."""
    shutil.copytree(a_model, tmp_path / "library" / "tiny")
    return tmp_path / "library"


def compress(library_folder: Path, data: Path, **choices: object) -> object:
    return medai.compress_model(library_folder / "tiny", "quantize", data, in_process=True, **choices)


def test_a_model_without_data_is_refused_with_what_they_are_for(a_model):
    with pytest.raises(InputError, match="no images to quantize"):
        medai.compress_model(a_model, "quantize", None, in_process=True)


def test_an_unknown_method_is_refused(a_model, some_cases):
    with pytest.raises(InputError, match="quantize, prune, distill, decompose"):
        medai.compress_model(a_model, "shrink", some_cases, in_process=True)


def test_a_folder_that_is_taken_is_refused_before_anything_slow(a_library, some_cases):
    (a_library / "tiny_int8").mkdir()
    with pytest.raises(InputError, match="already"):
        compress(a_library, some_cases)


def test_the_original_itself_is_no_output(a_library, some_cases):
    with pytest.raises(InputError, match="made of"):
        compress(a_library, some_cases, output=a_library / "tiny", overwrite=True)


def test_a_model_that_came_with_medai_is_not_replaced(a_library, some_cases, monkeypatch):
    monkeypatch.setattr(library, "shipped_folders", lambda: [a_library])
    with pytest.raises(InputError, match="came with medai"):
        compress(a_library, some_cases, replace=True)


def test_a_generator_of_which_no_code_is_known_is_refused_with_the_reason(a_library, some_cases):
    about = a_library / "tiny" / "configs" / "metadata.json"
    about.write_text(about.read_text(encoding="utf-8").replace('"segment"', '"synthesize"'), encoding="utf-8")
    integrity.write_pins(a_library / "tiny")
    with pytest.raises(InputError, match="random numbers"):
        compress(a_library, some_cases)


def test_a_table_without_images_is_refused_in_words(a_library, tmp_path):
    table = tmp_path / "visits.csv"
    table.write_text("Subject ID,Visit,Score\nA,1,3\nA,2,4\n", encoding="utf-8")
    with pytest.raises(InputError, match="No case of 'visits' has one"):
        compress(a_library, table)


@pytest.mark.parametrize("stage", ["Looking at images", "Quantising", "Judging the new model", "Writing"])
def test_whatever_stops_it_leaves_the_library_as_it_was(stage, a_library, some_cases, monkeypatch):
    monkeypatch.setattr(costing, "costs", lambda *_: (_cost(), _cost(), float("nan")))
    before = integrity.digest(a_library / "tiny")

    def stop(progress: medai.Progress) -> None:
        if progress.stage == stage:
            raise JobCancelled("Stopped.", "", "")

    with pytest.raises(JobCancelled):
        compress(a_library, some_cases, on_progress=stop, replace=True)
    assert [path.name for path in a_library.iterdir()] == ["tiny"]
    assert integrity.digest(a_library / "tiny") == before


def test_a_place_that_cannot_be_written_to_is_refused_before_anything_is_trained(a_library, some_cases, monkeypatch):
    def refused(**_: object) -> str:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(derived.tempfile, "mkdtemp", refused)
    stages: list[str] = []
    with pytest.raises(WriteError, match="be written") as refusal:
        compress(a_library, some_cases, on_progress=lambda progress: stages.append(progress.stage))
    assert "Read-only file system" in str(refusal.value)
    assert "Looking at images" not in stages
    assert [path.name for path in a_library.iterdir()] == ["tiny"]


@pytest.mark.parametrize("place", ["write_text", "rename"])
def test_a_full_disk_leaves_the_library_as_it_was(place, a_library, some_cases, monkeypatch):
    monkeypatch.setattr(costing, "costs", lambda *_: (_cost(), _cost(), float("nan")))
    before = integrity.digest(a_library / "tiny")
    plain = getattr(Path, place)

    def fail(self: Path, *args: object, **options: object) -> object:
        if ".compress-" in str(self) and (place == "write_text" or self.name == "tiny_int8"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, place, fail)
        with pytest.raises(WriteError, match="be written"):
            compress(a_library, some_cases, replace=True, tolerance=0.9)
    assert [path.name for path in a_library.iterdir()] == ["tiny"]
    assert integrity.digest(a_library / "tiny") == before


def test_what_a_killed_compression_left_is_gone_after_the_next(a_library, a_model):
    left = a_library / ".compress-999999999-abc"
    (left / "tiny_int8").mkdir(parents=True)
    with derived.workplace(a_model, a_library / "other") as root:
        assert root.is_dir()
    assert not left.exists()


def test_an_original_that_was_set_aside_when_the_power_failed_comes_back(a_library, a_model):
    (a_library / "tiny").rename(a_library / ".tiny.replaced")
    with derived.workplace(a_model, a_library / "other"):
        pass
    assert integrity.digest(a_library / "tiny") == integrity.digest(a_model)


def test_a_model_that_lost_too_much_lies_beside_the_original(a_library, some_cases, monkeypatch):
    monkeypatch.setattr(costing, "costs", lambda *_: (_cost(), _cost(), float("nan")))
    before = integrity.digest(a_library / "tiny")
    result = compress(a_library, some_cases, replace=True, tolerance=0.0)
    assert any("was not replaced" in note for note in result.provenance.notes)
    assert integrity.digest(a_library / "tiny") == before
    assert (a_library / "tiny_int8" / "models" / "int8.xml.gz").is_file()


def test_a_model_that_is_as_good_takes_the_place_of_the_original_when_asked(a_library, some_cases, monkeypatch):
    monkeypatch.setattr(costing, "costs", lambda *_: (_cost(), _cost(), float("nan")))
    compress(a_library, some_cases, replace=True, tolerance=0.5)
    assert [path.name for path in a_library.iterdir()] == ["tiny"]
    assert (a_library / "tiny" / "models" / "int8.xml.gz").is_file()


def test_images_without_references_calibrate_but_decide_nothing(a_library, some_cases, monkeypatch):
    monkeypatch.setattr(costing, "costs", lambda *_: (_cost(), _cost(), float("nan")))
    result = compress(a_library, some_cases / "images", replace=True)
    assert any("was not measured" in note for note in result.provenance.notes)
    assert any("no faster than the original on" in note for note in result.provenance.notes)  # as it was measured here
    assert "dice" not in result.table.columns["Quantity"]
    assert (a_library / "tiny_int8").is_dir()


def _cost() -> costing.Cost:
    return costing.Cost(1, 1, 1, 1.0, 1.0)
