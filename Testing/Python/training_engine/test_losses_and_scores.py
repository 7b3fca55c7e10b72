"""Losses and scores against hand-computed cases, PyTorch and scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine
from monai.metrics import PSNRMetric
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from medai.errors import JobError
from medai.training.components.losses import Decibels, Dissimilarity, FindingsLoss, RootMeanSquare
from medai.training.components.metrics import MeanAUROC
from medai.training.components.precision import Bfloat16Inferer, computes_in_bfloat16
from medai.training.components.restraint import FiniteLoss, GradientLimit

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-1.0, 3.0, 0.0], [0.4, 0.4, -2.0]])
NAN = math.nan


def test_cross_entropy_is_pytorchs():
    target = torch.tensor([0, 2, 1, 1])
    weights = [1.0, 2.0, 0.5]
    expected = functional.cross_entropy(LOGITS, target, weight=torch.tensor(weights))
    assert FindingsLoss("cross_entropy", weights=weights)(LOGITS, target) == pytest.approx(float(expected))


def test_label_smoothing_is_pytorchs():
    target = torch.tensor([0, 2, 1, 1])
    expected = functional.cross_entropy(LOGITS, target, label_smoothing=0.2)
    assert FindingsLoss("cross_entropy", smoothing=0.2)(LOGITS, target) == pytest.approx(float(expected))


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


@pytest.mark.parametrize("able", [True, False])
def test_bfloat16_is_used_where_the_processor_computes_in_it(monkeypatch, able):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able, raising=False)
    assert computes_in_bfloat16(torch.device("cpu")) is able
    network = torch.nn.Conv2d(1, 4, 3)
    seen = []
    network.register_forward_hook(lambda *parts: seen.append(parts[2].dtype))
    image = torch.rand(2, 1, 8, 8)
    found = Bfloat16Inferer()(image, network)
    assert seen == [torch.bfloat16 if able else torch.float32]
    assert found.dtype == torch.float32
    assert torch.allclose(found, network(image), atol=0.02 if able else 1e-7)


def test_weights_lie_as_the_images_do_so_that_no_step_puts_them_in_order(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3), torch.nn.Conv3d(4, 2, 3))
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    parameters = list(network.parameters())
    Bfloat16Inferer()(torch.rand(1, 1, 8, 8, 8), network).sum().backward()
    assert all(one is other for one, other in zip(network.parameters(), parameters, strict=True)), "an optimizer's"
    assert network[1].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert network[1].weight.grad.is_contiguous(memory_format=torch.channels_last_3d)
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


def test_a_network_of_volumes_and_slices_computes_in_bfloat16_too(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 4, (6, 3, 3)), torch.nn.Flatten(2, 3), torch.nn.Conv2d(4, 2, 3))
    assert Bfloat16Inferer()(torch.rand(1, 1, 6, 8, 8), network).shape == (1, 2, 4, 4)


def test_a_processor_that_does_not_say_what_it_computes_in_is_not_asked_for_bfloat16(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert not computes_in_bfloat16(torch.device("cpu"))


@pytest.mark.parametrize(("loss", "scaler", "ends"), [(1.0, None, False), (NAN, None, True), (NAN, object(), False)])
def test_a_training_ends_when_its_loss_is_no_number(loss, scaler, ends):
    engine = Engine(lambda *_: None)
    engine.scaler = scaler
    engine.state.epoch = 3
    engine.state.output = {"loss": torch.tensor(loss)}
    if not ends:
        FiniteLoss()(engine)
        return
    with pytest.raises(JobError, match="failed") as told:
        FiniteLoss()(engine)
    assert "epoch 3" in told.value.why
    assert "learning_rate" in told.value.remedy


def test_images_with_much_noise_pull_as_hard_as_those_with_little():
    target = torch.rand(2, 1, 8, 8)
    pred = (target + torch.tensor([0.01, 0.2]).reshape(2, 1, 1, 1)).requires_grad_()
    loss = RootMeanSquare()(pred, target)
    loss.backward()
    assert loss.item() == pytest.approx((0.01 + 0.2) / 2, rel=0.01)
    weak, strong = pred.grad.flatten(1).norm(dim=1)
    assert float(weak) == pytest.approx(float(strong), rel=0.01)
    assert torch.isfinite(pred.grad).all()


def test_a_decibel_counts_the_same_for_weak_and_strong_noise():
    target = torch.rand(2, 1, 8, 8)
    error = torch.tensor([0.02, 0.2]).reshape(2, 1, 1, 1)
    psnr = PSNRMetric(max_val=1.0)
    loss = Decibels(floor=1e-6)
    for part in (0.5, 0.25):
        gained = (psnr(target + part * error, target) - psnr(target + error, target)).mean()
        lost = loss(target + error, target) - loss(target + part * error, target)
        assert lost.item() == pytest.approx(gained.item(), abs=1e-3)


@pytest.mark.parametrize("loss", [RootMeanSquare(), Decibels()])
def test_a_perfect_image_has_a_finite_gradient(loss):
    pred = torch.zeros(1, 1, 4, 4, requires_grad=True)
    loss(pred, torch.zeros(1, 1, 4, 4)).backward()
    assert (pred.grad == 0).all()
