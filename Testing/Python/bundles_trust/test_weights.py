from __future__ import annotations

import json
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from medai.bundles.weights import load_state_dict, weights_path
from medai.errors import BundleFormatError, MaliciousBundleError, MedAIError


def test_a_plain_state_dict_is_loaded_as_it_was_saved(a_bundle, some_weights):
    loaded = load_state_dict(a_bundle)
    assert loaded.keys() == some_weights.keys()
    assert all(torch.equal(loaded[key], some_weights[key]) for key in loaded)


def test_safetensors_are_preferred_to_a_pickle_of_the_same_name(a_bundle, some_weights):
    changed = {key: value + 1 for key, value in some_weights.items()}
    save_file(changed, a_bundle / "models" / "model.safetensors")
    loaded = load_state_dict(a_bundle)
    assert all(torch.equal(loaded[key], changed[key]) for key in changed)


def test_the_file_that_the_config_names_is_taken(make_bundle, an_inference_config, some_weights):
    loader = {"_target_": "CheckpointLoader", "load_path": "@ckpt", "load_dict": {"net": "@network"}}
    root = make_bundle(config={"ckpt": "$@bundle_root + '/models/finetuned.pt'", "handlers": [loader]})
    wanted = {key: value + 2 for key, value in some_weights.items()}
    torch.save(wanted, root / "models" / "finetuned.pt")
    loaded = load_state_dict(root)
    assert all(torch.equal(loaded[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "network"])
def test_a_wrapped_state_dict_is_unwrapped(a_bundle, some_weights, wrapper):
    torch.save({wrapper: some_weights, "epoch": 3}, a_bundle / "models" / "model.pt")
    assert load_state_dict(a_bundle).keys() == some_weights.keys()


def test_the_wrapper_that_load_dict_names_wins_over_others(make_bundle, some_weights):
    loader = {"_target_": "CheckpointLoader", "load_path": "x/model.pt", "load_dict": {"ema": "@network"}}
    root = make_bundle(config={"handlers": [loader]})
    ema = {key: value + 1 for key, value in some_weights.items()}
    torch.save({"model": some_weights, "ema": ema}, root / "models" / "model.pt")
    loaded = load_state_dict(root)
    assert all(torch.equal(loaded[key], ema[key]) for key in ema)


def test_the_prefix_of_training_on_several_gpus_is_dropped(a_bundle, some_weights):
    torch.save({f"module.{key}": value for key, value in some_weights.items()}, a_bundle / "models" / "model.pt")
    assert load_state_dict(a_bundle).keys() == some_weights.keys()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(a_bundle, an_evil_object, a_marker, zipped):
    path = a_bundle / "models" / "model.pt"
    torch.save({"weight": torch.ones(2), "x": an_evil_object}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(MaliciousBundleError, match="run code"):
        load_state_dict(a_bundle)
    assert not a_marker.exists()


def test_the_same_pickle_does_run_when_it_is_trusted_blindly(tmp_path, an_evil_object, a_marker):
    # Proof that the attack in the tests above works.
    pickle.loads(pickle.dumps(an_evil_object))
    assert a_marker.exists()


def test_a_bare_pickle_that_runs_code_is_refused(a_bundle, an_evil_object, a_marker):
    (a_bundle / "models" / "model.pt").write_bytes(pickle.dumps(an_evil_object))
    with pytest.raises(MaliciousBundleError):
        load_state_dict(a_bundle)
    assert not a_marker.exists()


def test_stray_python_objects_are_explained_as_such(a_bundle, tmp_path):
    (a_bundle / "models" / "model.pt").write_bytes(pickle.dumps({"path": tmp_path}))
    with pytest.raises(BundleFormatError, match="beside the weights"):
        load_state_dict(a_bundle)


@pytest.mark.parametrize("content", [b"", b"garbage that is no file of weights", b"\x80\x02}q\x00.", b"PK\x03\x04"])
def test_garbage_is_a_format_error(a_bundle, content):
    (a_bundle / "models" / "model.pt").write_bytes(content)
    with pytest.raises(BundleFormatError, match="damaged or incomplete"):
        load_state_dict(a_bundle)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_a_format_error(a_bundle, share):
    path = a_bundle / "models" / "model.pt"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BundleFormatError):
        load_state_dict(a_bundle)


def test_truncated_safetensors_are_a_format_error(a_bundle, some_weights):
    path = a_bundle / "models" / "model.safetensors"
    save_file(some_weights, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BundleFormatError):
        load_state_dict(a_bundle)


def _rewritten(source, target, change):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, change(info.filename, old.read(info)))


def test_storages_smaller_than_their_tensors_are_refused_before_torch_maps_them(a_bundle, tmp_path):
    original = tmp_path / "original.pt"
    torch.save({"weight": torch.ones(1000)}, original)
    _rewritten(original, a_bundle / "models" / "model.pt", lambda n, data: data[:16] if "/data/" in n else data)
    with pytest.raises(BundleFormatError) as caught:
        load_state_dict(a_bundle)
    assert "bytes for 1000 FloatStorage" in caught.value.details


def test_a_pickle_that_asks_for_gigabytes_in_five_bytes_is_refused(a_bundle, tmp_path):
    path = a_bundle / "models" / "model.pt"
    # LONG_BINPUT 2**31 - 1: the first remembered object gets the highest number.
    lie = b"r" + (2**31 - 1).to_bytes(4, "little")
    _rewritten(
        path, tmp_path / "lie.pt", lambda name, data: data[:-1] + lie + b"." if name.endswith("data.pkl") else data
    )
    (tmp_path / "lie.pt").replace(path)
    with pytest.raises(BundleFormatError) as caught:
        load_state_dict(a_bundle)
    assert "number is larger than the file" in caught.value.details


def test_compressed_parts_are_refused(a_bundle, tmp_path):
    path = a_bundle / "models" / "model.pt"
    original = tmp_path / "original.pt"
    path.rename(original)
    with zipfile.ZipFile(original) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    with pytest.raises(BundleFormatError):
        load_state_dict(a_bundle)


def test_a_bundle_with_a_compiled_program_only_says_so(a_bundle):
    path = a_bundle / "models" / "model.pt"
    torch.jit.script(torch.nn.Conv3d(1, 1, 1)).save(str(path))
    with pytest.raises(BundleFormatError, match="TorchScript"):
        load_state_dict(a_bundle)
    path.rename(path.with_suffix(".ts"))
    with pytest.raises(BundleFormatError, match="TorchScript"):
        load_state_dict(a_bundle)


def test_no_weights_at_all_says_which_file_is_missing(make_bundle):
    with pytest.raises(BundleFormatError, match=r"model\.pt"):
        load_state_dict(make_bundle(weights=False))


def test_weights_that_are_a_link_out_of_the_bundle_are_refused(a_bundle, tmp_path):
    path = a_bundle / "models" / "model.pt"
    outside = tmp_path / "outside.pt"
    path.rename(outside)
    try:
        path.symlink_to(outside)
    except OSError:
        pytest.skip("links need a privilege here")
    with pytest.raises(MaliciousBundleError):
        weights_path(a_bundle)


def test_errors_survive_the_way_between_processes(a_bundle):
    (a_bundle / "models" / "model.pt").write_bytes(b"")
    with pytest.raises(MedAIError) as caught:
        load_state_dict(a_bundle)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_a_damaged_config_does_not_hide_the_weights(a_bundle):
    (a_bundle / "configs" / "inference.json").write_text(json.dumps({"handlers": [1, None, {"load_dict": 3}]}))
    assert load_state_dict(a_bundle)
