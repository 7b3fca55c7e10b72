"""A denoiser sees every window in mirrors as well, where that was asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.inferers import SlidingWindowInferer

from medai.bundles import trust
from medai.engine.windows import count_windows
from medai.errors import MedAIError
from medai.networks import MirroredWindowInferer
from medai.training.recipe import bundle_configs

WINDOWS = {"roi_size": [8, 8, 8], "sw_batch_size": 2, "overlap": 0.5, "mode": "gaussian", "padding_mode": "replicate"}
TWO, FOUR = [[], [0, 1, 2]], [[], [0, 1], [0, 2], [1, 2]]


@pytest.fixture
def a_network():
    """A convolution with random weights: it does not see the same in an image and in its mirror image."""
    torch.manual_seed(0)
    return torch.nn.Conv3d(1, 1, 3, padding=1).requires_grad_(False)


@pytest.fixture
def configs_for(plan_for):
    """The configurations of a denoiser that is to be trained."""
    return lambda **chosen: bundle_configs(plan_for("denoise", **chosen), data_source="Tests", licence="None")


def test_the_mean_turns_round_with_the_image(a_network):
    image = torch.rand(1, 1, 16, 8, 8)
    mirrored = MirroredWindowInferer(views=TWO, **WINDOWS)
    for inferer, same in ((mirrored, True), (SlidingWindowInferer(**WINDOWS), False)):
        here, there = inferer(image, a_network), inferer(image.flip(2, 3, 4), a_network).flip(2, 3, 4)
        assert here.shape == image.shape
        assert bool(torch.allclose(here, there, atol=1e-5)) is same


def test_it_is_the_mean_over_its_views(a_network):
    image = torch.rand(2, 1, 8, 8, 8)
    found = MirroredWindowInferer(views=FOUR, **WINDOWS)(image, a_network)
    views = [(), (2, 3), (2, 4), (3, 4)]
    expected = torch.stack([a_network(image.flip(view)).flip(view) for view in views]).mean(0)
    assert torch.allclose(found, expected, atol=1e-6)


def test_every_look_counts_for_the_progress(a_network):
    looks = []
    a_network.register_forward_hook(lambda _, inputs, __: looks.append(len(inputs[0])))
    inferer = MirroredWindowInferer(views=FOUR, **WINDOWS)
    inferer(torch.rand(1, 1, 16, 12, 9), a_network)
    assert sum(looks) == count_windows(inferer, (16, 12, 9))


@pytest.mark.parametrize(("views", "expected"), [(2, TWO), (4, FOUR)])
def test_a_denoiser_looks_into_as_many_mirrors_as_was_asked(configs_for, views, expected):
    configs = configs_for(views=views)
    assert configs["inference.json"]["inferer"]["views"] == expected
    assert configs["train.json"]["validate"]["inferer"]["_target_"] == "SlidingWindowInferer", "one is enough to choose"


def test_eight_are_all_there_are(configs_for):
    views = configs_for(views=8)["inference.json"]["inferer"]["views"]
    assert sorted(views) == [[], [0], [0, 1], [0, 1, 2], [0, 2], [1], [1, 2], [2]]


@pytest.mark.parametrize("chosen", [{}, {"views": 4, "augmentation": ["intensity"]}])
def test_one_that_was_not_asked_to_or_learned_from_no_mirror_does_not(configs_for, chosen):
    assert configs_for(**chosen)["inference.json"]["inferer"]["_target_"] == "SlidingWindowInferer"


def test_it_learns_images_to_end_as_they_do_in_its_windows(configs_for):
    configs = configs_for()
    (filled,) = [step for step in configs["train.json"]["finishing"] if "Pad" in step.get("_target_", "")]
    assert (filled["mode"], configs["inference.json"]["inferer"]["padding_mode"]) == ("edge", "replicate")


@pytest.mark.parametrize("size", [(5, 1, 3), (8, 9, 2)])
def test_an_image_of_any_size_is_reflected_until_a_window_is_full(size):
    image = torch.rand(2, 1, *size)
    seen = []

    def keeping(windows: torch.Tensor) -> torch.Tensor:
        seen.append(windows)
        return windows

    inferer = MirroredWindowInferer(views=[[]], **{**WINDOWS, "padding_mode": "reflect"})
    assert torch.allclose(inferer(image, keeping), image)
    expected = image[0, 0].numpy()
    before = [max(8 - have, 0) // 4 * 2 for have in size]
    missing = [(first, max(8 - have, 0) - first) for first, have in zip(before, size, strict=True)]
    filled = np.pad(expected, missing, mode="symmetric")
    assert np.allclose(seen[0][0, 0].numpy(), filled[:8, :8, :8])


def test_a_network_that_sees_far_is_shown_small_images_reflected(configs_for):
    configs = configs_for(network="wavelet_segresnet", patch_size=[16, 16, 16])
    (filled,) = [step for step in configs["train.json"]["finishing"] if "Pad" in step.get("_target_", "")]
    transform = ConfigParser({"it": filled}).get_parsed_content("it")
    image = torch.rand(1, 3, 5, 20)
    case = transform({"image": image, "label": image})
    assert np.allclose(case["image"].numpy()[0], np.pad(image[0], [(6, 7), (5, 6), (0, 0)], mode="symmetric"))
    for config in (configs["train.json"]["validate"]["inferer"], configs["inference.json"]["inferer"]):
        assert (config["_target_"].rpartition(".")[2], config["padding_mode"]) == ("MirroredWindowInferer", "reflect")


def test_zero_filling_leaves_the_middle_of_k_space_alone(configs_for):
    augmentation = configs_for(augmentation=["zero_filling"])["train.json"]["augmentation"]
    (step,) = [step for step in augmentation if step["_target_"] == "RandGibbsNoised"]
    transform = ConfigParser({"step": {**step, "prob": 1.0}}).get_parsed_content("step")
    image = torch.rand(1, 32, 32, 32)
    for seed in range(3):
        done = transform.set_random_state(seed=seed)({"image": image.clone()})["image"]
        before, after = (torch.fft.fftshift(torch.fft.fftn(each[0])).abs() for each in (image, done))
        middle = (slice(12, 20),) * 3
        assert torch.allclose(after[middle], before[middle], rtol=0.02)
        assert after[0, 0, 0] < 0.1 * before[0, 0, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("views", value) for value in ("$[[]]", "@x", [], [[3]], [[0, 0]], [[[0]]], [[]] * 9)),
        ("roi_size", "$print('here')"),
        ("device", "cpu"),
    ],
)
def test_a_bundle_may_not_ask_it_for_anything_else(configs_for, configs_in, name, value):
    root = configs_in(configs_for(views=2))
    trust.check_config(root)
    path = root / "configs" / "inference.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["inferer"][name] = value
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(MedAIError):
        trust.check_config(root)
