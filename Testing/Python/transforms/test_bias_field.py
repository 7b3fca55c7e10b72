"""A planted bias field is taken out; what has none, or is no image of anything, comes to no harm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from medai.transforms import CorrectBiasFieldd


def a_ball(shape, *, strength: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """A ball brighter on one side than on the other, and where it should be of one brightness."""
    axes = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid, axis=-1)
    ball = np.where(distance < 0.8, 100, 0) * np.exp(strength * grid[..., 0])
    return ball + np.random.default_rng(0).normal(0, 2, shape), distance < 0.75


def spread(values: np.ndarray) -> float:
    return float(values.std() / values.mean())


@pytest.mark.parametrize("shape", [(28, 28, 28), (72, 60), (48, 48, 3), (48, 48, 1), (90, 20, 24)])
def test_brightness_becomes_even(shape):
    image, inside = a_ball(shape)
    given = MetaTensor(torch.tensor(image[None], dtype=torch.float32), affine=torch.eye(4))
    found = CorrectBiasFieldd("image")({"image": given})["image"]
    assert found.shape == given.shape
    assert torch.equal(found.affine, given.affine)
    assert spread(found[0].numpy()[inside]) < 0.6 * spread(image[inside])


def test_each_channel_has_a_field_of_its_own():
    one, other = a_ball((24, 24, 24))[0], a_ball((24, 24, 24), strength=-0.5)[0]
    both = torch.tensor(np.stack([one, other]), dtype=torch.float32)
    step = CorrectBiasFieldd("image", iterations=[10])
    found = step({"image": both})["image"]
    for n in range(2):
        assert torch.equal(found[n : n + 1], step({"image": both[n : n + 1]})["image"])


def test_the_same_image_always_gives_the_same():
    image = torch.tensor(a_ball((32, 30, 28))[0][None], dtype=torch.float32)
    step = CorrectBiasFieldd("image", iterations=[10, 10])
    assert torch.equal(step({"image": image})["image"], step({"image": image})["image"])


def test_negative_values_are_no_hindrance():
    image, inside = a_ball((28, 28, 28))
    found = CorrectBiasFieldd("image")({"image": torch.tensor(image[None] - 40, dtype=torch.float32)})["image"]
    assert spread(found[0].numpy()[inside] + 40) < 0.6 * spread(image[inside])


@pytest.mark.parametrize(
    "array",
    [np.zeros((8, 8, 8)), np.full((8, 8, 8), -3.0), np.arange(8.0).reshape(2, 2, 2), np.ones((1, 1, 30))],
    ids=["zero", "constant", "tiny", "a line"],
)
def test_what_has_no_field_stays_as_it_is(array):
    given = torch.tensor(array[None], dtype=torch.float32)
    assert torch.equal(CorrectBiasFieldd("image")({"image": given})["image"], given)


def test_a_large_image_takes_no_longer_than_a_person_waits():
    import time

    image = torch.tensor(a_ball((256, 256, 40))[0][None], dtype=torch.float32)
    began = time.monotonic()
    CorrectBiasFieldd("image", iterations=[5])({"image": image})
    assert time.monotonic() - began < 60
