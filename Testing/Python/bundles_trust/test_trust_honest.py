"""Configurations in the manner of published bundles, which must run without anybody's leave; and trust by hash."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from medai.bundles import trust
from medai.errors import MaliciousBundleError, UntrustedBundleError, WriteError


def _transforms(*names: str, keys: str = "image", **arguments: Any) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": [{"_target_": name, "keys": keys, **arguments} for name in names]}


HONEST: dict[str, dict[str, Any]] = {
    "organ in CT, everything as usual": {},
    "several MR contrasts, overlapping structures": {
        "datalist": "$monai.data.load_decathlon_datalist(@list_file, data_list_key='testing', base_dir=@dataset_dir)",
        "list_file": "$@bundle_root + '/configs/datalist.json'",
        "network_def": {"_target_": "SegResNet", "in_channels": 4, "out_channels": 3, "init_filters": 16},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
                {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"},
                {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
                {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: torch.where(x[[2]] > 0, 4, x[[0]])"},
                {"_target_": "SaveImaged", "keys": "pred", "resample": False, "output_dir": "@output_dir"},
            ],
        },
    },
    "a switch between two resolutions": {
        "highres": True,
        "pixdim": "$[1.5, 1.5, 1.5] if @highres else [3.0, 3.0, 3.0]",
        "modelname": "$'model.pt' if @highres else 'model_lowres.pt'",
        "preprocessing": _transforms("LoadImaged", "EnsureChannelFirstd", "Orientationd"),
    },
    "photographs": {
        "imports": ["$import glob", "$import os", "$import numpy as np"],
        "datalist": "$[{'image': i} for i in glob.glob(os.path.join(@dataset_dir, '*.png'))]",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "LoadImaged",
                    "keys": "image",
                    "dtype": "$np.uint8",
                    "reader": "$monai.data.PILReader",
                    "converter": "$lambda image: image.convert('RGB')",
                },
                {"_target_": "CastToTyped", "keys": "image", "dtype": "$torch.float32"},
            ],
        },
        "network_def": {"_target_": "FlexibleUNet", "backbone": "efficientnet-b2", "pretrained": False},
    },
    "slices of a heart with the old separator": {
        "imports": ["$import glob", "$import os", "$from pathlib import Path", "$from datetime import datetime"],
        "name": "$datetime.now().strftime('sample_%Y%m%d')",
        "create": "$Path(@output_dir).mkdir(exist_ok=True)",
        "output_dir": "$@bundle_root + '/eval'",
        "files": {"images": "$sorted(glob.glob(@dataset_dir + '/*.nii*'))"},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': i} for i in @files#images]",
            "transform": "@preprocessing",
        },
        "inferer": {"_target_": "SliceInferer", "roi_size": "$(256,) * @dims", "spatial_dim": 2},
        "dims": "$int(2) if not os.path.basename(@output_dir) else int(3)",
    },
    "a transformer with everything spelt out": {
        "network_def": {"_target_": "monai.networks.nets.SwinUNETR", "in_channels": 1, "out_channels": 14},
        "inferer": {"_target_": "monai.inferers.SlidingWindowInferer", "roi_size": [96, 96, 96], "mode": "gaussian"},
        "preprocessing": {
            "_target_": "monai.transforms.Compose",
            "transforms": [{"_target_": "monai.transforms.LoadImaged", "keys": ["image"]}],
        },
        "evaluator": {
            "_target_": "monai.engines.SupervisedEvaluator",
            "network": "@network",
            "key_val_metric": {
                "dice": {"_target_": "MeanDice", "output_transform": "$monai.handlers.from_engine(['pred', 'label'])"}
            },
            "amp": True,
        },
    },
    "deep supervision": {
        "network_def": {
            "_target_": "DynUNet",
            "spatial_dims": "$len(@patch)",
            "kernel_size": "$[3] * 4",
            "deep_supervision": True,
            "norm_name": ["INSTANCE", {"affine": True}],
        },
        "patch": [96, 96, 96],
        "network": "$@network_def.to(@device, memory_format=torch.channels_last_3d)",
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": "@patch",
            "overlap": "$1.0 - 48 / float(@patch[0])",
        },
    },
    "a detector": {
        "backbone": "$monai.networks.nets.resnet.resnet50(spatial_dims=3, n_input_channels=1)",
        "extractor": (
            "$monai.apps.detection.networks.retinanet_network"
            ".resnet_fpn_feature_extractor(@backbone, 3, False, [1, 2], None)"
        ),
        "network_def": {"_target_": "RetinaNet", "feature_extractor": "@extractor", "num_classes": 1},
        "initialize": ["$@detector.set_target_keys(box_key='box', label_key='label')"],
    },
    "relative references and kept switches": {
        "parts": {"first": [1, 2], "second": "$@::first + [3]", "third": "@::first"},
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
            "_disabled_": "$not os.path.exists(@bundle_root + '/models/model.pt')",
        },
        "run": ["$@checkpointloader(@evaluator) if @parts else None", "$@evaluator.run()"],
    },
    "a macro and a prompt": {
        "base": {
            "_target_": "ScaleIntensityRanged",
            "keys": "image",
            "a_min": -57,
            "a_max": 164,
            "b_min": 0,
            "b_max": 1,
        },
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "LoadImaged", "keys": "image", "reader": "itkreader"}, "%base"],
        },
        "labels": "$list(set(i + 1 for i in range(132)) - {2, 16})",
        "handlers": [
            {"_target_": "StatsHandler", "iteration_log": False, "output_transform": "$lambda x: None"},
            {"_target_": "MetricsSaver", "save_dir": "@output_dir", "metrics": ["dice"]},
        ],
    },
    "an order of one's own for the batch": {
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "network": "@network",
            "prepare_batch": "$lambda batch, device, *_, **__: (batch['image'].to(device), None, (), {})",
        },
        "text": "$'{}/{:03d}'.format('eval', 3) + f'{3:>4}' + '%d' % 4",
    },
}


@pytest.mark.parametrize("config", [pytest.param(value, id=name) for name, value in HONEST.items()])
def test_an_ordinary_bundle_needs_nobodys_leave(make_bundle, config):
    trust.check_config(make_bundle(config=config))


def test_the_same_in_yaml(make_bundle):
    import yaml

    root = make_bundle()
    path = root / "configs" / "inference.json"
    path.with_suffix(".yaml").write_text(yaml.safe_dump(json.loads(path.read_text())))
    path.unlink()
    trust.check_config(root)


def _own_network(make_bundle):
    root = make_bundle(config={"network_def": {"_target_": "scripts.net.Net"}})
    (root / "scripts").mkdir()
    (root / "scripts" / "net.py").write_text("class Net: pass\n")
    return root


def test_what_a_person_should_read_first_is_listed(make_bundle, a_bundle):
    assert trust.concerns(a_bundle) == ()
    (told,) = trust.concerns(make_bundle("own", config={"network_def": {"_target_": "scripts.net.Net"}}))
    assert "scripts.net.Net" in told


def test_a_person_can_trust_a_bundle_with_code_of_its_own(make_bundle):
    root = _own_network(make_bundle)
    with pytest.raises(UntrustedBundleError, match=r"scripts\.net\.Net"):
        trust.check_config(root)
    trust.trust(root)
    assert trust.is_trusted(root)
    trust.check_config(root)


@pytest.mark.parametrize("name", ["scripts/net.py", "configs/inference.json", "models/model.pt", "scripts/new.py"])
def test_trust_is_lost_when_a_file_changes(make_bundle, name):
    root = _own_network(make_bundle)
    trust.trust(root)
    path = root / name
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"\n")
    assert not trust.is_trusted(root)
    with pytest.raises(UntrustedBundleError):
        trust.check_config(root)


def test_trust_outlives_the_copies_that_python_compiles(make_bundle):
    root = _own_network(make_bundle)
    trust.trust(root)
    (root / "scripts" / "__pycache__").mkdir()
    (root / "scripts" / "__pycache__" / "net.cpython-311.pyc").write_bytes(b"x")
    assert trust.is_trusted(root)


def test_compiled_code_that_nobody_can_read_is_never_trusted(make_bundle):
    root = _own_network(make_bundle)
    (root / "scripts" / "__pycache__").mkdir()
    (root / "scripts" / "__pycache__" / "net.cpython-311.pyc").write_bytes(b"x")
    with pytest.raises(MaliciousBundleError, match="compiled"):
        trust.trust(root)


def test_trust_can_be_taken_back(make_bundle):
    root = _own_network(make_bundle)
    trust.trust(root)
    assert trust.revoke(root) is True
    assert trust.revoke(root) is False
    assert not trust.is_trusted(root)


def test_a_damaged_list_of_trust_trusts_nothing(make_bundle):
    root = _own_network(make_bundle)
    trust.trust(root)
    trust.store_path().write_text("{")
    assert not trust.is_trusted(root)


def test_a_list_of_trust_that_cannot_be_written_is_a_write_error(make_bundle, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDAI_TRUST", str(tmp_path / "file" / "trusted.json"))
    with pytest.raises(WriteError):
        trust.trust(_own_network(make_bundle))


def test_the_check_needs_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, medai.bundles.library, medai.bundles.trust, medai.bundles.verify, medai.bundles.weights\n"
        "medai.bundles.library.models()\n"
        "medai.bundles.trust.findings({'x': {'_target_': 'UNet'}, 'y': '$monai.transforms.Compose([])'})\n"
        "assert 'torch' not in sys.modules and 'monai' not in sys.modules"
    )
    folder = os.pathsep.join(path for path in sys.path if path)
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": folder})
