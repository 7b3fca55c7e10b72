"""A tiny autoencoder learns to describe images by few numbers, and a denoiser takes it along."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigParser

import medai
from medai.bundles import integrity, verify
from medai.bundles.description import describe
from medai.result import Table
from medai.training.data import check, read_data_list
from medai.training.parameters import TrainingParameters
from medai.training.recipe import plan
from medai.training.recipe.inference import network_def


@pytest.fixture(scope="module")
def a_trained_coder(smooth_volumes, tmp_path_factory):
    root = tmp_path_factory.mktemp("trained") / "coder"
    chosen = {"epochs": 20, "width": 8, "patch_size": [16] * 3, "learning_rate": 0.01, "noise": 0.02, "seed": 1}
    result = medai.train(
        smooth_volumes,
        "encode",
        root,
        parameters={**chosen, "validate_every": 20, "augmentation": ["flip"]},
        in_process=True,
        device="cpu",
        modality="MR",
    )
    return root, result


def test_it_learns_to_give_the_image_back(a_trained_coder):
    root, result = a_trained_coder
    tables = {item.name: item.columns for item in result.items if isinstance(item, Table)}
    losses = tables["training"]["Loss"]
    assert losses[-1] < 0.4 * losses[0]
    scores = dict(zip(tables["scores"]["Metric"], tables["scores"]["Value"], strict=True))
    assert scores["psnr_db"] > 18
    assert scores["ssim"] > 0.7
    assert describe(root).tasks == ("encode",)
    assert verify.verify(root).ok


def test_codes_tell_smooth_hills_from_a_pattern(a_trained_coder, smooth_volumes):
    root, _ = a_trained_coder
    hills = sorted(smooth_volumes.parent.glob("hills_*.nii.gz"))
    pattern = medai.Volume((np.indices((16, 16, 16)).sum(axis=0) % 2 * 200).astype(np.float32), np.eye(4), "pattern")
    result = medai.encode([*hills, pattern], root, in_process=True, device="cpu")
    scores = result.table.columns["PSNR (dB)"]
    assert min(scores[:-1]) > scores[-1] + 5
    codes = result.codes.array
    apart = np.linalg.norm(codes - codes[:-1].mean(axis=0), axis=1)
    assert apart[-1] > 2 * apart[:-1].max()


def test_what_does_not_belong_is_reconstructed_worst(a_trained_coder, smooth_volumes):
    root, _ = a_trained_coder
    image = nib.load(smooth_volumes.parent / "hills_7.nii.gz")
    array = np.asarray(image.dataobj).transpose().copy()
    array[6:8, 9:11, 4:6] += 1.5 * array.max()
    found = medai.encode(
        medai.Volume(array, np.eye(4), "odd"), root, anomaly=True, in_process=True, device="cpu"
    ).volume.array
    assert found[6:8, 9:11, 4:6].mean() > 5 * np.median(found)


def test_a_denoiser_takes_it_along(a_trained_coder, smooth_volumes, tmp_path):
    """The way of the shipped bundles: a configuration and weights beside the denoiser's own."""
    from small_bundles import write_bundle
    from small_restorers import denoiser

    coder, _ = a_trained_coder
    root = write_bundle(tmp_path / "both", denoiser())
    text = (coder / "configs" / "inference.json").read_text(encoding="utf-8")
    (root / "configs" / "encode.json").write_text(
        text.replace("/models/model.pt", "/models/autoencoder.pt"), encoding="utf-8"
    )
    shutil.copy(coder / "models" / "model.pt", root / "models" / "autoencoder.pt")
    integrity.write_pins(root)
    image = smooth_volumes.parent / "hills_0.nii.gz"
    assert describe(root).tasks == ("denoise", "encode")
    both, alone = (medai.encode(image, bundle, in_process=True, device="cpu") for bundle in (root, coder))
    np.testing.assert_array_equal(both.codes.latents[0], alone.codes.latents[0])
    assert medai.denoise(image, root, in_process=True, device="cpu").volume.array.shape == (16, 16, 16)


def test_monai_itself_runs_the_second_network(a_trained_coder, smooth_volumes, tmp_path):
    import monai.bundle

    coder, _ = a_trained_coder
    (tmp_path / "in").mkdir()
    shutil.copy(smooth_volumes.parent / "hills_0.nii.gz", tmp_path / "in")
    monai.bundle.run(
        run_id="run",
        config_file=str(coder / "configs" / "inference.json"),
        meta_file=str(coder / "configs" / "metadata.json"),
        bundle_root=str(coder),
        dataset_dir=str(tmp_path / "in"),
        output_dir=str(tmp_path / "out"),
        device="$torch.device('cpu')",
    )
    (path,) = (tmp_path / "out").glob("*_reconstruction.nii.gz")
    theirs = np.asarray(nib.load(path).dataobj).transpose()
    ours = medai.encode(tmp_path / "in" / "hills_0.nii.gz", coder, reconstruct=True, in_process=True, device="cpu")
    np.testing.assert_allclose(ours.volume.array, np.maximum(theirs, 0), atol=0.02 * np.ptp(theirs))


@pytest.mark.parametrize(("code", "ratio"), [(0, 64.0), (4, 128.0), (16, 32.0)])
def test_the_code_is_as_small_as_chosen(code, ratio, smooth_volumes):
    data = read_data_list(smooth_volumes)
    chosen = TrainingParameters(patch_size=(32, 32, 32), width=4, code=code)
    made = plan(data, check(data), "encode", chosen, name="coder")
    network = ConfigParser({"network": network_def(made)}).get_parsed_content("network").eval()
    import torch

    image = torch.zeros(1, 1, 32, 32, 32)
    assert image.numel() / network.encode(image).numel() == ratio
    assert network(image).shape == image.shape
