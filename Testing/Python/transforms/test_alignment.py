"""A moved image is brought back to where its template is, and labels back to where the image is."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, LoadImage
from scipy.spatial.transform import Rotation

from medai.errors import BundleFormatError
from medai.transforms import AlignToTemplated
from medai.transforms.registration import rigid

SHAPE = (40, 34, 30)
turns = st.tuples(*[st.floats(-0.25, 0.25)] * 3)
moves = st.tuples(*[st.floats(-10, 10)] * 3)


def motion_of(turn, move) -> np.ndarray:
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    motion[:3, 3] = move
    return motion


def grid_of(tilt, flips, center) -> np.ndarray:
    """Voxels of 1.9 x 2.2 x 2.5 mm along tilted, perhaps reversed axes, about a centre."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(tilt).as_matrix() @ np.diag(flips) @ np.diag([1.9, 2.2, 2.5])
    affine[:3, 3] = center - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return affine


def overlap(one, other) -> float:
    one, other = np.asarray(one) > 0.5, np.asarray(other) > 0.5
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(turn=turns, move=moves, tilt=turns, flips=st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_a_moved_image_is_aligned_within_half_a_voxel_and_its_labels_come_back(
    seen_from, a_template, *, turn, move, tilt, flips
):
    motion = motion_of(turn, move)
    affine = grid_of(tilt, flips, motion[:3, 3] + 2.0)
    image, label = seen_from(affine, SHAPE, motion)
    steps = Compose([AlignToTemplated(["image", "label"], template=a_template, mode=("bilinear", "nearest"))])
    aligned = steps({"image": image, "label": label})

    template = LoadImage(ensure_channel_first=True)(a_template)
    found = aligned["image"].affine.numpy() @ np.linalg.inv(template.affine.numpy())
    places = np.random.default_rng(1).uniform(-20, 20, (50, 3))
    error = places @ (found - motion)[:3, :3].T + (found - motion)[:3, 3]
    assert np.linalg.norm(error, axis=1).max() < 1.0  # mm, of voxels of 2 mm

    upright = seen_from(template.affine.numpy(), tuple(template.shape[1:]))[1]
    assert aligned["image"].shape == aligned["label"].shape == template.shape
    assert overlap(aligned["label"], upright) > 0.8

    aligned["pred"] = MetaTensor(aligned["label"].as_tensor().clone(), affine=aligned["image"].affine)
    back = Invertd("pred", transform=steps, orig_keys="image", nearest_interp=True)(aligned)["pred"]
    assert back.shape == image.shape
    assert torch.allclose(back.affine, image.affine)
    assert overlap(back, label) > 0.9


def test_the_same_image_always_gives_the_same(seen_from, a_template):
    affine = grid_of((0.1, 0.2, 0), (1, 1, -1), np.zeros(3))
    image = seen_from(affine, SHAPE, motion_of((0.1, 0, 0.1), (3, -4, 5)))[0]
    template = LoadImage(ensure_channel_first=True)(a_template)
    assert np.array_equal(rigid(template, image), rigid(template, image))


def test_what_is_outside_of_the_template_is_background_on_the_way_back(seen_from, a_template):
    """A network's values are 0 there, so that no structure is told."""
    affine = np.diag([3.0, 3, 3, 1])
    affine[:3, 3] = -75
    image = seen_from(affine, (51, 51, 51))[0]
    steps = Compose([AlignToTemplated("image", template=a_template)])
    aligned = steps({"image": image})
    aligned["pred"] = MetaTensor(torch.ones_like(aligned["image"].as_tensor()), affine=aligned["image"].affine)
    back = Invertd("pred", transform=steps, orig_keys="image", nearest_interp=False)(aligned)["pred"]
    assert float(back[0, 25, 25, 25]) == pytest.approx(1)
    assert float(back[0, 0].abs().max()) == float(back[0, :, :, -1].abs().max()) == 0


def test_air_around_a_ct_stays_air(seen_from, a_template):
    affine = np.diag([2, 2, 2, 1.0])
    affine[:3, 3] = -20
    image = seen_from(affine, (21, 21, 21))[0] - 1000
    aligned = AlignToTemplated("image", template=a_template)({"image": image})["image"]
    assert float(aligned.min()) == pytest.approx(float(image.min()), abs=1e-3)


@pytest.mark.parametrize("value", [0.0, -1000.0])
def test_an_image_of_one_value_is_only_brought_to_the_templates_centre(a_template, value):
    affine = torch.diag(torch.tensor([1.0, 1, 1, 1], dtype=torch.float64))
    image = MetaTensor(torch.full((1, 12, 12, 12), value), affine=affine)
    aligned = AlignToTemplated("image", template=a_template)({"image": image})["image"]
    assert torch.isfinite(aligned).all()
    assert aligned.shape == (1, 39, 39, 39)


def test_it_travels_to_another_process(seen_from, a_template):
    image = seen_from(grid_of((0, 0, 0), (1, 1, 1), np.zeros(3)), SHAPE)[0]
    step = AlignToTemplated("image", template=a_template)
    here, there = step({"image": image})["image"], pickle.loads(pickle.dumps(step))({"image": image})["image"]
    assert torch.equal(here.as_tensor(), there.as_tensor())


def test_a_template_that_is_missing_or_a_link_is_told(seen_from, a_template, tmp_path):
    image = seen_from(np.eye(4), (12, 12, 12))[0]
    with pytest.raises(BundleFormatError, match="cannot be aligned"):
        AlignToTemplated("image", template=str(tmp_path / "none.nii.gz"))({"image": image})
    try:
        (tmp_path / "link.nii.gz").symlink_to(a_template)
    except OSError:
        pytest.skip("no links on this computer")
    with pytest.raises(BundleFormatError):
        AlignToTemplated("image", template=str(tmp_path / "link.nii.gz"))({"image": image})
