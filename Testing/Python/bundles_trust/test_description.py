from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from medai.bundles.description import describe
from medai.bundles.labels import color
from medai.errors import BundleFormatError
from medai.result import Code
from medai.volume import PIXELS_UNKNOWN, Volume


def _volume(shape=(32, 32, 32), spacing=1.0, modality="", channels=1, name="head"):
    array = np.zeros(shape if channels == 1 else (*shape, channels), dtype=np.float32)
    return Volume(array, np.diag([spacing, spacing, spacing, 1.0]), name=name, modality=modality)


def test_a_description_tells_what_the_metadata_says(a_bundle):
    found = describe(a_bundle)
    assert (found.name, found.title, found.version) == ("tiny_kidney", "Tiny kidney model", "0.2.0")
    assert (found.task, found.modality, found.channels, found.dimensions) == ("segment", "MR", 1, 3)
    assert [(s.name, s.value, s.layer) for s in found.segments] == [("kidney", 1, 0), ("tumor core", 2, 0)]
    assert found.licence == "Apache-2.0"
    assert found.citation == "A. Tester. How to test. 2024."
    assert found.size_bytes == (a_bundle / "models" / "model.pt").stat().st_size


def test_a_description_travels_between_processes(a_bundle):
    found = describe(a_bundle)
    assert pickle.loads(pickle.dumps(found)) == found


def test_segments_of_ones_own_carry_colour_and_terminology(make_bundle):
    own = {
        "title": "Kidney, carefully",
        "modality": "MR",
        "segments": [
            {
                "label": 3,
                "name": "Kidney",
                "color": [255, 0, 51],
                "layer": 1,
                "category": ["SCT", "123037004", "Anatomical Structure"],
                "type": ["SCT", "64033007", "Kidney"],
                "modifier": ["SCT", "7771000", "Left"],
            },
            {"label": 4, "name": "Cyst", "color": [0.5, 0.25, 1], "modifier": None},
        ],
        "expects": {"spacing_mm": [0.5, 2.0], "extent_mm": [20, 90], "note": "Draw a region around the kidney"},
    }
    found = describe(make_bundle(metadata={"medai": own}))
    kidney, cyst = found.segments
    assert found.title == "Kidney, carefully"
    assert (kidney.value, kidney.layer, kidney.color) == (3, 1, (1.0, 0.0, 0.2))
    assert kidney.type == Code("SCT", "64033007", "Kidney")
    assert kidney.modifier == Code("SCT", "7771000", "Left")
    assert (cyst.color, cyst.type, cyst.modifier) == ((0.5, 0.25, 1.0), None, None)
    assert found.expects.spacing_mm == (0.5, 2.0)


def _with_output(some_metadata, **output):
    some_metadata["network_data_format"]["outputs"]["pred"] = {"type": "image", "format": "segmentation", **output}
    return some_metadata


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"num_channels": 2, "channel_def": {"0": "Background", "1": "spleen"}}, [("spleen", 1, 0)]),
        (
            {"num_channels": 3, "channel_def": {"0": "core", "1": "whole", "2": "enhancing"}},
            [("core", 1, 0), ("whole", 1, 1), ("enhancing", 1, 2)],
        ),
        ({"num_channels": 3, "channel_def": None}, [("label 1", 1, 0), ("label 2", 2, 0)]),
        ({"num_channels": 1, "channel_def": {"0": "nuclei"}}, [("nuclei", 1, 0)]),
        ({"num_channels": 1, "channel_def": {"1": "liver", "7": "spleen"}}, [("liver", 1, 0), ("spleen", 7, 0)]),
        ({"channel_def": {"0": {"name": "background"}, "1": {"name": "vein"}}}, [("vein", 1, 0)]),
        ({"channel_def": ["background", "vein"]}, [("vein", 1, 0)]),
        ({"channel_def": "none", "num_channels": "two"}, []),
        ({}, []),
    ],
)
def test_segments_are_derived_from_the_channels(make_bundle, some_metadata, output, expected):
    found = describe(make_bundle(metadata=_with_output(some_metadata, **output)))
    assert [(s.name, s.value, s.layer) for s in found.segments] == expected


def test_colours_of_many_segments_differ():
    assert len({color(number) for number in range(120)}) == 120


@pytest.mark.parametrize(
    "oddity",
    [
        {"network_data_format": None},
        {"network_data_format": {"inputs": [], "outputs": "x"}},
        {"network_data_format": {"inputs": {"image": 3}, "outputs": {"pred": {"spatial_shape": "any"}}}},
        {"references": {"a": ["b"]}, "authors": ["a", "b"], "version": 3, "task": None},
        {"medai": []},
        {"medai": {"segments": [1, {"label": "x"}], "expects": {"spacing_mm": ["a", 1]}}},
        {"license": 4},
    ],
)
def test_oddities_of_metadata_do_no_harm(make_bundle, oddity):
    found = describe(make_bundle(metadata=oddity))
    assert found.name == "tiny_kidney"
    pickle.dumps(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n   Apache License\n  Version 2.0, January 2004\n", "Apache-2.0"),
        ("MIT License\n\nCopyright (c) 2024 A\n", "MIT"),
        ("Private use only.\nDo not share.\n", "Private use only."),
        ("Code License\nApache License\nVersion 2.0\nThe model weights are for research.", "Apache-2.0; see LICENSE"),
        ("", ""),
    ],
)
def test_the_licence_is_recognised(a_bundle, text, expected):
    (a_bundle / "LICENSE").write_text(text)
    assert describe(a_bundle).licence.startswith(expected)
    assert bool(describe(a_bundle).licence) == bool(expected)


