"""Every metric of a classifier against scikit-learn, and where a class is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics

from medai.errors import InputError
from medai.training.evaluation import Undefined, classification
from medai.training.evaluation.operating_point import sensitivity_point, youden_point


def test_binary_metrics_equal_scikit_learn(rng):
    y = rng.integers(0, 2, 60)
    p = np.round(rng.random(60) * 0.6 + 0.3 * y, 2)  # rounded, so that scores are tied
    said = p >= 0.4
    found = classification.binary_metrics(y, p, 0.4)
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(y, said),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, said),
            "precision": metrics.precision_score(y, said),
            "recall": metrics.recall_score(y, said),
            "specificity": metrics.recall_score(1 - y, ~said),
            "f1": metrics.f1_score(y, said),
            "auroc": metrics.roc_auc_score(y, p),
            "auprc": metrics.average_precision_score(y, p),
        }
    )


def test_curves_equal_scikit_learn(rng):
    y = rng.integers(0, 2, 60)
    p = np.round(rng.random(60), 1)
    expected = metrics.roc_curve(y, p, drop_intermediate=False)
    for found, other in zip(classification.roc_curve(y, p), expected, strict=True):
        np.testing.assert_allclose(found, other)
    precision, recall, _ = metrics.precision_recall_curve(y, p)
    np.testing.assert_allclose(classification.precision_recall_curve(y, p), (recall, precision))


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    # By hand: of 2 x 2 pairs (0.8 or 0.3 against 0.5 or 0.3) two are right, one is tied, one is wrong.
    assert classification.binary_metrics([1, 1, 0, 0], [0.8, 0.3, 0.5, 0.3])["auroc"] == pytest.approx(2.5 / 4)


def test_metrics_of_several_classes_equal_scikit_learn(rng):
    y = rng.integers(0, 4, 90)
    p = rng.random((90, 4)) + np.eye(4)[y] * 0.4
    p /= p.sum(axis=1, keepdims=True)
    said = p.argmax(axis=1)
    found = classification.multiclass_metrics(y, p)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(y, said, average="macro")
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, said))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, said))
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((precision, recall, f1))
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(y, p, multi_class="ovr"))
    assert found["auprc"] == pytest.approx(metrics.average_precision_score(np.eye(4)[y], p))
    assert found["f1[2]"] == pytest.approx(metrics.f1_score(y, said, average=None)[2])
    np.testing.assert_array_equal(
        classification.confusion_matrix(y, said, 4), metrics.confusion_matrix(y, said, labels=range(4))
    )


def test_a_class_that_never_occurs_is_left_out_of_the_mean_as_by_scikit_learn(rng):
    y = rng.integers(0, 2, 40)  # class 2 exists only in the model, and class 1 is never predicted
    p = np.column_stack([rng.random(40) + 1, np.zeros(40), rng.random(40) + 0.9])
    found = classification.multiclass_metrics(y, p / p.sum(axis=1, keepdims=True))
    expected = metrics.precision_recall_fscore_support(
        y, p.argmax(axis=1), labels=[0, 1, 2], average="macro", zero_division=np.nan
    )
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected[:3])
    assert found["auroc[2]"].reason == "no positive case"
    assert found["precision[1]"].reason == "never predicted"


def test_missing_labels_do_not_count(rng):
    y = rng.integers(0, 2, (50, 3)).astype(float)
    p = rng.random((50, 3))
    y[rng.random((50, 3)) < 0.3] = np.nan
    found = classification.multilabel_metrics(y, p, [0.3, 0.5, 0.7])
    each = []
    for n, threshold in enumerate((0.3, 0.5, 0.7)):
        known = ~np.isnan(y[:, n])
        each.append(metrics.roc_auc_score(y[known, n], p[known, n]))
        assert found[f"auroc[{n}]"] == pytest.approx(each[-1])
        assert found[f"f1[{n}]"] == pytest.approx(metrics.f1_score(y[known, n], p[known, n] >= threshold))
    assert found["auroc"] == pytest.approx(np.mean(each))


def test_a_finding_that_nobody_looked_for_does_not_hide_the_others():
    found = classification.multilabel_metrics([[1, np.nan], [0, np.nan]], [[0.9, 0.2], [0.1, 0.3]])
    assert found["auroc"] == 1
    assert math.isnan(found["accuracy[1]"])
    assert found["accuracy[1]"].reason == "no case with a known label"


@pytest.mark.parametrize(("label", "reason"), [(0, "no positive case"), (1, "no negative case")])
def test_one_class_only_gives_a_reason_and_no_crash(label, reason):
    found = classification.binary_metrics([label] * 3, [0.1, 0.6, 0.9])
    assert isinstance(found["auroc"], Undefined)
    assert found["auroc"].reason == reason
    assert found["accuracy"] == pytest.approx(2 / 3 if label else 1 / 3)
    assert math.isnan(youden_point([label] * 3, [0.1, 0.6, 0.9]).threshold)


@pytest.mark.parametrize(
    ("truth", "score", "said"),
    [
        ([], [], "no case"),
        ([0, 1], [0.5], "2 of reference labels, 1 of scores"),
        ([0, 1], [0.5, float("nan")], "1 of 2 scores are not finite"),
        ([0, 2], [0.5, 0.1], "0, 1 or an empty value"),
        ([0, 1], ["high", "low"], "not numbers"),
    ],
)
def test_input_that_cannot_be_used_is_explained(truth, score, said):
    with pytest.raises(InputError, match=said):
        classification.binary_metrics(truth, score)


def test_a_class_number_that_the_model_does_not_know_is_explained():
    with pytest.raises(InputError, match="classes 0 to 1"):
        classification.multiclass_metrics([0, 2], [[0.5, 0.5], [0.1, 0.9]])


@settings(max_examples=30, deadline=None)
@given(arrays(np.int8, 20, elements=st.integers(0, 1)), st.randoms(use_true_random=False))
def test_the_order_of_cases_does_not_matter(y, random):
    p = np.linspace(0, 1, 20)
    order = list(range(20))
    random.shuffle(order)
    before, after = (classification.binary_metrics(a, b) for a, b in ((y, p), (y[order], p[order])))
    assert before == pytest.approx(after, nan_ok=True)


def test_a_perfect_classifier_has_1_everywhere():
    found = classification.multiclass_metrics([0, 1, 2, 2], np.eye(3)[[0, 1, 2, 2]])
    assert set(found.values()) == {1.0}


def test_youdens_point_is_the_best_of_all_thresholds(rng):
    y = rng.integers(0, 2, 50)
    p = np.round(rng.random(50) * 0.7 + 0.3 * y, 2)
    point = youden_point(y, p)

    def j(threshold: float) -> float:
        return float((p[y == 1] >= threshold).mean() + (p[y == 0] < threshold).mean() - 1)

    assert j(point.threshold) == pytest.approx(max(j(t) for t in p))
    assert point.sensitivity + point.specificity - 1 == pytest.approx(j(point.threshold))


def test_a_wanted_sensitivity_is_reached_at_the_highest_threshold(rng):
    y = np.repeat([0, 1], 20)
    p = rng.random(40)
    point = sensitivity_point(y, p, 0.9)
    assert point.sensitivity == (p[y == 1] >= point.threshold).mean() == 0.9
    assert point.threshold == np.sort(p[y == 1])[2]
    with pytest.raises(InputError, match="above 0"):
        sensitivity_point(y, p, 0)
