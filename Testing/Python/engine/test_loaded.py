"""Models stay in memory as long as they are of use."""

from __future__ import annotations

import json

import pytest

from medai.bundles import integrity
from medai.engine.loaded import LoadedModels
from medai.errors import BundleFormatError, BundleTamperedError


def test_a_model_is_loaded_once(a_bundle):
    root, loaded = a_bundle(), LoadedModels()
    assert loaded.get(root, "cpu") is loaded.get(root, "cpu")
    assert len(loaded) == 1


def _sizes(root):
    """Bytes of a model's weights in memory and on disk."""
    network = LoadedModels().get(root, "cpu").network
    in_memory = sum(tensor.nbytes for tensor in [*network.parameters(), *network.buffers()])
    return in_memory, (root / "models" / "model.pt").stat().st_size


def test_the_model_used_longest_ago_goes_first_when_memory_is_short(a_bundle):
    one, two, three = (a_bundle(name=name) for name in ("one", "two", "three"))
    in_memory, on_disk = _sizes(one)
    loaded = LoadedModels(budget_bytes=2 * in_memory + on_disk - 1)
    first, second = loaded.get(one, "cpu"), loaded.get(two, "cpu")
    assert loaded.get(one, "cpu") is first
    loaded.get(three, "cpu")
    assert len(loaded) == 2
    assert loaded.get(one, "cpu") is first
    assert loaded.get(two, "cpu") is not second


def test_as_many_models_stay_as_memory_allows(a_bundle):
    loaded = LoadedModels()
    pipelines = [(root, loaded.get(root, "cpu")) for root in (a_bundle(name=name) for name in "abcde")]
    assert all(loaded.get(root, "cpu") is pipeline for root, pipeline in pipelines)


def test_a_model_larger_than_the_budget_still_works_alone(a_bundle):
    loaded = LoadedModels(budget_bytes=1)
    root = a_bundle()
    assert loaded.get(root, "cpu") is loaded.get(root, "cpu")
    loaded.get(a_bundle(name="other"), "cpu")
    assert len(loaded) == 1


def test_when_memory_is_short_only_the_model_in_use_stays(a_bundle):
    loaded = LoadedModels()
    loaded.get(a_bundle(name="one"), "cpu")
    root = a_bundle(name="two")
    in_use = loaded.get(root, "cpu")
    loaded.give_back()
    assert len(loaded) == 1
    assert loaded.get(root, "cpu") is in_use


def test_a_changed_bundle_is_loaded_again_and_its_old_state_forgotten(a_bundle):
    root, loaded = a_bundle(), LoadedModels()
    before = loaded.get(root, "cpu")
    path = root / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["inferer"]["overlap"] = 0.5
    path.write_text(json.dumps(config))
    after = loaded.get(root, "cpu")
    assert after is not before
    assert after.inferer.overlap == 0.5
    assert len(loaded) == 1


def test_a_tampered_bundle_is_refused_even_when_it_was_loaded_before(a_bundle):
    root, loaded = a_bundle(), LoadedModels()
    integrity.write_pins(root)
    loaded.get(root, "cpu")
    with (root / "models" / "model.pt").open("ab") as file:
        file.write(b"more")
    with pytest.raises(BundleTamperedError):
        loaded.get(root, "cpu")


def test_a_model_that_fails_to_load_leaves_nothing_behind(a_bundle):
    loaded = LoadedModels()
    root = a_bundle(extra={"network_def": {"_target_": "UNet"}})
    with pytest.raises(BundleFormatError, match="cannot be loaded"):
        loaded.get(root, "cpu")
    assert len(loaded) == 0


def test_all_models_can_be_forgotten(a_bundle):
    loaded = LoadedModels()
    loaded.get(a_bundle(), "cpu")
    loaded.clear()
    assert len(loaded) == 0
