"""What a generator and its discriminator are trained with: opinions of packs, changed cases, and how alike they are."""

from __future__ import annotations

import pytest
import torch

from medai.training.components.adversarial import Opinion, lipschitz
from medai.training.components.gan_augmentation import DifferentiableAugmentation
from medai.training.components.imagining import Codes, Form, Imagination, Reals, shares
from medai.training.components.likeness import Likeness, features, frechet_distance
from medai.training.data.report import ImageSummary, Range
from medai.training.parameters import TrainingParameters
from medai.training.recipe.made_images import scene_of


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_cases_are_changed_as_often_as_was_asked_and_their_class_never():
    cases = torch.rand(200, 3, 8, 8)
    changed = DifferentiableAugmentation(1, fixed=1, share=0.5)(cases)
    same = (changed[:, :2] == cases[:, :2]).flatten(1).all(dim=1).float().mean()
    assert 0.05 < same < 0.25  # about an eighth escapes all three
    assert torch.equal(changed[:, 2], cases[:, 2])
    assert not (DifferentiableAugmentation(1)(cases) == cases).flatten(1).all(dim=1).any()


def test_an_image_and_its_label_move_together():
    image = torch.zeros(40, 1, 16, 16)
    image[:, :, 6:10, 6:10] = 1
    changed = DifferentiableAugmentation(1)._lit
    moved = torch.stack([DifferentiableAugmentation(0)._moved(case) for case in torch.cat((image, image), dim=1)])
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert not torch.equal(moved[:, 0], image[:, 0])
    assert changed(image).shape == image.shape


def test_gradients_flow_through_the_changes():
    cases = torch.rand(4, 2, 8, 8, 8, requires_grad=True)
    DifferentiableAugmentation(1)(cases).sum().backward()
    assert cases.grad is not None
    assert cases.grad.abs().sum() > 0


class Pairs(torch.nn.Module):
    """Says how far apart the two cases of a pack are."""

    def forward(self, packs):
        return (packs[:, 0] - packs[:, 1]).abs().flatten(1).mean(dim=1)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_a_discriminator_sees_cases_in_packs(count):
    opinion = Opinion(Pairs(), lambda cases: cases, packed=2)
    alike, different = torch.ones(count, 1, 4, 4), torch.rand(count, 1, 4, 4)
    assert opinion.of_made(alike) == 0
    assert count == 1 or opinion.of_made(different) < 0
    assert torch.isfinite(opinion.of_both(alike, different))


@pytest.mark.parametrize(("loss", "sure"), [("hinge", 0.0), ("least_squares", 1.0)])
def test_a_discriminator_that_is_right_has_nothing_to_lose(loss, sure):
    def says(packs):
        return torch.where(packs.flatten(1).mean(dim=1) > 0, 2.0 - sure, -2.0 + 2 * sure)

    opinion = Opinion(says, lambda cases: cases, loss=loss)
    made, real = -torch.ones(4, 1, 4, 4), torch.ones(4, 1, 4, 4)
    assert opinion.of_both(made, real) < opinion.of_both(real, made)
    assert opinion.of_both(made, real) == 0


def test_no_layer_of_a_discriminator_can_stretch_a_difference():
    network = lipschitz(torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Linear(6, 1)))
    with torch.no_grad():
        for layer in network:
            layer.parametrizations.weight.original.mul_(50)
    for _ in range(30):  # the norm is estimated step by step
        network(torch.rand(2, 6))
    network.eval()
    a, b = torch.rand(2, 1, 6)
    assert (network(a) - network(b)).norm() <= (a - b).norm() * 1.01


def test_real_and_made_up_cases_have_one_form():
    form = Form(channels=1, labels=3)
    label = torch.randint(0, 3, (2, 1, 4, 4)).float()
    real = Reals(form)({"image": torch.rand(2, 1, 4, 4), "label": label}, torch.device("cpu"))
    made = Imagination(form)(torch.rand(2, 5), lambda codes: torch.rand(2, 4, 4, 4))
    assert real.shape == made.shape == (2, 4, 4, 4)
    for cases in (real, made):
        assert cases[:, :1].abs().max() <= 1
        torch.testing.assert_close(cases[:, 1:].sum(dim=1), torch.ones(2, 4, 4))


def test_codes_ask_for_classes_as_often_as_they_are_met():
    cases = [{"label": label} for label in (0, 0, 0, 2)]
    assert shares(cases, 3, even=False) == [0.75, 0, 0.25]
    assert shares(cases, 3, even=True) == [0.25, 0, 0.25]
    codes = Codes(5, 400, shares(cases, 3, even=False))(device=torch.device("cpu"))
    assert codes.shape == (400, 8)
    asked = codes[:, 5:].mean(dim=0)
    assert asked[1] == 0
    assert 0.65 < asked[0] < 0.85


def test_the_same_cases_are_most_alike_and_noisier_ones_less():
    cases = torch.rand(30, 1, 16, 16)
    own = features(cases)
    assert frechet_distance(own, own) == pytest.approx(0, abs=1e-6)
    distances = [frechet_distance(features(cases + noise * torch.randn_like(cases)), own) for noise in (0.1, 0.4)]
    assert 0 < distances[0] < distances[1]
    same = torch.rand(1, 1, 16, 16).expand(30, -1, -1, -1)
    assert frechet_distance(features(same), own) > frechet_distance(features(torch.rand(30, 1, 16, 16)), own)


def test_what_is_no_number_is_not_alike():
    likeness = Likeness(Form(1))
    likeness.update((torch.full((4, 1, 8, 8), torch.nan), torch.rand(4, 1, 8, 8)))
    assert likeness.compute() == -float("inf")


@pytest.mark.parametrize(("mm", "assumed"), [(1.0, True), (0.4, False)])
def test_pictures_without_a_spacing_are_made_with_one_that_is_said_to_be_assumed(mm, assumed):
    edge, one = Range.of([320]), Range.of([mm])
    value = Range.of([100.0])
    pictures = ImageSummary(1, (edge, edge, one), (one, one, one), (1,), ("uint8",), value, value, value, value)
    scene = scene_of(pictures, TrainingParameters.of({"patch_size": [64, 64]}))
    assert scene.assumed == assumed
    assert scene.affine[0][0] == (-1 if assumed else -2)
