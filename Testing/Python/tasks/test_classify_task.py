"""From images to probabilities and decisions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import medai
from medai.bundles.pipeline import Pipeline
from medai.errors import BundleError, GeometryError, InputError
from medai.result import Plot, Table
from medai.volume import Region, Series, Volume
from small_bundles import OBLIQUE
from small_classifiers import POINT, SIGMOID


def an_image(*, lesion: bool = True, shape: tuple[int, ...] = (10, 12, 14), seed: int = 0, name: str = "scan"):
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 40, shape).astype(np.int16)
    array[:, 0, 0] = 250  # so that every slice is scaled alike
    if lesion:
        array[4:8, 4:9, 5:10] = 220
    return Volume(array, OBLIQUE, name, "MR")


def classify(image, model, **choices) -> medai.Result:
    return medai.classify(image, model, in_process=True, device="cpu", backend="torch", **choices)


def columns(result: medai.Result) -> dict[str, tuple[object, ...]]:
    return dict(result.table.columns)


def test_the_probabilities_are_those_of_the_bundles_own_pipeline(a_classifier):
    root = a_classifier()
    image = an_image()
    found = columns(classify(image, root))
    pipeline = Pipeline(root, "cpu")
    expected = pipeline.probabilities(pipeline.infer(pipeline.preprocess([image])))
    assert found["Class"] == ("normal", "lesion")
    assert found["Probability"] == pytest.approx(expected, abs=1e-6)
    assert sum(found["Probability"]) == pytest.approx(1)


@pytest.mark.parametrize("how", [{"anti_aliasing": True}, {"mode": "trilinear"}, {"mode": "area"}])
def test_an_image_that_is_too_thin_to_be_made_smaller_is_refused_in_words(a_classifier, how):
    smaller = {"_target_": "Resized", "keys": "image", "spatial_size": 16, "size_mode": "longest"}
    root = a_classifier(pre=[smaller | how])
    slice_of = Volume(np.eye(200, dtype=np.float32)[..., None], np.diag([0.1, 0.1, 5, 1]), "slice", "MR")
    with pytest.raises(BundleError, match="too little is left along one edge"):
        classify(slice_of, root)


def test_the_decision_is_made_at_the_models_operating_point(a_classifier):
    low = a_classifier("low", points=[POINT | {"threshold": 0.05}])
    high = a_classifier("high", points=[POINT | {"threshold": 0.95}])
    result = classify(an_image(), low)
    assert columns(result)["Decision"] == ("", "positive")
    assert columns(result)["Threshold"] == ("", 0.05)
    assert columns(classify(an_image(), high))["Decision"] == ("", "negative")
    assert any(
        "lesion from 0.05 on (Youden's J; sensitivity 0.90, specificity 0.80 on 50 validation cases)" in note
        for note in result.provenance.notes
    )


def test_without_an_operating_point_the_most_probable_class_is_taken_and_told(a_classifier):
    result = classify(an_image(lesion=False), a_classifier())
    assert columns(result)["Decision"] == ("most probable", "")
    assert "Threshold" not in columns(result)
    assert any("no operating point" in note for note in result.provenance.notes)


def test_findings_are_decided_each_for_itself(a_classifier):
    findings = {"classes": ("bright", "very bright", "large"), "gains": (200.0, 20.0, 90.0), "offsets": (1.0, 3.0, 1.0)}
    points = [{"name": "bright", "threshold": 0.99}, {"name": "large", "threshold": 0.2}]
    root = a_classifier(**findings, post=SIGMOID, points=points)
    result = classify(an_image(), root)
    found = columns(result)
    assert sum(found["Probability"]) > 1
    expected = tuple(
        "positive" if p >= t else "negative" for p, t in zip(found["Probability"], (0.99, 0.5, 0.2), strict=True)
    )
    assert found["Decision"] == expected
    assert found["Threshold"] == (0.99, 0.5, 0.2)
    assert any("for very bright; positive is what has 0.5 or more" in note for note in result.provenance.notes)


def test_a_single_score_is_a_finding(a_classifier):
    root = a_classifier(classes=("lesion",), post=None)
    found = columns(classify(an_image(), root))
    assert found["Class"] == ("lesion",)
    assert found["Decision"] == ("positive",)
    assert 0.5 < found["Probability"][0] <= 1


@pytest.mark.parametrize("shape", [(1, 24, 20), (1, 24, 20, 3)])
def test_pictures_are_classified(a_classifier, shape):
    channels = shape[3] if len(shape) == 4 else 1
    root = a_classifier(dimensions=2, channels=channels)
    array = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    found = columns(classify(Volume(array, np.eye(4), "picture"), root))
    assert found["Class"] == ("normal", "lesion")


def test_a_model_of_slices_classifies_every_slice_of_a_stack(a_classifier):
    root = a_classifier(dimensions=2, points=[POINT])
    image = an_image()
    result = classify(image, root)
    found = columns(result)
    assert found["Slice"] == (*range(10), "mean of all", "highest of all")
    for k in (0, 5):
        one = columns(classify(dataclasses.replace(image, array=image.array[k : k + 1]), root))
        assert found["lesion"][k] == pytest.approx(one["Probability"][1], abs=1e-6)
    assert found["lesion"][10] == pytest.approx(np.mean(found["lesion"][:10]), abs=1e-5)
    assert found["lesion"][11] == max(found["lesion"][:10])
    assert found["Decision"][5] == "lesion"
    assert found["Decision"][9] == "normal"
    plot = next(item for item in result.items if isinstance(item, Plot))
    assert plot.table.columns["Slice"] == tuple(range(10))
    assert plot.y == ("lesion",)


def test_one_slice_can_be_chosen(a_classifier):
    root = a_classifier(dimensions=2)
    every = columns(classify(an_image(), root))
    one = columns(classify(an_image(), root, slice_index=5))
    assert one["Probability"][1] == pytest.approx(every["lesion"][5], abs=1e-6)


def test_slices_in_which_nothing_can_be_seen_are_left_out_and_told(a_classifier):
    image = an_image()
    image.array[[0, 1, 2, 9]] = 0
    result = classify(image, a_classifier(dimensions=2))
    assert columns(result)["Slice"] == (3, 4, 5, 6, 7, 8, "mean of all", "highest of all")
    assert "Nothing can be seen in slices 0 to 2, 9, which were left out." in result.provenance.notes


def test_several_regions_have_a_row_each(a_classifier):
    image = an_image()
    center = OBLIQUE @ [7, 6, 6, 1]
    away = OBLIQUE @ [2, 9, 2, 1]
    regions = (Region(center[:3], [6.0] * 3, name="Lesion"), Region(away[:3], [5.0] * 3, name="Elsewhere"))
    found = columns(classify(image, a_classifier(), region=regions))
    assert found["Region"] == ("Lesion", "Elsewhere")
    cropped = dataclasses.replace(image, array=image.array[regions[0].slices(image)])
    alone = columns(classify(cropped, a_classifier("again")))
    assert found["lesion"][0] == pytest.approx(alone["Probability"][1], abs=1e-6)
    assert len(columns(classify(image, a_classifier("one"), region=regions[0]))["Class"]) == 2


def test_a_region_outside_of_the_image_is_refused(a_classifier):
    with pytest.raises(GeometryError):
        classify(an_image(), a_classifier(), region=Region([900.0, 0, 0], [5.0] * 3))


def test_several_images_are_channels_of_one(a_classifier):
    root = a_classifier(channels=2)
    images = [an_image(seed=0), an_image(seed=1, lesion=False)]
    found = columns(classify(images, root))
    pipeline = Pipeline(root, "cpu")
    expected = pipeline.probabilities(pipeline.infer(pipeline.preprocess(images)))
    assert found["Probability"] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InputError, match="needs 2 images at once, but got 1"):
        classify(images[:1], root)


def test_every_frame_of_a_series_has_its_result_and_a_curve_shows_all(a_classifier):
    frames = tuple(an_image(lesion=n == 1, name=f"frame {n}") for n in range(3))
    root = a_classifier(points=[POINT])
    result = classify(Series(frames, (0.0, 1.5, 3.0), "s", "scan"), root)
    assert columns(result)["Frame (s)"] == (0.0, 1.5, 3.0)
    assert columns(result)["Decision"] == ("normal", "lesion", "normal")
    for n, frame in enumerate(result.frames):
        assert frame.table.columns["Probability"][1] == pytest.approx(columns(result)["lesion"][n])
    plot = next(item for item in result.items if isinstance(item, Plot))
    assert (plot.x, plot.y) == ("Frame (s)", ("lesion",))


def test_a_frame_in_which_nothing_can_be_seen_stops_no_other(a_classifier):
    frames = (an_image(), Volume(np.full((10, 12, 14), 5, np.int16), OBLIQUE, "blank"))
    result = classify(Series(frames, (0, 1), "", "scan"), a_classifier(), explain=True)
    assert columns(result)["Decision"] == ("lesion", "nothing to see")
    assert columns(result)["lesion"][1] == ""
    assert result.frames[1].volume.array.shape == (10, 12, 14)
    assert result.frames[1].volume.array.max() == 0
    assert any("Frame 1 was not classified" in note for note in result.provenance.notes)


def test_frames_of_stacks_are_summed_up(a_classifier):
    frames = tuple(an_image(lesion=n == 1, name=f"frame {n}") for n in range(2))
    result = classify(Series(frames, (0, 1), "", "scan"), a_classifier(dimensions=2))
    assert columns(result)["Frame"] == (0, 0, 1, 1)
    assert columns(result)["Slice"] == ("mean of all", "highest of all") * 2
    assert columns(result)["lesion"][2] > columns(result)["lesion"][0]


def test_mirrors_are_averaged_and_their_spread_is_told(a_classifier):
    root = a_classifier(seed=3, mirror_axes=(0, 1, 2), points=[POINT])
    image = an_image()
    pipeline = Pipeline(root, "cpu")
    batch = pipeline.preprocess([image])
    axes = [[], [2], [3], [4], [2, 3], [2, 4], [3, 4], [2, 3, 4]]
    seen = [pipeline.probabilities(pipeline.infer({**batch, "image": batch["image"].flip(a)})) for a in axes]
    result = classify(image, root, tta=True)
    assert columns(result)["Probability"] == pytest.approx(np.mean(seen, axis=0), abs=1e-6)
    assert columns(result)["Spread (SD)"] == pytest.approx(np.std(seen, axis=0), abs=1e-6)
    assert columns(result)["Spread (SD)"][1] > 0
    assert any("without mirrors" in note for note in result.provenance.notes)


def test_a_model_that_tells_sides_apart_is_not_mirrored_from_left_to_right(a_classifier):
    root = a_classifier(seed=3, classes=("left lesion", "right lesion"), mirror_axes=(0, 1, 2))
    image = an_image()
    pipeline = Pipeline(root, "cpu")
    batch = pipeline.preprocess([image])
    seen = [
        pipeline.probabilities(pipeline.infer({**batch, "image": batch["image"].flip(axes)}))
        for axes in ([], [3], [4], [3, 4])
    ]
    result = classify(image, root, tta=True)
    assert columns(result)["Probability"] == pytest.approx(np.mean(seen, axis=0), abs=1e-6)


def test_a_model_that_never_saw_mirrors_is_not_shown_any(a_classifier):
    with pytest.raises(InputError, match="Test-time augmentation is not for the model"):
        classify(an_image(), a_classifier(), tta=True)


def test_models_of_the_same_classes_are_averaged(a_classifier):
    roots = [a_classifier("a", points=[POINT]), a_classifier("b", gains=(30.0,), points=[POINT | {"threshold": 0.6}])]
    alone = [columns(classify(an_image(), root))["Probability"][1] for root in roots]
    result = classify(an_image(), roots)
    assert columns(result)["Probability"][1] == pytest.approx(np.mean(alone), abs=1e-6)
    assert columns(result)["Spread (SD)"][1] == pytest.approx(np.std(alone), abs=1e-6)
    assert columns(result)["Threshold"][1] == pytest.approx(0.5)
    other = a_classifier("other", classes=("cat", "dog"))
    with pytest.raises(InputError, match="cannot be asked together"):
        classify(an_image(), [roots[0], other])


def test_models_of_slices_and_of_volumes_are_not_averaged(a_classifier):
    with pytest.raises(InputError, match="One works on single slices, the other on whole volumes"):
        classify(an_image(), [a_classifier("flat", dimensions=2), a_classifier("solid")])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_an_image_without_contrast_is_refused(a_classifier, dimensions):
    flat = Volume(np.full((4, 6, 6), 7, np.int16), np.eye(4), "flat")
    with pytest.raises(InputError, match="nothing to see in 'flat'"):
        classify(flat, a_classifier(dimensions=dimensions))


def test_another_modality_is_told(a_classifier):
    result = classify(an_image(), a_classifier(modality="CT"))
    assert any("computed tomography" in note for note in result.provenance.notes)


def test_a_slice_of_a_model_of_volumes_is_refused(a_classifier):
    with pytest.raises(InputError, match="cannot classify a single slice"):
        classify(an_image(), a_classifier(), slice_index=3)


@pytest.mark.parametrize(("wrong", "message"), [(99, "slices 0 to 9"), (-1, "counted from 0"), (1.5, "counted from 0")])
def test_a_slice_that_is_not_there_is_refused(a_classifier, wrong, message):
    with pytest.raises(InputError, match=message):
        classify(an_image(), a_classifier(dimensions=2), slice_index=wrong)


def test_a_model_for_segmentation_is_refused(a_bundle):
    with pytest.raises(BundleError, match="not for classification"):
        classify(an_image(), a_bundle())


@pytest.mark.parametrize(("name", "value"), [("explain", "magic"), ("tta", "yes"), ("speed", 3)])
def test_what_cannot_be_chosen_is_refused(a_classifier, name, value):
    with pytest.raises(InputError, match=name):
        classify(an_image(), a_classifier(), **{name: value})


def test_a_network_that_gives_an_image_is_no_classifier(a_bundle, monkeypatch):
    import json

    root = a_bundle("spacing_orientation")
    path = root / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8")) | {"medai": {"task": "classify"}}
    path.write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(BundleError):
        classify(an_image(shape=(14, 22, 18)), root)


def test_when_memory_runs_out_the_job_says_so(a_classifier, monkeypatch):
    from medai.errors import OutOfMemoryError

    def short(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.AdaptiveAvgPool3d, "forward", short)
    with pytest.raises(OutOfMemoryError):
        classify(an_image(), a_classifier())


def test_a_table_names_where_it_comes_from(a_classifier):
    result = classify(an_image(), a_classifier(), explain=False)
    assert isinstance(result.items[0], Table)
    assert result.table.name == "probabilities"
    assert result.provenance.task == "classify"
    assert result.provenance.bundle == "brightness"
