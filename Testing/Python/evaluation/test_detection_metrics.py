"""Average precision and FROC against MONAI and cases computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou
from monai.metrics.froc import compute_froc_curve_data, compute_froc_score

from medai.errors import GeometryError, InputError
from medai.result import Boxes
from medai.training.evaluation import BoxArray
from medai.training.evaluation.boxes import common_axes
from medai.training.evaluation.detection import average_precision, average_precisions, match_boxes, precision_recall
from medai.training.evaluation.froc import RATES, froc_curve, froc_sensitivities
from medai.volume import Region

A, B, FAR = (0, 0, 10, 10), (20, 20, 30, 30), (60, 60, 70, 70)


@pytest.fixture
def random_images(rng):
    """References and predictions of two classes in 3D: some near a reference, some anywhere, one image empty."""
    references, predictions = [], []
    for n in range(12):
        count = 0 if n == 3 else rng.integers(1, 4)
        low = rng.random((count, 3)) * 60
        real = np.concatenate([low, low + 10], axis=1)
        near = real[rng.random(count) < 0.8] + rng.normal(0, 1.2, 6)
        anywhere = rng.random((rng.integers(0, 3), 3)) * 60
        said = np.concatenate([near, np.concatenate([anywhere, anywhere + 8], axis=1)])
        names = [("cyst", "mass")[int(c)] for c in rng.integers(0, 2, count)]
        said_names = [("cyst", "mass")[int(c)] for c in rng.integers(0, 2, len(said))]
        references.append(BoxArray(real.reshape(-1, 6), names))
        predictions.append(BoxArray(said.reshape(-1, 6), said_names, rng.random(len(said))))
    return references, predictions


def coco(references, predictions, thresholds):
    number = {"cyst": 0, "mass": 1}
    metric = COCOMetric(["cyst", "mass"], iou_list=thresholds, iou_range=(0.1, 0.5, 0.05), max_detection=[100])
    matched = matching_batch(
        box_iou,
        metric.iou_thresholds,
        [p.corners for p in predictions],
        [np.array([number[c] for c in p.classes], int) for p in predictions],
        [p.scores for p in predictions],
        [r.corners for r in references],
        [np.array([number[c] for c in r.classes], int) for r in references],
    )
    return metric(matched)[0]


def test_average_precision_equals_monais_coco_metric(random_images):
    expected = coco(*random_images, [0.1, 0.3, 0.5])
    found = average_precisions(match_boxes(*random_images))
    assert found["map@0.10:0.50"] == pytest.approx(expected["mAP_IoU_0.10_0.50_0.05_MaxDet_100"])
    for at in ("0.10", "0.30", "0.50"):
        assert found[f"map@{at}"] == pytest.approx(expected[f"AP_IoU_{at}_MaxDet_100"])
        assert found[f"ap@{at}[cyst]"] == pytest.approx(expected[f"cyst_AP_IoU_{at}_MaxDet_100"])


def test_weights_of_images_equal_repeating_them(random_images):
    references, predictions = random_images
    times = np.random.default_rng(1).integers(0, 3, 12)
    repeated = [[boxes for boxes, n in zip(some, times, strict=True) for _ in range(n)] for some in random_images]
    weights = times.astype(float)
    matches = match_boxes(references, predictions)
    assert average_precisions(matches, weights) == pytest.approx(average_precisions(match_boxes(*repeated)))
    assert froc_sensitivities(matches, 0.5, weights) == pytest.approx(froc_sensitivities(match_boxes(*repeated), 0.5))


def test_average_precision_equals_a_case_computed_by_hand(boxes):
    # By score: hit, false, hit, of three lesions. Precision 1 up to recall 1/3, 2/3 up to 2/3, then 0.
    matches = match_boxes([boxes(A, B), boxes(A)], [boxes(A, FAR, B, scores=(0.9, 0.8, 0.7)), boxes()], [0.5])
    expected = (34 * 1 + 33 * 2 / 3) / 101
    assert average_precision(matches.classes["lesion"])[0] == pytest.approx(expected)
    recall, precision = precision_recall(matches.classes["lesion"], 0)
    np.testing.assert_allclose(recall, [1 / 3, 1 / 3, 2 / 3])
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3])


def test_a_second_box_on_the_same_lesion_is_a_false_positive(boxes):
    matches = match_boxes([boxes(A)], [boxes(A, A, scores=(0.9, 0.8))], [0.5])
    assert matches.classes["lesion"].hit.tolist() == [[True, False]]


def test_a_box_that_overlaps_too_little_is_found_only_at_a_low_threshold(boxes):
    matches = match_boxes([boxes(A)], [boxes((0, 0, 10, 4))], [0.3, 0.5])
    assert average_precision(matches.classes["lesion"]).tolist() == [1, 0]


def test_froc_equals_monai(random_images):
    matches = match_boxes(*random_images)
    row = matches.thresholds.index(0.5)
    hits = np.concatenate([one.score[one.hit[row]] for one in matches.classes.values()])
    wrong = np.concatenate([one.score[~one.hit[row]] for one in matches.classes.values()])
    total = sum(int(one.references.sum()) for one in matches.classes.values())
    # MONAI gives every lesion a probability, 0 to one that is missed.
    rates, sensitivity = compute_froc_curve_data(wrong, np.append(hits, np.zeros(total - len(hits))), total, 12)
    found = froc_sensitivities(matches, 0.5)
    assert found["froc"] == pytest.approx(compute_froc_score(rates, sensitivity, RATES))
    assert found["sensitivity@1/8fp"] == pytest.approx(compute_froc_score(rates, sensitivity, (0.125,)))


def test_froc_equals_a_case_computed_by_hand(boxes):
    # Two images, three lesions; by score hit, false, hit: (0, 1/3), (1/2, 1/3), (1/2, 2/3).
    matches = match_boxes([boxes(A, B), boxes(A)], [boxes(A, FAR, B, scores=(0.9, 0.8, 0.7)), boxes()], [0.5])
    curve = froc_curve(matches, 0.5)
    np.testing.assert_allclose(curve.false_positives, [0, 0, 0.5, 0.5])
    np.testing.assert_allclose(curve.sensitivity, [0, 1 / 3, 1 / 3, 2 / 3])
    found = froc_sensitivities(matches, 0.5)
    assert found["sensitivity@1/4fp"] == pytest.approx(1 / 3)
    assert found["sensitivity@8fp"] == pytest.approx(2 / 3)


def test_boxes_of_equal_score_count_together(boxes):
    matches = match_boxes([boxes(A)], [boxes(FAR, A, scores=(0.5, 0.5))], [0.5])
    assert froc_curve(matches, 0.5).false_positives.tolist() == [0, 1]


def test_a_perfect_detector_has_1_everywhere(random_images):
    references, _ = random_images
    matches = match_boxes(references, references)
    assert set(average_precisions(matches).values()) == {1.0}
    assert set(froc_sensitivities(matches, 0.5).values()) == {1.0}


def test_the_order_of_images_does_not_matter(random_images):
    backwards = [some[::-1] for some in random_images]
    assert average_precisions(match_boxes(*random_images)) == pytest.approx(average_precisions(match_boxes(*backwards)))


def test_a_class_without_any_reference_is_left_out_of_the_mean(boxes):
    said = BoxArray(np.array([A, B]), ("lesion", "artefact"), np.array([0.9, 0.8]))
    found = average_precisions(match_boxes([boxes(A)], [said], [0.5]))
    assert found["map@0.50"] == 1
    assert found["ap@0.50[artefact]"].reason == "no reference box"


def test_images_without_any_box_are_no_error(boxes):
    matches = match_boxes([boxes(), boxes()], [boxes(), boxes(A)], [0.5])
    assert average_precisions(matches)["map@0.50"].reason == "no reference box"
    assert math.isnan(froc_sensitivities(matches, 0.5)["froc"])
    nothing = match_boxes([boxes(A)], [boxes()], [0.5])
    assert average_precisions(nothing)["map@0.50"] == 0
    assert froc_sensitivities(nothing, 0.5)["froc"] == 0


def test_boxes_in_ras_of_an_oblique_image_are_compared_along_its_axes():
    angle = np.deg2rad(30)
    axes = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    one = Boxes((Region(axes @ [5, 5, 5], [10, 10, 10], axes),), (1.0,), ("lesion",))
    # The same box moved by half its size along its own first axis, its axes in another order and sign.
    turned = Region(axes @ [10, 5, 5], [10, 10, 10], axes[:, [1, 0, 2]] * [1, -1, 1])
    other = Boxes((turned,), (0.9,), ("lesion",))
    frame = common_axes([one, other])
    arrays = [BoxArray.of(boxes, frame) for boxes in (one, other)]
    np.testing.assert_allclose(arrays[0].corners, [[0, 0, 0, 10, 10, 10]], atol=1e-9)
    assert box_iou(arrays[0].corners, arrays[1].corners) == pytest.approx(1 / 3, rel=1e-5)
    with pytest.raises(GeometryError, match="turned against"):
        BoxArray.of(one, np.eye(3))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: BoxArray(np.array([[5, 0, 0, 1]]), ("a",)), "ends before it begins"),
        (lambda: BoxArray(np.array([[0, 0, 1, 1]]), ("a",), np.array([np.nan])), "not a finite number"),
        (lambda: BoxArray(np.array([[0, 0, 1, 1]]), ()), "1 boxes, 0 classes"),
        (lambda: match_boxes([], []), "no case"),
        (lambda: match_boxes([BoxArray(np.array([A]), ("a",))], []), "1 of references, 0 of predictions"),
        (
            lambda: match_boxes([BoxArray(np.array([A]), ("a",))], [BoxArray(np.zeros((1, 6)), ("a",))]),
            "Some are 2D",
        ),
        (lambda: match_boxes([BoxArray(np.array([A]), ("a",))], [BoxArray(np.array([A]), ("a",))], [0]), "above 0"),
    ],
)
def test_boxes_that_cannot_be_compared_are_explained(call, said):
    with pytest.raises(InputError, match=said):
        call()
