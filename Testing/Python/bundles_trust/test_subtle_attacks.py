"""Attacks that look like ordinary settings: each would run code, move or write files once the bundle runs."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.bundles import trust
from medai.bundles.pipeline import Pipeline
from medai.errors import BundleError, MaliciousBundleError, MedAIError, UntrustedBundleError
from medai.volume import Volume

OS = ["$import os", "$import pathlib", "$import functools", "$import itertools", "$import glob"]


def _attempt(root: Path) -> None:
    """Everything that a run of the bundle does; a refusal at any point is what is hoped for."""
    rng = np.random.default_rng(0)
    volume = Volume(rng.random((16, 16, 16), dtype=np.float32), np.eye(4), "head")
    pipeline = Pipeline(root, "cpu")
    batch = pipeline.preprocess([volume])
    pipeline.postprocess(pipeline.infer(batch), volume)


LIVE_ATTACKS: dict[str, dict[str, Any]] = {
    "a file moved by Path.replace": {
        "imports": OS,
        "inferer": "$pathlib.Path(@bundle_root + '/docs/README.md').replace('MARKER') and None",
    },
    "a file moved by Path.replace given to map": {
        "imports": OS,
        "inferer": "$list(map(pathlib.Path(@bundle_root + '/docs/README.md').replace, ['MARKER'])) and None",
    },
    "a file moved by a path made by a component": {
        "imports": OS,
        "p": {"_target_": "pathlib.Path", "_mode_": "callable"},
        "inferer": "$@p(@bundle_root + '/docs/README.md').replace('MARKER') and None",
    },
    "a file moved by a copied path class": {
        "imports": ["$from pathlib import Path as P"],
        "inferer": "$P(@bundle_root + '/docs/README.md').replace('MARKER') and None",
    },
    "a folder made by a macro that counts from the end": {
        "imports": OS,
        "x": ["$os.makedirs('MARKER')"],
        "inferer": "%x::-1",
    },
    "a folder made through a macro in a macro": {
        "imports": OS,
        "a": "%c",
        "c": {"b": "$os.makedirs('MARKER')"},
        "inferer": "@a::b",
    },
    "a folder made through a macro on a macro": {
        "imports": OS,
        "a": "%c",
        "c": {"b": "$os.makedirs('MARKER')"},
        "inferer": "%a::b",
    },
    "a folder made by another spelling of a number": {
        "imports": OS,
        "x": ["$os.makedirs('MARKER')"],
        "inferer": "%x:: 0",
    },
    "a folder made by an Arabic number": {
        "imports": OS,
        "x": [1, "$os.makedirs('MARKER')"],
        "inferer": "%x::\u0661",
    },
    "a log file": {
        "imports": OS,
        "x": [{"_target_": "monai.handlers.LogfileHandler", "output_dir": "MARKER"}],
        "inferer": "%x::-1",
    },
}


@pytest.mark.parametrize("attack", [pytest.param(value, id=name) for name, value in LIVE_ATTACKS.items()])
def test_what_would_touch_files_while_it_runs_is_refused(make_bundle, a_marker, attack):
    text = json.dumps(attack).replace("MARKER", a_marker.as_posix())
    root = make_bundle(config=json.loads(text))
    with pytest.raises((MaliciousBundleError, UntrustedBundleError)):
        _attempt(root)
    assert not a_marker.exists()


SAVE = {"_target_": "SaveImage", "output_dir": "MARKER", "print_log": False}
LOAD = {"_target_": "LoadImaged", "keys": "image"}
FIRST = {"_target_": "EnsureChannelFirstd", "keys": "image"}

WRITING: dict[str, dict[str, Any]] = {
    "in preprocessing": {"preprocessing": [LOAD, FIRST, {**SAVE, "_target_": "SaveImaged", "keys": "image"}]},
    "within a lambda of postprocessing": {
        "saver": SAVE,
        "postprocessing": [{"_target_": "Lambdad", "keys": "pred", "func": "@saver"}],
    },
    "within a lambda of preprocessing": {
        "saver": SAVE,
        "preprocessing": [LOAD, FIRST, {"_target_": "Lambdad", "keys": "image", "func": "@saver"}],
    },
    "made while it runs": {
        "saver": {**SAVE, "_mode_": "callable"},
        "postprocessing": [{"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: @saver()(x)"}],
    },
    "by a mapping of files": {
        "preprocessing": [
            LOAD,
            FIRST,
            {"_target_": "Lambdad", "keys": "image", "func": "$lambda x: x.meta.update({'saved_to': 'a'}) or x"},
            {"_target_": "WriteFileMappingd", "keys": "image", "mapping_file_path": "MARKER"},
        ]
    },
    "by a mapping of files in a lambda": {
        "m": {"_target_": "WriteFileMapping", "mapping_file_path": "MARKER"},
        "postprocessing": [
            {
                "_target_": "Lambdad",
                "keys": "pred",
                "func": "$lambda x: x.meta.update({'saved_to': 'a', 'filename_or_obj': 'b'}) or @m(x)",
            }
        ],
    },
    "by a layout of folders": {
        "layout": {"_target_": "monai.data.FolderLayout", "output_dir": "MARKER", "makedirs": True},
        "postprocessing": [{"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: @layout.filename('a') and x"}],
    },
}


@pytest.mark.parametrize("attack", [pytest.param(value, id=name) for name, value in WRITING.items()])
def test_nothing_of_a_bundle_writes_a_file(make_bundle, a_marker, attack):
    text = json.dumps(attack).replace("MARKER", a_marker.as_posix())
    root = make_bundle(config=json.loads(text))
    before = set(root.rglob("*"))
    with contextlib.suppress(MedAIError):
        _attempt(root)
    assert not a_marker.exists()
    assert set(root.rglob("*")) == before


UNPICKLING: dict[str, dict[str, Any]] = {
    "a loader made while it runs": {
        "loader": {"_target_": "LoadImage", "_mode_": "callable", "image_only": True},
        "postprocessing": [
            {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: @loader()(@bundle_root + '/docs/evil.npy')"}
        ],
    },
    "a loader made while it runs by a partial": {
        "imports": OS,
        "loader": {"_target_": "LoadImage", "_mode_": "callable", "image_only": True},
        "postprocessing": [
            {
                "_target_": "Lambdad",
                "keys": "pred",
                "func": "$lambda x: functools.partial(@loader, image_only=True)()(@bundle_root + '/docs/evil.npy')",
            }
        ],
    },
    "a loader with a reader by position": {
        "loader": {"_target_": "LoadImage", "_mode_": "callable"},
        "postprocessing": [
            {
                "_target_": "Lambdad",
                "keys": "pred",
                "func": "$lambda x: @loader('numpyreader')(@bundle_root + '/docs/evil.npy')",
            }
        ],
    },
    "a loader copied while it runs": {
        "imports": ["$import copy"],
        "loader": {"_target_": "LoadImage", "image_only": True},
        "postprocessing": [
            {
                "_target_": "Lambdad",
                "keys": "pred",
                "func": "$lambda x: copy.deepcopy(@loader)(@bundle_root + '/docs/evil.npy')",
            }
        ],
    },
}


@pytest.mark.parametrize("attack", [pytest.param(value, id=name) for name, value in UNPICKLING.items()])
def test_a_loader_cannot_unpickle_while_the_bundle_runs(make_bundle, an_evil_object, a_marker, attack):
    root = make_bundle(config=attack)
    np.save(root / "docs" / "evil.npy", np.array([an_evil_object], dtype=object), allow_pickle=True)
    with pytest.raises(BundleError):
        _attempt(root)
    assert not a_marker.exists()


@pytest.mark.parametrize("tag", ["!!omap [a: TEXT]", "!!pairs [a: TEXT]"])
@pytest.mark.parametrize("file", ["inference", "metadata"])
def test_yaml_cannot_hide_code_where_it_is_not_looked_for(make_bundle, a_marker, tag, file):
    text = f"\"$__import__('os').mkdir('{a_marker.as_posix()}')\""
    root = make_bundle()
    path = root / "configs" / f"{file}.json"
    content = json.loads(path.read_text())
    path.unlink()
    # JSON is YAML as well.
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items() if key != "inferer"]
    lines.append(f"hidden: {tag.replace('TEXT', text)}")
    path.with_suffix(".yaml").write_text("\n".join(lines))
    if file == "inference":
        path.with_suffix(".yaml").write_text("\n".join([*lines, "inferer: '%hidden::0::1'"]))
    else:
        inference = root / "configs" / "inference.json"
        inference.write_text(json.dumps({**json.loads(inference.read_text()), "inferer": "%_meta_::hidden::0::1"}))
    with pytest.raises(BundleError):
        _attempt(root)
    assert not a_marker.exists()


def test_settings_from_a_nameless_file_in_the_working_folder_are_not_taken(
    make_bundle, a_marker, tmp_path, monkeypatch
):
    root = make_bundle(config={"inferer": "%.json::x"})
    (tmp_path / ".json").write_text(json.dumps({"x": f"$__import__('os').mkdir('{a_marker.as_posix()}')"}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError):
        _attempt(root)
    assert not a_marker.exists()


def test_a_loader_given_hidden_arguments_while_it_runs_cannot_unpickle(make_bundle, an_evil_object, a_marker):
    call = "@loader(**dict([('allow_' + 'pickle', True)]))(@bundle_root + '/docs/evil.npy')"
    root = make_bundle(
        config={
            "loader": {"_target_": "LoadImage", "_mode_": "callable", "image_only": True},
            "postprocessing": [{"_target_": "Lambdad", "keys": "pred", "func": f"$lambda x: {call}"}],
        }
    )
    np.save(root / "docs" / "evil.npy", np.array([an_evil_object], dtype=object), allow_pickle=True)
    with pytest.raises(UntrustedBundleError):
        _attempt(root)
    assert not a_marker.exists()


@pytest.mark.parametrize(
    "expression",
    [
        "$torch.nn.Conv3d(**@arguments)",
        "$torch.nn.Conv3d(**{'in_' + 'channels': 1})",
        "$monai.networks.nets.HoVerNet('fast', 3, 5, 5, 'relu', 'batch', False, 0.0, 3, 'x')",
        "$monai.networks.nets.DenseNet121(3, 1, 2, 64, 32, (6,), True)",
        "$monai.networks.nets.SENet154(3, 1, 2, (3,), 64, 16, True)",
        "$'a'.replace(*['b', 'c'])",
        "$list(map('a'.replace, ['b']))",
    ],
)
def test_calls_whose_arguments_cannot_be_seen_are_refused(make_bundle, expression):
    with pytest.raises(UntrustedBundleError):
        trust.check_config(make_bundle(config={"inferer": expression}))


def test_replacing_text_by_text_needs_nobodys_leave(make_bundle):
    trust.check_config(make_bundle(config={"inferer": "$'SlidingWindow'.replace('Window', 'X').lower()"}))


@pytest.mark.parametrize("text", ["!!bool x", "!!int ''", "!!timestamp x", "!!map [x]", "!!float ''", "!!set {x}"])
def test_yaml_values_that_do_not_fit_are_a_format_error(a_bundle, text):
    (a_bundle / "configs" / "inference.json").unlink()
    (a_bundle / "configs" / "inference.yaml").write_text(f"a: {text}\n")
    with pytest.raises(BundleError):
        trust.check_config(a_bundle)


def test_a_trusted_configuration_that_changes_while_it_is_read_is_not_used(make_bundle, monkeypatch):
    root = make_bundle(config={"x": "$print(open)"})
    trust.trust(root)
    original = trust.is_trusted

    def swapped(where: Path) -> bool:
        answer = original(where)
        path = root / "configs" / "inference.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "x": "$open('y')"}))
        return answer

    monkeypatch.setattr(trust, "is_trusted", swapped)
    with pytest.raises(BundleError, match="changed while"):
        trust.check_config(root)
