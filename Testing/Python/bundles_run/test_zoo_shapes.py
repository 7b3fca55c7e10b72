"""Bundles written as those of MONAI's Model Zoo are give the labels that MONAI itself gives for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medai.bundles import trust
from medai.bundles.description import describe
from medai.bundles.pipeline import Pipeline
from medai.bundles.prediction import to_labelmap
from medai.engine.streaming.predict import predict
from medai.errors import UntrustedBundleError
from zoo_shapes import SEGMENTATIONS, Shape, write_shape

# First the random weights, made by MONAI of the configuration; then the reference labels.
DRIVER = """
import json, sys
from pathlib import Path
import monai.bundle, torch

for root, config, changes in json.loads(sys.argv[1]):
    sys.path.insert(0, root)
    parser = monai.bundle.ConfigParser()
    parser.read_config(config)
    parser.update({"bundle_root": root, **changes})
    torch.manual_seed(5)
    network = parser.get_parsed_content("network_def")
    for parameter in network.parameters():
        if parameter.ndim == 1 and not torch.equal(parameter, torch.ones_like(parameter)):
            torch.nn.init.zeros_(parameter)
    torch.save(network.state_dict(), Path(root) / "models" / "model.pt")
    monai.bundle.run(run_id="run", config_file=config, bundle_root=root, **changes)
    sys.path.remove(root)
    for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
        del sys.modules[name]
"""
OWN_CODE = ("architecture_found_by_search", "network_in_scripts_of_its_own", "three_phases_joined_by_a_script")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every shape with the file that MONAI wrote for it, all in one process because its imports take seconds."""
    base = tmp_path_factory.mktemp("shapes")
    calls = []
    for name, shape in SEGMENTATIONS.items():
        root = write_shape(base / name, shape)
        calls.append([str(root), str(root / "configs" / f"inference{shape.suffix}"), shape.for_monai])
    command = [sys.executable, "-c", DRIVER, json.dumps(calls)]
    done = subprocess.run(command, check=False, cwd=base, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: base / name for name in SEGMENTATIONS}


@pytest.fixture
def own_trust(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MEDAI_TRUST", str(tmp_path / "trusted.json"))


def _trusted(root: Path, name: str) -> Path:
    if name in OWN_CODE:
        trust.trust(root)
    return root


def _segment(root: Path, shape: Shape):
    volumes = shape.volumes()
    pipeline = Pipeline(root, "cpu")
    return pipeline, pipeline.postprocess(pipeline.infer(pipeline.preprocess(volumes)), volumes[0])


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_a_bundle_of_the_zoos_shape_gives_the_labels_of_monai(name, shapes, own_trust):
    pipeline, prediction = _segment(_trusted(shapes[name], name), SEGMENTATIONS[name])
    (path,) = (shapes[name] / "eval").glob("*_seg.nii.gz")
    expected = np.asanyarray(nibabel.load(path).dataobj)
    assert len(np.unique(expected)) > 1, "a test with one label everywhere proves nothing"
    np.testing.assert_array_equal(prediction.array, expected.reshape(prediction.array.shape[::-1]).transpose(2, 1, 0))
    volumes = SEGMENTATIONS[name].volumes()
    streamed = predict(pipeline, pipeline.preprocess(volumes), volumes[0])
    assert (streamed.array == prediction.array).mean() >= 0.9999
    assert not prediction.resampled
    assert bool(pipeline.notes) == ("interpolated" in name)


@pytest.mark.parametrize("name", [name for name in SEGMENTATIONS if name not in OWN_CODE])
def test_a_bundle_that_keeps_to_monai_needs_no_trust(name, shapes):
    trust.check_config(shapes[name])


@pytest.mark.parametrize("name", OWN_CODE)
def test_a_bundle_with_code_of_its_own_waits_for_trust(name, shapes, own_trust):
    with pytest.raises(UntrustedBundleError):
        Pipeline(shapes[name], "cpu")


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_a_bundle_for_segmentation_is_described_as_one(name, shapes):
    assert describe(shapes[name]).task == "segment"


def test_structures_of_merged_channels_keep_their_names(shapes):
    name = "four_sequences_merged_by_an_expression"
    _, prediction = _segment(shapes[name], SEGMENTATIONS[name])
    labelmap = to_labelmap(prediction, describe(shapes[name]).segments, "found")
    assert {segment.name: segment.value for segment in labelmap.segments} == {"core": 1, "whole": 2, "rim": 4}


def test_reference_labels_are_neither_asked_for_nor_given_back(shapes, own_trust):
    name = "three_phases_joined_by_a_script"
    pipeline, prediction = _segment(_trusted(shapes[name], name), SEGMENTATIONS[name])
    assert pipeline.keys == ("early", "late", "last")
    assert prediction.array.max() <= 3


def test_the_largest_connected_part_is_kept(tmp_path, shapes):
    pytest.importorskip("skimage")
    shape = SEGMENTATIONS["settings_to_choose_from"]
    largest = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1, 2]}
    root = write_shape(
        tmp_path / "largest",
        Shape(
            shape.network,
            shape.pre,
            [*shape.post[:2], largest, *shape.post[2:]],
            inferer=shape.inferer,
            extra=shape.extra,
        ),
    )
    weights = shapes["settings_to_choose_from"] / "models" / "model.pt"
    (root / "models" / "model.pt").write_bytes(weights.read_bytes())
    _, every = _segment(shapes["settings_to_choose_from"], shape)
    _, kept = _segment(root, shape)
    assert 0 < np.count_nonzero(kept.array) < np.count_nonzero(every.array)
    assert set(np.unique(kept.array)) <= {0, 1, 2}


def test_what_lies_on_another_device_is_brought_to_the_chosen_one(shapes, own_trust):
    name = "architecture_found_by_search"
    pipeline = Pipeline(_trusted(shapes[name], name), "cpu")
    assert {parameter.device for parameter in pipeline.network.parameters()} == {torch.device("cpu")}
