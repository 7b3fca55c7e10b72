"""The promise of the bundle room: same image, same labels as ``python -m monai.bundle run``, voxel for voxel."""

from __future__ import annotations

import numpy as np
import pytest

from medai.bundles.pipeline import Pipeline

NAMES = (
    "plane",
    "spacing_orientation",
    "two_channels_overlapping_labels",
    "deep_supervision_yaml",
    "saving_resamples",
    "components",
    "two_loaders",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_gives_the_same_labels_in_memory_as_from_a_file(name, references):
    reference = references[name]
    pipeline = Pipeline(reference.root, "cpu")

    sample = pipeline.infer(pipeline.preprocess(reference.volumes))
    prediction = pipeline.postprocess(sample, reference.volumes[0])

    expected = reference.labels.reshape(reference.labels.shape + (1,) * (4 - reference.labels.ndim))
    expected = expected.transpose(3, 2, 1, 0)
    found = prediction.array if prediction.multilabel else prediction.array[np.newaxis]
    assert found.shape == expected.shape
    assert len(np.unique(expected)) > 1, "a test with one label everywhere proves nothing"
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    assert not prediction.resampled
    np.testing.assert_allclose(reference.affine, prediction.affine, atol=1e-4)
    np.testing.assert_array_equal(prediction.affine, reference.volumes[0].affine)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_image_is_not_influenced_by_the_first(name, references):
    reference = references[name]
    pipeline = Pipeline(reference.root, "cpu")
    runs = []
    for _ in range(2):
        sample = pipeline.infer(pipeline.preprocess(reference.volumes))
        runs.append(pipeline.postprocess(sample, reference.volumes[0]).array)
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize("name", NAMES)
def test_the_input_is_left_as_it_was(name, references):
    reference = references[name]
    before = [volume.array.copy() for volume in reference.volumes]
    pipeline = Pipeline(reference.root, "cpu")
    pipeline.postprocess(pipeline.infer(pipeline.preprocess(reference.volumes)), reference.volumes[0])
    for volume, array in zip(reference.volumes, before, strict=True):
        np.testing.assert_array_equal(volume.array, array)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_written_to_disk(name, references):
    reference = references[name]
    before = sorted(path for path in reference.root.rglob("*") if "__pycache__" not in path.parts)
    pipeline = Pipeline(reference.root, "cpu")
    pipeline.postprocess(pipeline.infer(pipeline.preprocess(reference.volumes)), reference.volumes[0])
    assert sorted(path for path in reference.root.rglob("*") if "__pycache__" not in path.parts) == before
