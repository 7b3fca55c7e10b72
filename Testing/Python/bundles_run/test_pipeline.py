"""A bundle's own words are honoured; what cannot work is said clearly."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from monai.utils import OptionalImportError

from medai.bundles.pipeline import Pipeline
from medai.errors import BundleError, BundleFormatError, InputError, MedAIError, UntrustedBundleError
from medai.volume import Volume
from small_bundles import LOAD, OBLIQUE, RECIPES, SAVE, images_for, unet


def _predict(pipeline, volumes, **options):
    return pipeline.postprocess(pipeline.infer(pipeline.preprocess(volumes), **options), volumes[0])


def _image(shape=(9, 12, 10), seed=0):
    return Volume(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8), OBLIQUE, "scan")


def _expected(volume):
    return (volume.array > 100).astype(np.uint8) + (volume.array > 200)


def test_every_voxel_gets_the_label_of_its_value(a_bundle):
    volume = _image()
    np.testing.assert_array_equal(_predict(Pipeline(a_bundle("threshold"), "cpu"), (volume,)).array, _expected(volume))


def test_a_bundle_that_saves_nothing_still_gives_its_prediction(a_bundle):
    post = [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}]
    volume = _image()
    pipeline = Pipeline(a_bundle("threshold", post=post), "cpu")
    np.testing.assert_array_equal(_predict(pipeline, (volume,)).array, _expected(volume))


def test_a_result_left_in_another_orientation_comes_back_to_the_inputs_grid(a_bundle):
    pre = [LOAD, {"_target_": "Orientationd", "keys": "image", "axcodes": "SPR"}]
    volume = _image()
    prediction = _predict(Pipeline(a_bundle("threshold", pre=pre), "cpu"), (volume,))
    np.testing.assert_array_equal(prediction.array, _expected(volume))
    assert prediction.resampled


def test_a_view_on_part_of_an_image_is_read_in_place(a_bundle):
    whole = _image((12, 15, 14))
    part = Volume(whole.array[2:11, ::-1, 3:], OBLIQUE)
    prediction = _predict(Pipeline(a_bundle("threshold"), "cpu"), (part,))
    np.testing.assert_array_equal(prediction.array, _expected(part))


def test_parts_written_inside_the_evaluator_win_over_those_beside_it(a_bundle):
    bundle = a_bundle(
        "threshold",
        extra={
            "inferer": {"_target_": "SimpleInferer"},
            "evaluator": {
                "_target_": "SupervisedEvaluator",
                "network": "@network",
                "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [4, 4, 4], "overlap": 0},
                "postprocessing": {
                    "_target_": "Compose",
                    "transforms": [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}, SAVE],
                },
            },
        },
    )
    pipeline = Pipeline(bundle, "cpu")
    volume = _image((8, 8, 8))
    assert pipeline.count_windows(pipeline.preprocess((volume,))) == 8
    np.testing.assert_array_equal(_predict(pipeline, (volume,)).array, _expected(volume))


def test_preprocessing_inside_the_dataset_is_found(a_bundle):
    extra = {"preprocessing": None, "dataset": {"_target_": "Dataset", "data": [], "transform": [LOAD]}}
    volume = _image()
    pipeline = Pipeline(a_bundle("threshold", extra=extra), "cpu")
    np.testing.assert_array_equal(_predict(pipeline, (volume,)).array, _expected(volume))


def test_dataset_handlers_and_initialize_are_never_evaluated(a_bundle):
    extra = {
        "dataset": {"_target_": "Dataset", "data": "$1 / 0"},
        "handlers": [{"_target_": "CheckpointLoader", "load_path": "$1 / 0"}],
        "initialize": ["$1 / 0"],
    }
    Pipeline(a_bundle("threshold", extra=extra), "cpu")


def test_overlap_and_batch_size_can_be_chosen_without_changing_the_model(a_bundle):
    pipeline = Pipeline(a_bundle("threshold"), "cpu")
    volume = _image((16, 16, 16))
    batch = pipeline.preprocess((volume,))
    calls = []
    pipeline.network.register_forward_hook(lambda _module, inputs, _output: calls.append(inputs[0].shape[0]))
    pipeline.infer(batch, inferer=pipeline.inferer_for(overlap=0.0, sw_batch_size=1))
    assert calls == [1] * 8
    assert (pipeline.inferer.overlap, pipeline.inferer.sw_batch_size) == (0.25, 2)


def test_overlap_for_a_model_without_windows_is_refused(a_bundle):
    pipeline = Pipeline(a_bundle("overlapping_thresholds"), "cpu")
    with pytest.raises(InputError, match="one piece"):
        pipeline.inferer_for(overlap=0.5)


def test_the_wrong_number_of_images_for_several_loaders_is_refused(a_bundle):
    pipeline = Pipeline(a_bundle("two_loaders"), "cpu")
    with pytest.raises(InputError, match="t1, t2"):
        pipeline.preprocess(images_for(RECIPES["two_loaders"])[:1])


def test_weights_of_another_network_are_refused(a_bundle):
    bundle = a_bundle("spacing_orientation")
    other = a_bundle("two_channels_overlapping_labels")
    (bundle / "models" / "model.pt").write_bytes((other / "models" / "model.pt").read_bytes())
    with pytest.raises(BundleFormatError, match="do not belong"):
        Pipeline(bundle, "cpu")


def test_a_transform_that_fails_names_the_model_and_keeps_the_cause_for_the_log(a_bundle):
    pre = [LOAD, {"_target_": "SqueezeDimd", "keys": "image", "dim": 1}]
    pipeline = Pipeline(a_bundle("threshold", pre=pre), "cpu")
    with pytest.raises(BundleError, match="threshold") as caught:
        pipeline.preprocess((_image(),))
    assert "Traceback" in caught.value.details
    assert "SqueezeDimd" in caught.value.details
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"preprocessing": None, "dataset": None}, "preprocessing"),
        ({"network_def": None, "network": None, "evaluator": None}, "network_def"),
        ({"network_def": {"_target_": "monai.networks.nets.NoSuchNet"}}, "NoSuchNet"),
        ({"preprocessing": {"_target_": "Compose", "transforms": []}}, "LoadImaged"),
    ],
)
def test_an_incomplete_configuration_says_what_is_missing(a_bundle, extra, reason):
    with pytest.raises(MedAIError, match=reason):
        Pipeline(a_bundle("threshold", extra=extra), "cpu")


def test_a_configuration_that_runs_other_code_is_refused_before_it_runs(a_bundle, tmp_path):
    trap = tmp_path / "trap"
    extra = {"inferer": f"$__import__('pathlib').Path({str(trap)!r}).touch()"}
    with pytest.raises((UntrustedBundleError, BundleError)):
        Pipeline(a_bundle("threshold", extra=extra), "cpu")
    assert not trap.exists()


def test_running_out_of_memory_has_its_own_error(a_bundle):
    from medai.errors import OutOfMemoryError

    pipeline = Pipeline(a_bundle("threshold"), "cpu")
    batch = pipeline.preprocess((_image(),))

    def full(_module: object, _inputs: object) -> None:
        torch.empty(2**62, dtype=torch.uint8)

    hook = pipeline.network.register_forward_pre_hook(full)
    with pytest.raises(OutOfMemoryError, match="ran out of memory"):
        pipeline.infer(batch)
    hook.remove()
    pipeline.infer(batch)


def test_weights_do_not_change_from_job_to_job(a_bundle):
    pipeline = Pipeline(a_bundle("spacing_orientation", network=unet(3, 1, 3)), "cpu")
    before = copy.deepcopy(pipeline.network.state_dict())
    _predict(pipeline, images_for(RECIPES["spacing_orientation"]))
    after = pipeline.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(parameter.requires_grad for parameter in pipeline.network.parameters())


def test_progress_and_cancel_do_not_change_a_voxel(a_bundle):
    pipeline = Pipeline(a_bundle("spacing_orientation"), "cpu")
    volumes = images_for(RECIPES["spacing_orientation"])
    quiet = _predict(pipeline, volumes)
    seen: list[int] = []
    watched = _predict(pipeline, volumes, on_window=seen.append)
    np.testing.assert_array_equal(watched.array, quiet.array)
    assert seen == sorted(seen)


def test_an_error_raised_by_the_listener_stops_the_inference_at_once(a_bundle):
    pipeline = Pipeline(a_bundle("threshold"), "cpu")
    batch = pipeline.preprocess((_image((32, 32, 32)),))
    calls = []
    pipeline.network.register_forward_hook(lambda *_: calls.append(1))

    def stop(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.infer(batch, on_window=stop)
    assert not calls


def test_two_trusted_bundles_may_both_bring_a_module_of_the_same_name(a_bundle):
    from medai.bundles import trust

    volume = _image()
    for name, step in (("threshold", 0), ("overlapping_thresholds", 60)):
        pre = [LOAD, {"_target_": "scripts.step.Step", "keys": "image"}]
        root = a_bundle(name, pre=pre)
        (root / "scripts").mkdir()
        (root / "scripts" / "__init__.py").touch()
        (root / "scripts" / "step.py").write_text(
            "from monai.transforms import MapTransform\n"
            "class Step(MapTransform):\n"
            "    def __call__(self, data):\n"
            f"        return {{**data, 'image': data['image'] + {step}}}\n"
        )
        trust.trust(root)
        found = _predict(Pipeline(root, "cpu"), (volume,)).array
        grey = found[0] if found.ndim == 4 else found > 0
        np.testing.assert_array_equal(grey, volume.array.astype(int) + step > 100)


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'einops'", name="einops.layers"),
        OptionalImportError("import einops.layers (No module named 'einops')."),
    ],
)
def test_a_missing_package_is_named(a_bundle, error):
    from medai.errors import DependencyError

    bundle = a_bundle("threshold")
    pipeline = Pipeline(bundle, "cpu")

    def needs(_module: object, _inputs: object) -> None:
        raise error

    pipeline.network.register_forward_pre_hook(needs)
    with pytest.raises(DependencyError, match="'einops' is missing"):
        pipeline.infer(pipeline.preprocess((_image(),)))


def test_a_reader_of_another_format_needs_no_library_for_it(a_bundle):
    pre = [LOAD | {"reader": "ITKReader"}]
    post = [
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        SAVE | {"output_ext": ".png", "writer": "ITKWriter"},
    ]
    volume = _image()
    pipeline = Pipeline(a_bundle("threshold", pre=pre, post=post), "cpu")
    np.testing.assert_array_equal(_predict(pipeline, (volume,)).array, _expected(volume))


def test_reference_labels_named_beside_the_image_are_not_asked_for(a_bundle):
    pre = [LOAD | {"keys": ["image", "label"]}]
    post = [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}, SAVE, SAVE | {"keys": "label"}]
    volume = _image()
    pipeline = Pipeline(a_bundle("threshold", pre=pre, post=post), "cpu")
    assert pipeline.keys == ("image",)
    np.testing.assert_array_equal(_predict(pipeline, (volume,)).array, _expected(volume))


def test_a_key_of_another_name_reaches_the_network_through_the_bundles_own_prepare_batch(a_bundle):
    extra = {
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "prepare_batch": "$lambda batch, device, non_blocking, **_: (batch['scan'].to(device), None)",
        }
    }
    volume = _image()
    pipeline = Pipeline(a_bundle("threshold", pre=[LOAD | {"keys": "scan"}], extra=extra), "cpu")
    np.testing.assert_array_equal(_predict(pipeline, (volume,)).array, _expected(volume))
