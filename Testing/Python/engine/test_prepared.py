"""A preprocessed image is used again, and prepared ahead of its time."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from medai.engine.prepared import PreparedImages
from medai.volume import Volume


class Preparing:
    """Counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def preprocess(self, volumes):
        self.asked.append(volumes[0].name)
        image = MetaTensor(torch.from_numpy(volumes[0].array.astype(np.float32))[None], affine=torch.eye(4))
        image.push_applied_operation({"class": "Flip"})
        return {"image": image, "names": [volumes[0].name]}


@pytest.fixture
def preparing():
    return Preparing()


def a_scan(seed=0, name="scan", affine=None):
    array = np.random.default_rng(seed).integers(0, 99, (4, 5, 6)).astype(np.int16)
    return Volume(array, np.eye(4) if affine is None else affine, name)


def test_the_same_voxels_are_prepared_once_whatever_the_image_is_called(preparing):
    kept = PreparedImages()
    first = kept.get(preparing, [a_scan()])
    again = kept.get(preparing, [a_scan(name="copy")])
    assert preparing.asked == ["scan"]
    torch.testing.assert_close(first["image"].as_tensor(), again["image"].as_tensor())


@pytest.mark.parametrize("other", [a_scan(1), a_scan(affine=np.diag([1, 1, 2, 1.0]))])
def test_other_voxels_or_another_place_are_prepared_anew(preparing, other):
    kept = PreparedImages()
    kept.get(preparing, [a_scan()])
    kept.get(preparing, [other])
    assert len(preparing.asked) == 2


def test_an_image_whose_voxels_were_changed_in_place_is_prepared_anew(preparing):
    kept = PreparedImages()
    scan = a_scan()
    kept.get(preparing, [scan])
    scan.array[0, 0, 0] += 1
    assert kept.get(preparing, [scan])["image"][0, 0, 0, 0] == scan.array[0, 0, 0]
    assert len(preparing.asked) == 2


def test_an_image_prepared_ahead_may_change_after_its_job(preparing):
    kept = PreparedImages()
    scan = a_scan()
    kept.begin(preparing, [scan])
    kept.get(preparing, [a_scan()])
    scan.array[...] = 0
    kept.get(preparing, [a_scan()])
    assert preparing.asked == ["scan"]


@pytest.mark.parametrize("lay", [np.asfortranarray, lambda array: array[::-1], lambda array: array[:, :, :5]])
def test_an_image_is_found_again_however_it_lies_in_memory(preparing, lay):
    kept = PreparedImages()
    array = lay(a_scan().array)
    kept.get(preparing, [Volume(array, np.eye(4), "scan")])
    kept.get(preparing, [Volume(np.ascontiguousarray(array), np.eye(4), "scan")])
    assert preparing.asked == ["scan"]


def test_values_that_are_no_numbers_are_found_again(preparing):
    kept = PreparedImages()
    for _ in range(2):
        kept.get(preparing, [Volume(np.full((3, 3, 3), np.nan, np.float32), np.eye(4), "scan")])
    assert preparing.asked == ["scan"]


def test_another_model_prepares_for_itself(preparing):
    kept = PreparedImages()
    other = Preparing()
    kept.get(preparing, [a_scan()])
    kept.get(other, [a_scan()])
    assert len(other.asked) == 1


def test_what_a_model_prepared_goes_with_it(preparing):
    kept = PreparedImages()
    kept.get(preparing, [a_scan()])
    kept.forget(preparing)
    kept.get(preparing, [a_scan()])
    assert len(preparing.asked) == 2


def test_what_a_job_does_to_its_batch_is_not_seen_by_the_next(preparing):
    kept = PreparedImages()
    first = kept.get(preparing, [a_scan()])
    first["image"].applied_operations.clear()
    first["image"].meta["affine"] = None
    first["names"].append("more")
    first["image"].zero_()
    again = kept.get(preparing, [a_scan()])
    assert len(again["image"].applied_operations) == 1
    assert again["image"].affine is not None
    assert again["names"] == ["scan"]
    np.testing.assert_array_equal(again["image"].numpy()[0], a_scan().array)


def test_the_image_used_longest_ago_goes_first_when_memory_is_short(preparing):
    size = a_scan().array.size * (4 + 2)  # as prepared, and as it was given
    kept = PreparedImages(budget_bytes=2 * size)
    for name in "abac":
        kept.get(preparing, [a_scan("abc".index(name), name)])
    assert preparing.asked == ["a", "b", "c"]
    kept.get(preparing, [a_scan(0, "a")])
    assert preparing.asked == ["a", "b", "c"]
    kept.get(preparing, [a_scan(1, "b")])
    assert preparing.asked == ["a", "b", "c", "b"]


def test_an_image_larger_than_the_budget_is_not_kept(preparing):
    kept = PreparedImages(budget_bytes=10)
    kept.get(preparing, [a_scan()])
    kept.get(preparing, [a_scan()])
    assert len(preparing.asked) == 2


def test_an_image_prepared_ahead_is_there_when_it_is_asked_for(preparing):
    kept = PreparedImages()
    kept.begin(preparing, [a_scan()])
    data = kept.get(preparing, [a_scan()])
    assert preparing.asked == ["scan"]
    np.testing.assert_array_equal(data["image"].numpy()[0], a_scan().array)


def test_it_is_prepared_in_a_thread_of_its_own():
    threads = []

    class Watched(Preparing):
        def preprocess(self, volumes):
            threads.append(threading.current_thread())
            return super().preprocess(volumes)

    kept, watched = PreparedImages(), Watched()
    kept.begin(watched, [a_scan()])
    kept.get(watched, [a_scan()])
    assert threads[0] is not threading.current_thread()


def test_a_failure_is_told_to_who_asks_and_not_remembered():
    class Broken(Preparing):
        def preprocess(self, volumes):
            data = super().preprocess(volumes)
            if len(self.asked) == 1:
                raise ValueError("bent")
            return data

    kept, broken = PreparedImages(), Broken()
    kept.begin(broken, [a_scan()])
    with pytest.raises(ValueError, match="bent"):
        kept.get(broken, [a_scan()])
    assert kept.get(broken, [a_scan()])["names"] == ["scan"]
