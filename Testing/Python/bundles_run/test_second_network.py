"""A bundle's second network, ``configs/encode.json`` with weights of its own, is run and checked like the first."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medai.bundles import library, trust, verify
from medai.bundles.description import describe
from medai.bundles.encoders import ENCODE, encoder_config
from medai.bundles.pipeline import Pipeline
from medai.engine.loaded import LoadedModels
from medai.errors import BundleError, BundleFormatError, MaliciousBundleError, UntrustedBundleError
from medai.volume import Volume
from small_bundles import OBLIQUE, RECIPES, write_bundle, write_nifti
from small_restorers import autoencoder, denoiser


@pytest.fixture
def two_networks(tmp_path: Path) -> Path:
    """A denoiser that brings an autoencoder."""
    coder, root = write_bundle(tmp_path / "coder", autoencoder()), write_bundle(tmp_path / "both", denoiser())
    text = (coder / "configs" / "inference.json").read_text(encoding="utf-8")
    text = text.replace("/models/model.pt", "/models/autoencoder.pt")
    (root / "configs" / "encode.json").write_text(text, encoding="utf-8")
    shutil.copy(coder / "models" / "model.pt", root / "models" / "autoencoder.pt")
    return root


@pytest.fixture
def an_image() -> Volume:
    return Volume(np.random.default_rng(0).normal(300, 60, (17, 18, 19)).astype(np.float32), OBLIQUE, "image")


def test_each_configuration_has_its_own_network_and_weights(two_networks):
    loaded = LoadedModels()
    first, second = loaded.get(two_networks, "cpu"), loaded.get(two_networks, "cpu", ENCODE)
    assert type(first.network).__name__ == "Conv3d"
    assert type(second.network).__name__ == "AutoEncoder"
    assert loaded.get(two_networks, "cpu") is first
    assert loaded.get(two_networks, "cpu", ENCODE) is second


def test_monai_runs_it_to_the_same_reconstruction(two_networks, an_image, tmp_path):
    import monai.bundle

    (tmp_path / "in").mkdir()
    write_nifti(an_image, tmp_path / "in" / "image.nii")
    monai.bundle.run(
        run_id="run",
        config_file=str(two_networks / "configs" / "encode.json"),
        meta_file=str(two_networks / "configs" / "metadata.json"),
        bundle_root=str(two_networks),
        dataset_dir=str(tmp_path / "in"),
        output_dir=str(tmp_path / "out"),
    )
    (path,) = (tmp_path / "out").glob("*.nii.gz")
    pipeline = Pipeline(two_networks, "cpu", ENCODE)
    ours = pipeline.image(pipeline.infer(pipeline.preprocess((an_image,))), "ours")
    np.testing.assert_allclose(ours.array, np.asarray(nib.load(path).dataobj).transpose(2, 1, 0), rtol=1e-4)


def test_a_bundle_tells_which_tasks_it_serves(two_networks, tmp_path):
    assert describe(two_networks).tasks == ("denoise", "encode")
    assert encoder_config(two_networks) == ENCODE
    assert describe(tmp_path / "coder").tasks == ("encode",)
    assert encoder_config(tmp_path / "coder") == "inference"
    plain = write_bundle(tmp_path / "plain", RECIPES["threshold"])
    assert describe(plain).tasks == ("segment",)
    assert not encoder_config(plain)


def test_both_networks_are_checked(two_networks):
    report = verify.verify(two_networks)
    assert report.ok, str(report)
    assert any(check.name == "encoding" and "autoencoder.pt" in check.message for check in report.checks)
    (two_networks / "models" / "autoencoder.pt").write_bytes(b"nothing")
    report = verify.verify(two_networks)
    assert not report.ok
    assert next(check.name for check in report.checks if check.essential and not check.ok) == "encoding"


def test_weights_that_would_run_code_are_refused_on_import(two_networks):
    class Harm:
        def __reduce__(self):
            return (print, ("harm",))

    (two_networks / "models" / "autoencoder.pt").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(BundleError) as refused:
        library.import_bundle(two_networks)
    assert isinstance(refused.value, (MaliciousBundleError, BundleFormatError))


def test_code_in_it_waits_for_trust(two_networks):
    path = two_networks / "configs" / "encode.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["inferer"] = {"_target_": "my_package.Inferer"}
    path.write_text(json.dumps(config), encoding="utf-8")
    assert any("my_package" in concern for concern in trust.concerns(two_networks))
    with pytest.raises(UntrustedBundleError):
        Pipeline(two_networks, "cpu", ENCODE)
    Pipeline(two_networks, "cpu")  # the first has nothing of it
