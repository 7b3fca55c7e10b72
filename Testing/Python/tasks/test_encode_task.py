"""The whole encoding task: codes, what they stand for, and what images are compared by."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from medai.bundles import trust
from medai.bundles.description import describe
from medai.engine.loaded import LoadedModels
from medai.errors import BundleError, InputError, JobCancelled, OutOfMemoryError, UntrustedBundleError
from medai.jobs.job import Job
from medai.progress import ignore
from medai.tasks import run
from medai.volume import Region, Series, Volume, apply_affine
from small_bundles import OBLIQUE, RECIPES, write_bundle
from small_restorers import autoencoder, denoiser

FLIP = {"_target_": "Orientationd", "keys": "image", "axcodes": "LPS"}
COARSE = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.6, 1.5, 2.6], "mode": "bilinear"}


def averaging(root):
    """Make the autoencoder's code the mean of each cell, and its reconstruction that mean everywhere in the cell."""
    config = json.loads((root / "configs" / "inference.json").read_text(encoding="utf-8"))
    plain = {"norm": None, "act": None, "bias": False, "channels": [1], "strides": [4], "kernel_size": 4, "padding": 0}
    config["network_def"] |= plain | {"up_kernel_size": 4}
    (root / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
    network = ConfigParser({"network": config["network_def"]}).get_parsed_content("network")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith("encode"):
                parameter.fill_(1 / parameter[0].numel())
    torch.save(network.state_dict(), root / "models" / "model.pt")
    return root


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("coders")
    whole = autoencoder()
    whole.inferer = {"_target_": "SimpleInferer"}
    both = write_bundle(root / "both", denoiser())
    coder = write_bundle(root / "other_axes", autoencoder(pre=[FLIP]))
    text = (coder / "configs" / "inference.json").read_text(encoding="utf-8")
    text = text.replace("/models/model.pt", "/models/autoencoder.pt")
    (both / "configs" / "encode.json").write_text(text, encoding="utf-8")
    shutil.copy(coder / "models" / "model.pt", both / "models" / "autoencoder.pt")
    return {
        "plain": write_bundle(root / "plain", autoencoder()),
        "whole": write_bundle(root / "whole", whole),
        "other_axes": coder,
        "other_grid": write_bundle(root / "other_grid", autoencoder(pre=[FLIP, COARSE])),
        "planar": write_bundle(root / "planar", autoencoder(2)),
        "both": both,
    }


@pytest.fixture(scope="module")
def loaded():
    return LoadedModels()


@pytest.fixture
def a_scan() -> Volume:
    array = np.random.default_rng(1).integers(0, 900, (11, 18, 14)).astype(np.int16)
    return Volume(array, OBLIQUE, "HEAD", "MR")


@pytest.fixture
def encode(loaded):
    def run_here(root, image, report=ignore, **parameters):
        inputs = image if isinstance(image, Series) else (image,)
        return run(Job("encode", root, inputs, {"device": "cpu", **parameters}), report, loaded)

    return run_here


def test_the_code_has_a_cell_for_every_few_voxels(models, encode, a_scan):
    result = encode(models["plain"], a_scan)
    codes = result.codes
    # A window of 16 voxels is the least; 18 voxels need 5 cells of 4.
    assert codes.latents[0].shape == (6, 4, 5, 4)
    assert codes.cases == ("HEAD",)
    assert codes.array.shape == (1, 12)
    assert result.table.columns["Compression"][0] == pytest.approx(a_scan.array.size / codes.latents[0].size)


def test_windows_give_the_code_of_the_whole_image(models, encode):
    image = Volume(np.random.default_rng(0).normal(0, 1, (24, 40, 32)).astype(np.float32), np.eye(4), "whole")
    shutil.copy(models["plain"] / "models" / "model.pt", models["whole"] / "models" / "model.pt")
    windows, whole = (encode(models[name], image, reconstruct=True) for name in ("plain", "whole"))
    assert windows.codes.latents[0].shape == whole.codes.latents[0].shape == (6, 8, 10, 6)
    # Only at the borders of windows do networks see something else.
    assert np.corrcoef(windows.codes.latents[0].ravel(), whole.codes.latents[0].ravel())[0, 1] > 0.9
    np.testing.assert_allclose(windows.codes.array, whole.codes.array, atol=0.25 * whole.codes.latents[0].std())


@pytest.mark.parametrize("model", ["plain", "other_axes", "other_grid"])
def test_the_reconstruction_lies_on_the_image_with_its_type(model, models, encode, a_scan):
    result = encode(models[model], a_scan, reconstruct=True, anomaly=True)
    made, anomaly = result.items[2:]
    assert (made.name, anomaly.name) == ("HEAD reconstruction", "HEAD anomaly")
    assert made.same_grid(a_scan)
    assert made.array.dtype == np.int16
    assert anomaly.array.dtype == np.float32
    np.testing.assert_array_equal(anomaly.array, np.abs(a_scan.array.astype(np.float32) - made.array))


def test_the_reconstruction_is_made_of_the_code_alone(tmp_path, encode):
    """With a network whose code is the mean of each cell, what comes back are these means."""
    root = averaging(write_bundle(tmp_path / "means", autoencoder()))
    array = np.random.default_rng(0).normal(500, 90, (20, 24, 16)).astype(np.float32)
    result = encode(root, Volume(array, np.eye(4), "cells"), reconstruct=True)
    cells = array.reshape(5, 4, 6, 4, 4, 4).mean(axis=(1, 3, 5))
    scale = np.polyfit(cells.transpose(2, 1, 0).ravel(), result.codes.latents[0].ravel(), 1)
    np.testing.assert_allclose(
        np.polyval(scale, cells.transpose(2, 1, 0)),
        result.codes.latents[0][0],
        atol=2e-3 * result.codes.latents[0].std(),
    )
    assert result.table.columns["Compression"] == (64.0,)


def test_psnr_is_that_of_the_volume_that_is_given(models, encode, a_scan):
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    result = encode(models["plain"], a_scan, reconstruct=True)
    low, high = np.percentile(a_scan.array, (0.5, 99.5))
    pair = a_scan.array.astype(float), result.volume.array.astype(float)
    assert result.table.columns["PSNR (dB)"][0] == pytest.approx(
        peak_signal_noise_ratio(*pair, data_range=high - low), abs=1e-6
    )
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    scaled = [(image - low) / (high - low) for image in pair]
    full = structural_similarity(*scaled, truncate=5 / 1.5, full=True, **how)[1][5:-5, 5:-5, 5:-5]
    assert result.table.columns["SSIM"][0] == pytest.approx(full.mean(), abs=1e-5)


def test_what_is_unusual_shows_in_the_anomaly(tmp_path, encode):
    root = averaging(write_bundle(tmp_path / "means", autoencoder()))
    array = np.full((20, 20, 20), 100, np.float32)
    array[:, :, 10:] = 160
    array[9, 9, 9] = 900
    found = encode(root, Volume(array, np.eye(4), "odd"), anomaly=True).volume.array
    assert np.unravel_index(found.argmax(), found.shape) == (9, 9, 9)


def test_features_do_not_depend_on_the_size_of_the_image_or_the_air_around(models, encode):
    z, y, x = np.indices((24, 24, 24)) - 11.5
    ball = np.where(z**2 + y**2 + x**2 < 80, 300 + 60 * np.sin(x) * np.cos(y), 0)
    cube = np.where(np.maximum(abs(z), abs(y)) < 6, 300.0, 0) * (x > -4)
    images = [
        Volume(ball, np.eye(4), "ball"),
        Volume(np.pad(ball, ((8, 16), (4, 4), (0, 12))), np.eye(4), "ball in more air"),
        Volume(cube, np.eye(4), "cube"),
    ]
    ball, aired, cube = (encode(models["plain"], image).codes.array[0] for image in images)
    assert np.linalg.norm(ball - aired) < 0.5 * np.linalg.norm(ball - cube)


def test_a_denoiser_may_bring_an_autoencoder(models, encode, a_scan):
    assert describe(models["both"]).tasks == ("denoise", "encode")
    assert describe(models["plain"]).tasks == ("encode",)
    ours = encode(models["both"], a_scan, reconstruct=True)
    theirs = encode(models["other_axes"], a_scan, reconstruct=True)
    np.testing.assert_array_equal(ours.codes.latents[0], theirs.codes.latents[0])
    np.testing.assert_array_equal(ours.volume.array, theirs.volume.array)


def test_an_autoencoder_that_would_run_code_is_refused(models, encode, a_scan, tmp_path):
    root = shutil.copytree(models["both"], tmp_path / "evil")
    path = root / "configs" / "encode.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["network_def"] = {"_target_": "subprocess.getoutput", "cmd": "true"}
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises((UntrustedBundleError, BundleError), match="evil"):
        encode(root, a_scan)
    assert any("subprocess" in reason for reason in trust.concerns(root))


def test_slices_are_encoded_one_by_one_by_a_model_of_pictures(models, encode, a_scan):
    a_scan.array[2] = 5
    result = encode(models["planar"], a_scan, reconstruct=True)
    assert result.codes.latents[0].shape == (10, 6, 4, 5)
    np.testing.assert_array_equal(result.volume.array[2], a_scan.array[2])
    assert any("1 of the 11 slices of 'HEAD' hold nothing" in note for note in result.provenance.notes)


def test_a_variational_autoencoder_gives_its_mean(tmp_path, encode):
    recipe = autoencoder(2, pre=[{"_target_": "Resized", "keys": "image", "spatial_size": [16, 16]}])
    recipe.network = {
        "_target_": "VarAutoEncoder",
        "spatial_dims": 2,
        "in_shape": [1, 16, 16],
        "out_channels": 1,
        "latent_size": 5,
        "channels": [4, 8],
        "strides": [2, 2],
    }
    recipe.inferer, recipe.post = {"_target_": "SimpleInferer"}, recipe.post[1:]
    root = write_bundle(tmp_path / "vae", recipe)
    picture = Volume(np.random.default_rng(0).integers(0, 256, (1, 30, 26)).astype(np.uint8), np.eye(4), "picture")
    result = encode(root, picture, reconstruct=True)
    assert result.codes.latents[0].shape == (5,)
    np.testing.assert_array_equal(result.codes.array[0], result.codes.latents[0])
    assert list(result.table.columns)[4:] == [f"code {n}" for n in range(5)]
    assert result.volume.same_grid(picture)
    # The network gives 0 to 1, the picture is brighter.
    assert result.volume.array.mean() == pytest.approx(picture.array.mean(), abs=60)


def test_frames_are_rows_of_one_table(models, encode, a_scan):
    other = Volume(a_scan.array[:, :9], OBLIQUE, "HEAD 2")
    result = encode(models["plain"], Series((a_scan, other)), anomaly=True)
    assert result.table.columns["Image"] == ("HEAD", "HEAD 2")
    assert result.codes.array.shape == (2, 12)
    assert [frame.volume.name for frame in result.frames] == ["HEAD anomaly", "HEAD 2 anomaly"]


def test_a_region_is_encoded_as_an_image_of_its_own(models, encode, a_scan):
    region = Region(apply_affine(OBLIQUE, np.array([[6.0, 8.0, 5.0]]))[0], [8.0, 7.0, 9.0])
    block = region.slices(a_scan)
    part = Volume(a_scan.array[block].copy(), OBLIQUE, "part")
    ours, theirs = encode(models["plain"], a_scan, region=region), encode(models["plain"], part)
    np.testing.assert_allclose(ours.codes.array, theirs.codes.array, rtol=1e-5)
    with pytest.raises(InputError, match="region"):
        encode(models["plain"], a_scan, region=(region, region))


def test_an_empty_image_is_refused(models, encode):
    with pytest.raises(InputError, match="nothing to see"):
        encode(models["plain"], Volume(np.zeros((5, 5, 5)), np.eye(4), "empty"))


def test_a_model_without_an_autoencoder_is_refused(tmp_path, encode, a_scan):
    with pytest.raises(BundleError, match="not for encoding"):
        encode(write_bundle(tmp_path / "threshold", RECIPES["threshold"]), a_scan)
    with pytest.raises(BundleError, match="not for encoding"):
        encode(write_bundle(tmp_path / "denoiser", denoiser()), a_scan)


@pytest.mark.parametrize("stage", ["Preparing", "Loading model", "Encoding", "Finishing"])
def test_cancel_in_any_stage_ends_the_job_and_the_next_one_works(stage, models, encode, a_scan):
    def cancel(progress):
        if progress.stage == stage:
            raise JobCancelled("The job was cancelled.")

    with pytest.raises(JobCancelled):
        encode(models["plain"], a_scan, cancel)
    assert encode(models["plain"], a_scan).codes.cases == ("HEAD",)


def test_scarce_memory_makes_it_step_down_and_say_so(models, encode, a_scan, monkeypatch):
    from medai.bundles.pipeline import Pipeline

    infer, failures = Pipeline.infer, []

    def scarce(self, data, network=None, **options):
        if options.get("on_window") is not None and not failures:
            failures.append(1)
            raise OutOfMemoryError("The computer ran out of memory.")
        return infer(self, data, network, **options)

    monkeypatch.setattr(Pipeline, "infer", scarce)
    before = encode(models["plain"], a_scan)
    assert any(note.startswith("Memory ran out") for note in before.provenance.notes)
    np.testing.assert_allclose(before.codes.array, encode(models["plain"], a_scan).codes.array, atol=1e-4)
