"""Losses and scores against hand-computed cases, PyTorch and scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from medai.training.components.losses import Dissimilarity, FindingsLoss
from medai.training.components.metrics import MeanAUROC
from medai.training.components.restraint import GradientLimit

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-1.0, 3.0, 0.0], [0.4, 0.4, -2.0]])
NAN = math.nan


def test_cross_entropy_is_pytorchs():
    target = torch.tensor([0, 2, 1, 1])
    weights = [1.0, 2.0, 0.5]
    expected = functional.cross_entropy(LOGITS, target, weight=torch.tensor(weights))
    assert FindingsLoss("cross_entropy", weights=weights)(LOGITS, target) == pytest.approx(float(expected))


def test_a_class_that_is_not_known_does_not_count():
    known = FindingsLoss("cross_entropy")(LOGITS[:3], torch.tensor([0, 2, 1]))
    assert FindingsLoss("cross_entropy")(LOGITS, torch.tensor([0.0, 2.0, 1.0, NAN])) == pytest.approx(float(known))


def test_focal_loss_is_cross_entropy_times_what_is_missing_squared():
    target = torch.tensor([0, 2, 1, 1])
    p = LOGITS.softmax(1)[torch.arange(4), target]
    expected = (-p.log() * (1 - p) ** 2).mean()
    assert FindingsLoss("focal")(LOGITS, target) == pytest.approx(float(expected))


def test_findings_that_are_not_known_are_masked():
    target = torch.tensor([[1, 0, NAN], [NAN, 1, 0], [0, 1, 1], [NAN, NAN, NAN]])
    logits = LOGITS.clone().requires_grad_()
    loss = FindingsLoss("cross_entropy", multi_label=True)(logits, target)
    each = functional.binary_cross_entropy_with_logits(LOGITS, target.nan_to_num(), reduction="none")
    known = ~target.isnan()
    assert loss.item() == pytest.approx(float(each[known].mean()))
    loss.backward()
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[known] != 0).all()


@pytest.mark.parametrize("kind", ["cross_entropy", "focal"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_nothing_known_is_no_loss(kind, multi_label):
    target = torch.full((4, 3) if multi_label else (4,), NAN)
    assert FindingsLoss(kind, multi_label=multi_label)(LOGITS, target) == 0


def test_equal_images_are_not_dissimilar():
    image = torch.rand(1, 1, 16, 16)
    assert Dissimilarity(2)(image, image) == pytest.approx(0, abs=1e-6)
    assert Dissimilarity(2)(image, 1 - image) > 0.3


def _scored(multi_label, scores, labels) -> float:
    metric = MeanAUROC(multi_label=multi_label)
    metric.update((scores, labels))
    return metric.compute()


def test_the_mean_area_is_scikit_learns():
    labels = torch.tensor([0, 2, 1, 1])
    expected = roc_auc_score(labels, LOGITS.softmax(1), multi_class="ovr", average="macro")
    assert _scored(False, LOGITS.softmax(1), labels) == pytest.approx(expected)


def test_two_classes_have_one_area():
    labels = torch.tensor([0, 1, 0, 1])
    scores = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.2, 0.8]])
    assert _scored(False, scores, labels) == pytest.approx(roc_auc_score(labels, scores[:, 1]))


def test_findings_that_never_differ_or_are_unknown_do_not_count():
    labels = torch.tensor([[1, 0, NAN], [0, 0, NAN], [NAN, 0, NAN], [1, 0, NAN]])
    expected = roc_auc_score([1, 0, 1], LOGITS[[0, 1, 3], 0])
    assert _scored(True, LOGITS, labels) == pytest.approx(expected)
    assert math.isnan(_scored(True, LOGITS, torch.full((4, 3), NAN)))


def test_the_gradient_is_no_longer_than_its_limit():
    layer = torch.nn.Linear(3, 2)
    (1000 * layer(torch.ones(1, 3)).sum()).backward()
    engine = Engine(lambda *_: None)
    GradientLimit(layer.parameters(), 0.5)(engine)
    norm = torch.sqrt(sum((p.grad**2).sum() for p in layer.parameters()))
    assert float(norm) == pytest.approx(0.5, rel=1e-4)
