"""Which task a model is for, from the words and formats that metadata files use."""

from __future__ import annotations

import pytest

from medai.bundles.labels import segments_of
from medai.bundles.purpose import task_of


def _metadata(task="", name="", inputs=None, **output):
    formats = {"inputs": inputs or {"image": {"type": "image", "format": "magnitude"}}, "outputs": {"pred": output}}
    return {"task": task, "name": name, "network_data_format": formats}


@pytest.mark.parametrize(
    ("metadata", "task"),
    [
        (_metadata("Spleen", type="image", format="segmentation"), "segment"),
        (_metadata("Prostate anatomy", type="image", format="labels"), "segment"),
        (_metadata("Nuclei segmentation and classification", type="probability", format="segmentation"), "segment"),
        (_metadata("Breast density classification", type="image", format="labels"), "classify"),
        (_metadata("Grading", type="probabilities", format="classes"), "classify"),
        (_metadata("Metastasis detection", type="probability", format="classification"), "classify"),
        (_metadata("Nodule detection", type="object", format="dict"), "detect"),
        (_metadata("Low-dose CT denoising", type="image", format="magnitude"), "denoise"),
        (_metadata("Hands", inputs={"latent": {"type": "tuples"}}, type="image", format="magnitude"), "synthesize"),
        (_metadata("Head CT synthesis", type="image", format="magnitude"), "synthesize"),
        (_metadata("Growth forecast", type="image", format="magnitude"), "forecast"),
        (_metadata("Latent diffusion generation", inputs={"latent": {}}, type="image", format="image"), "other"),
        (_metadata("Image registration", type="image", format="magnitude"), "other"),
        (_metadata("Valve insertion points", type="tuples", format="points"), "other"),
        ({"medai": {"task": "forecast"}} | _metadata("Spleen segmentation", type="image"), "forecast"),
        ({"task": None, "network_data_format": "damaged", "medai": ["damaged"]}, "other"),
    ],
)
def test_a_model_is_known_by_what_its_metadata_says(metadata, task):
    assert task_of(metadata) == task


def test_structures_are_found_under_the_other_name_that_some_bundles_give_them():
    labels = {"num_channels": 2, "label_def": {"0": "background", "1": "liver"}}
    assert [segment.name for segment in segments_of({"network_data_format": {"outputs": {"pred": labels}}})] == [
        "liver"
    ]