def test_a_licence_in_the_metadata_comes_first(make_bundle):
    assert describe(make_bundle(metadata={"license": "CC BY-NC 4.0"})).licence == "CC BY-NC 4.0"


@pytest.mark.parametrize("damage", ["missing", "empty", "list", "truncated"])
def test_missing_or_damaged_metadata_is_a_format_error(a_bundle, damage):
    path = a_bundle / "configs" / "metadata.json"
    text = path.read_text()
    path.write_text({"empty": "", "list": "[]"}.get(damage, text[:50]))
    if damage == "missing":
        path.unlink()
    with pytest.raises(BundleFormatError, match="metadata"):
        describe(a_bundle)


@pytest.fixture
def a_careful_description(make_bundle):
    expects = {"spacing_mm": [0.8, 1.2], "extent_mm": [20, 90], "note": "one hippocampus"}
    hint = "Draw a region around the hippocampus"
    return describe(make_bundle(metadata={"medai": {"modality": "MR", "expects": expects, "region_hint": hint}}))


def test_an_ordinary_image_raises_no_warning(a_careful_description):
    assert a_careful_description.warnings([_volume(modality="MR")]) == ()
    assert a_careful_description.warnings([_volume(modality="")]) == ()
    assert a_careful_description.warnings([_volume(modality="MRI")]) == ()


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        (_volume(modality="CT"), "made for magnetic resonance"),
        (_volume(spacing=2.5), "voxels of 0.8 to 1.2 mm"),
        (
            _volume(shape=(180, 220, 180)),
            "at most 90 mm in each direction (one hippocampus). Draw a region around the hippocampus.",
        ),
        (_volume(shape=(10, 32, 32)), "at least 20 mm"),
        (_volume(channels=3), "needs 1 image channel, but the input has 3"),
    ],
)
def test_an_unusual_image_is_warned_of_in_plain_words(a_careful_description, volume, said):
    warnings = a_careful_description.warnings([volume])
    assert len(warnings) == 1
    assert said in warnings[0]


def test_colours_are_no_channels_too_many(a_careful_description):
    volume = _volume(modality="MR", channels=3)
    assert a_careful_description.warnings([replace(volume, array=volume.array.astype("u1"))]) == ()


@pytest.mark.parametrize(
    ("task", "told"), [("segment", True), ("detect", True), ("classify", False), ("denoise", False)]
)
def test_pixels_of_unknown_size_are_told_of_where_something_is_measured(make_bundle, task, told):
    description = describe(make_bundle(metadata={"medai": {"task": task}}))
    assert (PIXELS_UNKNOWN in description.warnings([replace(_volume(), notes=(PIXELS_UNKNOWN,))])) == told


@pytest.mark.parametrize(("task", "count"), [("segment", 1), ("denoise", 0), ("forecast", 0)])
def test_channels_of_an_image_or_a_forecast_are_no_structures(make_bundle, some_metadata, task, count):
    some_metadata["network_data_format"]["outputs"]["pred"].update(num_channels=1, channel_def={"0": "image"})
    own = {name: value for name, value in some_metadata.get("medai", {}).items() if name != "segments"}
    some_metadata["medai"] = {**own, "task": task}
    assert len(describe(make_bundle(metadata=some_metadata)).segments) == count


def test_a_single_slice_is_not_said_to_be_too_thin(a_careful_description):
    (said,) = a_careful_description.warnings([_volume(shape=(1, 32, 32))])
    assert "is a single slice" in said


def test_the_channels_of_several_images_count_together(make_bundle, some_metadata):
    spec = some_metadata["network_data_format"]["inputs"]["image"]
    spec.update(num_channels=2, channel_def={"0": "T1", "1": "FLAIR"})
    found = describe(make_bundle(metadata=some_metadata))
    assert found.warnings([_volume(), _volume()]) == ()
    assert "2 image channels (T1, FLAIR)" in found.warnings([_volume()])[0]


def test_a_model_that_classifies_is_no_model_that_segments(make_bundle, some_metadata):
    some_metadata["task"] = "Breast density classification"
    some_metadata["name"] = "Breast density"
    assert describe(make_bundle(metadata=some_metadata)).task == "classify"


def test_the_shipped_models_describe_themselves():
    from medai.bundles import library

    for model in library.models():
        if model.problem:
            continue
        assert json.loads((model.root / "configs" / "metadata.json").read_text())["version"] == model.version
