"""From data and parameters to configurations."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from medai.bundles import trust
from medai.errors import InputError
from medai.training.data import DataItem, DataList, check, read_data_list, split
from medai.training.parameters import AUGMENTATIONS, TrainingParameters
from medai.training.recipe import bundle_configs, plan
from medai.training.recipe.augmentation import augmentation
from medai.training.recipe.inference import network_def
from medai.training.recipe.networks import FITTING
from medai.training.recipe.orientations import inferer_of_positions

OF_EVERY_TASK = [name for name in AUGMENTATIONS if name != "coarser"]


@pytest.fixture
def spots_in_two_dimensions(tmp_path):
    """Pictures with label maps that mark with 255."""
    import SimpleITK as sitk

    rng = np.random.default_rng(0)
    for n in range(4):
        mask = np.zeros((40, 48), np.uint8)
        mask[10:20, 12 + n : 24] = 255
        for kind, array in (
            ("images", (rng.integers(0, 80, mask.shape) + mask // 2).astype(np.uint8)),
            ("masks", mask),
        ):
            (tmp_path / "us" / kind).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "us" / kind / f"p_{n}.png"))
    return tmp_path / "us"


def steps(config) -> list[str]:
    return [step["_target_"].rpartition(".")[2] for step in config if isinstance(step, dict)]


_OTHERWISE = ("detect", "synthesize", "forecast")  # what goes into them is more than one image, or none


@pytest.mark.parametrize(
    ("task", "name"),
    [(task, name) for task, names in FITTING.items() for name in names if task not in _OTHERWISE],
    ids="-".join,
)
def test_every_network_takes_its_patch(plan_for, task, name):
    edge = 32 if name == "densenet121" else 16
    dimensions = 2 if task == "classify" else 3
    made = plan_for(task, network=name, patch_size=[edge] * dimensions, dropout=0.1)
    network = ConfigParser({"network_def": network_def(made)}).get_parsed_content("network_def").eval()
    with torch.inference_mode():
        out = network(torch.zeros(2, 1, *made.patch))
    expected = (2, 2) if task == "classify" else (2, made.outputs, *made.patch)
    assert tuple(out.shape) == expected
    assert name.startswith("resnet") or any("Dropout" in type(module).__name__ for module in network.modules())


@pytest.mark.parametrize(("stem", "left"), [(0, 16), (1, 16), (2, 8), (4, 4)])
def test_a_stem_makes_the_image_as_much_smaller_as_was_asked(plan_for, stem, left):
    made = plan_for("classify", network="resnet10", patch_size=[16, 16], stem=stem)
    network = ConfigParser({"network_def": network_def(made)}).get_parsed_content("network_def").eval()
    seen = []
    network.layer1.register_forward_hook(lambda *parts: seen.append(tuple(parts[2].shape[2:])))
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 16, 16)).shape == (2, 2)
    assert seen == [(left, left)]


def test_images_are_turned_scaled_and_blurred_as_far_as_was_asked(plan_for):
    chosen = {"augmentation": ["affine", "low_resolution"], "rotation": 90, "scaling": 0.4, "lowest_resolution": 0.25}
    affine, low = augmentation(plan_for("classify", patch_size=[16, 16], **chosen))
    assert affine["rotate_range"] == pytest.approx([math.pi / 2], abs=1e-4)
    assert affine["scale_range"] == [0.4, 0.4]
    assert low["zoom_range"] == [0.25, 1.0]


def test_a_network_for_another_task_is_refused_with_those_that_fit(plan_for):
    with pytest.raises(InputError, match="'resnet18' cannot be used") as refused:
        plan_for("segment", network="resnet18")
    assert "dynunet, unet, segresnet" in refused.value.remedy


def test_coarser_voxels_are_for_networks_that_give_images(plan_for):
    with pytest.raises(InputError, match=r"'coarser' cannot be used.*whose result is an image") as refused:
        plan_for("segment", augmentation=["coarser"])
    assert "low_resolution" in refused.value.remedy


def test_a_loss_for_another_task_is_refused_with_those_that_fit(plan_for):
    with pytest.raises(InputError, match="'dice' cannot be used for 'loss'"):
        plan_for("classify", loss="dice")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"patch_size": [16, 16]}, "3 dimensions"),
        ({"patch_size": [18, 16, 16]}, "halves it"),
        ({"patch_size": [8, 8, 8]}, "'dynunet' cannot be used for windows of 8 x 8 x 8 voxels.*one edge needs 16"),
        ({"levels": 2}, "'levels' is 3 or more"),
        ({"class_weights": [1.0]}, "1 weights and 2 classes"),
    ],
)
def test_parameters_that_do_not_fit_the_data_are_refused(plan_for, chosen, message):
    with pytest.raises(InputError, match=message):
        bundle_configs(plan_for("segment", **chosen), data_source="", licence="")


def test_pictures_too_small_for_a_network_are_told(plan_for):
    with pytest.raises(InputError, match="needs at least 32"):
        plan_for("classify", network="densenet121")


@pytest.mark.parametrize("loss", ["dice_ce", "dice", "cross_entropy", "focal"])
def test_every_loss_of_a_segmentation_is_lower_for_the_truth(plan_for, loss):
    config = bundle_configs(plan_for("segment", loss=loss, class_weights="balanced"), data_source="", licence="")
    parser = ConfigParser({**config["train.json"], "device": "$torch.device('cpu')"})
    function = parser.get_parsed_content("loss")
    label = (torch.arange(64).reshape(1, 1, 4, 4, 4) % 3 == 0).float()
    logits = torch.cat([1 - label, label], 1) * 20 - 10
    assert function(logits, label) < 0.1 < function(-logits, label)


def test_balanced_weights_follow_from_the_counts(plan_for):
    made = plan_for("classify", class_weights="balanced")
    assert made.weights == (1.0, 1.0)
    rare = dataclasses.replace(made, counts={0: 90, 1: 10})
    assert rare.weights[1] / rare.weights[0] == pytest.approx(9, rel=1e-4)
    assert sum(rare.weights) == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize("name", OF_EVERY_TASK)
def test_every_augmentation_changes_the_image_and_keeps_the_patch(plan_for, name):
    made = plan_for("segment", patch_size=[16, 16, 16], augmentation=[name])
    config = augmentation(made)
    for step in config:
        if "prob" in step:
            step["prob"] = 1.0
    transform = ConfigParser({"all": {"_target_": "Compose", "transforms": config}}).get_parsed_content("all")
    plain = ConfigParser({"all": {"_target_": "Compose", "transforms": config[:2]}}).get_parsed_content("all")
    image = torch.rand(1, 20, 20, 20)
    case = {"image": image, "label": (image > 0.9).float()}
    done, cut = (each.set_random_state(seed=4)(case)[0] for each in (transform, plain))
    assert done["image"].shape == done["label"].shape == (1, 16, 16, 16)
    assert set(np.unique(done["label"])) <= {0, 1}
    assert done["image"].shape != cut["image"].shape or not torch.allclose(
        done["image"].as_tensor(), cut["image"].as_tensor()
    )


def test_pictures_are_not_turned_to_axes_they_do_not_have(spots_in_two_dimensions):
    data = split(read_data_list(spots_in_two_dimensions), validation=0.25)
    made = plan(data, check(data), "segment", TrainingParameters(), name="lesion")
    configs = bundle_configs(made, data_source="", licence="")
    assert made.dimensions == 2
    assert made.patch == (48, 40)
    for name in ("train.json", "inference.json"):
        assert not {"Orientationd", "Spacingd"} & set(steps_in(configs[name])), name


def steps_in(config) -> list[str]:
    pre = config["preprocessing"]
    return steps(pre["transforms"] if isinstance(pre, dict) else pre)


def test_label_values_that_are_not_counted_from_1_are_numbered_anew(spots_in_two_dimensions, tmp_path):
    import medai

    chosen = {"epochs": 20, "width": 4, "batch_size": 1, "learning_rate": 0.01, "augmentation": ["flip"]}
    chosen["validate_every"] = 10
    result = medai.train(
        spots_in_two_dimensions, "segment", tmp_path / "lesion", parameters=chosen, in_process=True, device="cpu"
    )
    metadata = json.loads((tmp_path / "lesion" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert [segment["label"] for segment in metadata["medai"]["segments"]] == [1]
    dice = result.items[2].columns["Value"][0]
    assert dice > 0.7


def test_turns_reach_every_position_of_a_cube(plan_for):
    steps_of_turning = augmentation(plan_for("segment", patch_size=[16, 16, 16], augmentation=["turn"]))[2:]
    turn = ConfigParser({"all": {"_target_": "Compose", "transforms": steps_of_turning}}).get_parsed_content("all")
    cube = {"image": torch.arange(8.0).reshape(1, 2, 2, 2), "label": torch.arange(8.0).reshape(1, 2, 2, 2)}
    turn.set_random_state(seed=1)
    seen = [turn(cube) for _ in range(600)]
    assert all(torch.equal(one["image"].as_tensor(), one["label"].as_tensor()) for one in seen)
    assert len({tuple(one["image"].flatten().tolist()) for one in seen}) == 48


@pytest.mark.parametrize(
    ("learned", "patch", "positions"),
    [
        ("turn", (8, 8, 8), 24),
        ("turn", (8, 8, 9), 8),
        ("turn", (8, 9, 10), 4),
        ("turn", (8, 8), 4),
        ("flip", (8, 8), 2),
        ("flip", (8, 8, 9), 2),
    ],
)
def test_a_classifier_finds_the_same_in_every_position_that_it_learned_from(plan_for, learned, patch, positions):
    made = plan_for("classify", augmentation=[learned])
    made = dataclasses.replace(made, parameters=dataclasses.replace(made.parameters, patch_size=patch))
    look = eval(inferer_of_positions(made)[1:], {"torch": torch})
    weights = torch.rand(patch)
    seen = []

    def network(image):
        seen.extend(tuple(one.flatten().tolist()) for one in image)
        return (image * weights).flatten(1).sum(1, keepdim=True)

    image = torch.rand(1, 1, *patch)
    found = look(image, network)
    assert len(seen) == len(set(seen)) == positions
    for position in [torch.tensor(one).reshape(image.shape) for one in set(seen)]:
        torch.testing.assert_close(look(position, network), found)


def test_only_a_classifier_that_learned_from_other_positions_is_shown_them(plan_for):
    for learned in ("turn", "flip"):
        made = plan_for("classify", augmentation=[learned, "noise"])
        assert bundle_configs(made, data_source="", licence="")["inference.json"]["inferer"].startswith("$lambda")
    for made in (plan_for("classify", augmentation=["affine"]), plan_for("segment", augmentation=["turn", "flip"])):
        assert isinstance(bundle_configs(made, data_source="", licence="")["inference.json"]["inferer"], dict)


def test_pictures_are_changed_in_every_way(plan_for):
    made = plan_for("classify", patch_size=[16, 16], augmentation=OF_EVERY_TASK)
    config = [{**step, **({"prob": 1.0} if "prob" in step else {})} for step in augmentation(made)]
    transform = ConfigParser({"all": {"_target_": "Compose", "transforms": config}}).get_parsed_content("all")
    image = torch.rand(1, 16, 16)
    done = transform({"image": image})["image"]
    assert done.shape == image.shape
    assert not torch.allclose(done.as_tensor(), image)


def test_volumes_are_turned_and_resampled_alike_in_training_and_use(plan_for):
    configs = bundle_configs(plan_for("segment"), data_source="", licence="")
    for name in ("train.json", "inference.json"):
        assert steps_in(configs[name])[:3] == ["LoadImaged", "Orientationd", "Spacingd"]
    assert configs["inference.json"]["inferer"]["roi_size"] == [16, 16, 16]
    crop = next(step for step in configs["train.json"]["augmentation"] if step["_target_"] == "RandAffined")
    assert crop["spatial_size"] == configs["inference.json"]["inferer"]["roi_size"]


def test_ct_is_recognised_by_its_air(tmp_path):
    import nibabel as nib

    rng = np.random.default_rng(0)
    items = []
    for n in range(3):
        array = rng.integers(-1000, 400, (24, 24, 24)).astype(np.int16)
        nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / f"{n}.nii.gz")
        items.append(DataItem(str(n), {"image": (tmp_path / f"{n}.nii.gz",)}, split="training"))
    data = DataList(tuple(items))
    made = plan(data, check(data), "denoise", TrainingParameters(window=(-160.0, 240.0)), name="ct")
    assert made.modality == "CT"
    window = bundle_configs(made, data_source="", licence="")["inference.json"]["preprocessing"]["transforms"]
    assert next(step for step in window if step["_target_"] == "ScaleIntensityRanged")["a_max"] == 240.0


@pytest.mark.parametrize(("task", "augmentation"), [("segment", None), ("classify", ["turn"]), ("denoise", None)])
def test_nobody_needs_to_trust_what_was_trained_here(plan_for, configs_in, task, augmentation):
    configs = bundle_configs(plan_for(task, augmentation=augmentation), data_source="", licence="")
    trust.check_config(configs_in(configs))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle", "poly"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "muon"])
def test_every_schedule_ends_where_it_should(plan_for, schedule, optimizer):
    made = plan_for("segment", schedule=schedule, optimizer=optimizer, epochs=5, learning_rate=0.1)
    config = bundle_configs(made, data_source="", licence="")["train.json"]
    chosen = {"train": {"batches": [1, 2]}, "network": "$torch.nn.Linear(1, 1)", "device": "$torch.device('cpu')"}
    parser = ConfigParser({**config, **chosen})
    optimizer, scheduler = (parser.get_parsed_content(name) for name in ("optimizer", "lr_scheduler"))
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step() if len(rates) < 10 else None
    assert max(rates) <= 0.1 + 1e-9
    assert math.isclose(rates[-1], 0.1) if schedule == "constant" else rates[-1] < 0.03
