"""Texts and numbers of a bundle made to hang or break what reads them, or to mislead who sees them."""

from __future__ import annotations

import json
import zipfile
from typing import Any

import pytest

from medai.bundles import trust
from medai.bundles.description import describe
from medai.errors import BundleError, MaliciousBundleError


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "{" + '"a": 1, ' * 300_000 + '"b": 1}',
        '{"a": "' + "@" + "::" * 3_000_000 + '"}',
        '{"a": "%' + "a/" * 30_000 + '.json"}',
        '{"a": "%\\u0000.json"}',
        '{"a": "\\ud800", "\\u001b[2J": "$\\ud800"}',
        '{"network_def": "@x::\\u00b2", "x": ["$open(1)"]}',
    ],
    ids=["names twice", "colons", "long path", "nul", "surrogates", "superscript"],
)
def test_settings_made_to_hang_or_break_the_check_are_refused_at_once(a_bundle, text):
    (a_bundle / "configs" / "inference.json").write_text(text)
    with pytest.raises(BundleError) as caught:
        trust.check_config(a_bundle)
    str(caught.value).encode()
    assert "\x1b" not in str(caught.value)


@pytest.mark.timeout(60)
def test_files_that_name_each_other_do_not_unfold_without_end(a_bundle):
    for name, other in ("bc", "cd", "de", "ef"):
        (a_bundle / "configs" / f"{name}.json").write_text(json.dumps({"x": [f"%configs/{other}.json"] * 50}))
    (a_bundle / "configs" / "f.json").write_text("{}")
    (a_bundle / "configs" / "inference.json").write_text(json.dumps({"x": "%configs/b.json"}))
    with pytest.raises(BundleError, match="too many"):
        trust.check_config(a_bundle)


def test_names_reach_people_without_what_a_terminal_would_obey(make_bundle):
    model = describe(
        make_bundle(
            metadata={
                "name": "\x1b]0;x\x07Kid\u202eney",
                "license": "\x1b[2JMIT",
                "description": "A" * 1_000_000,
                "medai": {"segments": [{"name": "\x1b[31mkid\nney" + "x" * 10_000}]},
            }
        )
    )
    assert (model.title, model.licence) == ("]0;xKidney", "[2JMIT")
    assert len(model.text) <= 4000
    assert model.segments[0].name.startswith("[31mkid neyx")
    assert len(model.segments[0].name) <= 200


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "own",
    [
        {"expects": {"spacing_mm": [10**400, 1]}},
        {"expects": {"extent_mm": [float("nan"), 1]}},
        {"segments": [{"name": "a", "color": [10**400, float("nan"), 1], "layer": 10**12, "label": 10**12}]},
    ],
)
def test_numbers_beyond_all_measure_do_not_break_a_description(make_bundle, own):
    model = describe(make_bundle(metadata={"medai": own}))
    assert model.expects.spacing_mm is None
    for segment in model.segments:
        assert all(0 <= part <= 1 for part in segment.color)
        assert segment.layer < 256
        assert segment.value < 2**16


@pytest.mark.timeout(60)
def test_a_billion_channels_are_not_listed(make_bundle, some_metadata):
    some_metadata["network_data_format"]["outputs"]["pred"] |= {"num_channels": 10**9, "channel_def": None}
    assert len(describe(make_bundle(metadata=some_metadata)).segments) < 5000


def test_one_strange_bundle_does_not_hide_the_others(make_bundle, tmp_path, monkeypatch):
    from medai.bundles import description, library

    make_bundle("good")
    make_bundle("strange")
    original = description.segments_of

    def breaks(meta: dict[str, Any]) -> Any:
        if breaks.armed:
            breaks.armed = False
            raise ZeroDivisionError
        return original(meta)

    breaks.armed = True
    monkeypatch.setattr(description, "segments_of", breaks)
    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "made"))
    found = {model.name: model.problem for model in library.models() if model.name in ("good", "strange")}
    assert sorted(map(bool, found.values())) == [False, True]


def test_what_lies_behind_a_link_counts_for_the_hash(a_bundle, tmp_path):
    from medai.bundles.integrity import digest

    elsewhere = tmp_path / "elsewhere"
    (a_bundle / "configs").rename(elsewhere)
    try:
        (a_bundle / "configs").symlink_to(elsewhere, target_is_directory=True)
    except OSError:
        pytest.skip("links need a privilege here")
    before = digest(a_bundle)
    (elsewhere / "inference.json").write_text("{}")
    assert digest(a_bundle) != before


def test_a_licence_that_is_a_link_to_a_file_of_the_person_is_not_shown(a_bundle, tmp_path):
    (tmp_path / "secret").write_text("my password\n")
    (a_bundle / "LICENSE").unlink()
    try:
        (a_bundle / "LICENSE").symlink_to(tmp_path / "secret")
    except OSError:
        pytest.skip("links need a privilege here")
    assert "password" not in describe(a_bundle).licence


def test_a_zip_with_control_characters_in_its_names_is_refused(a_bundle, tmp_path):
    from medai.bundles.library import import_bundle

    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(a_bundle.rglob("*")):
            if path.is_file():
                opened.write(path, path.relative_to(a_bundle))
        opened.writestr("docs/\x1b[2J\nx", "")
    with pytest.raises(MaliciousBundleError, match="no honest file") as caught:
        import_bundle(archive)
    assert "\x1b" not in str(caught.value)
