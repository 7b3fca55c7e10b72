"""medai's own preprocessing steps need no trust as a training writes them, and are refused in any other way."""

from __future__ import annotations

from typing import Any

import pytest

from medai.bundles import trust
from medai.errors import BundleError, BundleFormatError, UntrustedBundleError
from medai.volume import Volume

ALIGN = {
    "_target_": "medai.transforms.AlignToTemplated",
    "keys": "image",
    "template": "$@bundle_root + '/models/template.nii.gz'",
    "mode": ["bilinear"],
    "allow_missing_keys": False,
}
BIAS = {"_target_": "medai.transforms.CorrectBiasFieldd", "keys": ["image"], "iterations": [50, 50]}
DENOISE = {
    "_target_": "medai.transforms.DenoiseByBundled",
    "keys": "image",
    "bundle": "$@bundle_root + '/models/denoiser'",
    "device": "@device",
}
LOAD = {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True}


def using(*steps: Any, **more: Any) -> dict[str, Any]:
    return {"preprocessing": {"_target_": "Compose", "transforms": [LOAD, *steps]}, **more}


ATTACKS: dict[str, dict[str, Any]] = {
    "a template anywhere on the computer": using(ALIGN | {"template": "/etc/passwd"}),
    "a template beside the bundle": using(ALIGN | {"template": "$@bundle_root + '/../x.nii.gz'"}),
    "a template in a folder of its choice": using(ALIGN | {"template": "$@bundle_root + '/input/x.nii.gz'"}),
    "a template by reference": using(ALIGN | {"template": "@elsewhere"}, elsewhere="/etc/passwd"),
    "a template by macro": using(ALIGN | {"template": "%elsewhere"}, elsewhere="/etc/passwd"),
    "a template as a component": using(ALIGN | {"template": {"_target_": "LoadImage"}}),
    "a template set by its path": {
        "preprocessing::transforms::1::template": "/etc/passwd",
        **using(ALIGN),
    },
    "a template set by its older path": {"preprocessing#transforms#1#template": "/etc/passwd", **using(ALIGN)},
    "a template laid over": using("@step", step=ALIGN, **{"+step": {"template": "/etc/passwd"}}),
    "another bundle": using(DENOISE | {"bundle": "some_other_model"}),
    "another bundle's folder": using(DENOISE | {"bundle": "/home/somebody/model"}),
    "another bundle by reference": using(DENOISE | {"bundle": "@elsewhere"}, elsewhere="/home/somebody/model"),
    "a device that is an expression": using(DENOISE | {"device": "$torch.device('cpu')"}),
    "an argument that nobody knows": using(BIAS | {"path": "x"}),
    "more iterations than anybody waits for": using(BIAS | {"iterations": [10**9]}),
    "a part handed out": using(ALIGN | {"_mode_": "callable"}),
    "a part handed out by its path": {"preprocessing::transforms::1::_mode_": "callable", **using(ALIGN)},
    "its bare name": using(BIAS | {"_target_": "CorrectBiasFieldd"}),
    "its inner name": using(ALIGN | {"_target_": "medai.transforms.alignment.AlignToTemplated"}),
    "a library behind it": using(BIAS | {"_target_": "medai.transforms.bias_field.sitk.ReadImage"}),
    "another part of medai": using({"_target_": "medai.bundles.pipeline.Pipeline", "root": "x", "device": "cpu"}),
    "its class in an expression": using("$medai.transforms.AlignToTemplated('image', template='/etc/passwd')"),
    "its import": using(BIAS, imports=["$from medai import transforms"]),
}


def test_what_a_training_writes_needs_no_trust(make_bundle):
    trust.check_config(make_bundle(config=using(DENOISE, BIAS, ALIGN)))


@pytest.mark.parametrize("attack", [pytest.param(value, id=name) for name, value in ATTACKS.items()])
def test_anything_else_is_refused(make_bundle, attack):
    root = make_bundle(config=attack)
    with pytest.raises(BundleError):
        trust.check_config(root)


def test_a_denoiser_inside_must_itself_be_trusted(make_bundle, an_image, a_marker):
    """Whoever trusts nothing runs nothing of a model within a model."""
    from medai.transforms import DenoiseByBundled

    root = make_bundle(config=using(DENOISE))
    evil = {"postprocessing": {"_target_": "Lambdad", "keys": "pred", "func": f"$open({str(a_marker)!r}, 'w')"}}
    make_bundle("denoiser", config=evil, folder=root / "models")
    trust.check_config(root)
    with pytest.raises(UntrustedBundleError):
        DenoiseByBundled("image", bundle=str(root / "models" / "denoiser"))({"image": an_image})
    assert not a_marker.exists()


def test_code_of_a_denoiser_inside_asks_for_trust_of_the_whole(make_bundle):
    root = make_bundle(config=using(DENOISE))
    inside = make_bundle("denoiser", folder=root / "models")
    (inside / "scripts").mkdir()
    (inside / "scripts" / "net.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(UntrustedBundleError):
        trust.check_config(root)


def test_a_denoiser_that_is_a_link_back_is_refused(make_bundle, an_image):
    from medai.transforms import DenoiseByBundled

    root = make_bundle(config=using(DENOISE))
    try:
        (root / "models" / "denoiser").symlink_to(root, target_is_directory=True)
    except OSError:
        pytest.skip("no links on this computer")
    with pytest.raises(BundleFormatError):
        DenoiseByBundled("image", bundle=str(root / "models" / "denoiser"))({"image": an_image})


@pytest.fixture
def an_image():
    import numpy as np
    import torch
    from monai.data import MetaTensor

    volume = Volume(np.zeros((8, 8, 8), np.float32), np.eye(4), "nothing")
    return MetaTensor(torch.tensor(volume.array[None]), affine=torch.eye(4))
