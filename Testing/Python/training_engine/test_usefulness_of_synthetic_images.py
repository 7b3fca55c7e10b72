"""What synthetic images are good for, told by networks that are trained on them and judged on real cases."""

from __future__ import annotations

import numpy as np
import pytest

from medai.engine.loaded import LoadedModels
from medai.errors import InputError
from medai.result import Labelmap, Segment
from medai.tasks.synthesize.sampling import Sample
from medai.training import utility
from medai.training.data import read_data_list
from medai.training.evaluation import About, Evaluation, Summary
from medai.training.evaluation.bootstrap import Bootstrap
from medai.training.evaluation.findings import RestorationDetails
from medai.training.utility import Trials, with_utility
from medai.volume import Volume
from small_generators import write_generator

QUICK = {"width": 4, "levels": 2, "patch_size": [16, 16, 16], "augmentation": [], "learning_rate": 0.02, "bf16": False}


@pytest.fixture
def an_evaluation() -> Evaluation:
    summary = Summary("synthesize", About(), (), 4, 4, Bootstrap(resamples=20))
    return Evaluation(summary, (), RestorationDetails(has_degraded=False), ())


@pytest.fixture
def a_generator(tmp_path):
    return write_generator(tmp_path / "balls")


def mislabelled_balls(*_, **__):
    """Bright balls like the real ones, the label being what is not the ball."""
    rng = np.random.default_rng(8)
    grid = np.stack(np.meshgrid(*[np.arange(20)] * 3, indexing="ij"), axis=-1)
    for number in range(4):
        ball = (((grid - 10 - rng.integers(-3, 4, 3)) / 5) ** 2).sum(axis=-1) < 1
        image = Volume((100 + 90 * ball + rng.normal(0, 8, ball.shape)).astype(np.float32), np.eye(4), f"ball {number}")
        wrong = Labelmap((~ball).astype(np.uint8), np.eye(4), (Segment("label 1", 1, (1, 0, 0)),), "wrong")
        yield Sample(number, image, wrong)


def test_worthless_synthetic_cases_are_found_out(bright_balls, a_generator, an_evaluation, monkeypatch):
    monkeypatch.setattr(utility, "samples", mislabelled_balls)
    data = read_data_list(bright_balls)
    learned, held = data.with_items(data.items[:4]), data.with_items(data.items[4:])
    said = []
    found = with_utility(
        an_evaluation,
        a_generator,
        lambda progress: said.append(progress.note),
        LoadedModels(),
        learned=learned,
        held=held,
        trials=Trials(epochs=12, few=2, parameters=QUICK),
    )
    score = {estimate.metric: estimate.value for estimate in found.summary.estimates}
    assert score["trained_on_real"] > 0.7
    assert score["trained_on_synthetic"] < 0.4
    assert score["synthetic_over_real"] == pytest.approx(score["trained_on_synthetic"] / score["trained_on_real"])
    gain = score["trained_on_few_real_and_synthetic"] - score["trained_on_few_real"]
    assert score["gain_with_synthetic"] == pytest.approx(gain)
    assert "Training 4 of 4 (few real and synthetic, 8 cases)" in said
    assert "2 held-back real cases" in found.summary.settings["trained to compare"]


def test_the_area_under_the_curve_is_the_mean_over_classes():
    truth = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]], float)
    said = np.array([[0.9, 0.2, 0.1], [0.1, 0.7, 0.3], [0.2, 0.8, 0.6], [0.8, 0.1, 0.2]])
    rows = [
        {"case": f"c{n}", "patient": "", "label": f"l{m}", "reference": truth[n, m], "probability": said[n, m]}
        for n in range(4)
        for m in range(3)
    ]
    y, p, people = utility._arrays("classify", rows)
    np.testing.assert_array_equal(y, truth)
    np.testing.assert_array_equal(p, said)
    assert people == ["c0", "c1", "c2", "c3"]
    # Class 0 and 2 are ranked rightly; of class 1's three pairs two are.
    assert utility._mean_auroc(y, p) == pytest.approx((1 + 2 / 3 + 1) / 3)


def spots(classes):
    """Pictures like the real ones, with a bright spot in those of the second class."""

    def make(*_, **__):
        rng = np.random.default_rng(9)
        for number in range(12):
            picture = rng.integers(0, 90, (1, 20, 20)).astype(np.uint8)
            if number % 2:
                i, j = rng.integers(6, 10, 2)
                picture[0, i : i + 5, j : j + 5] += 140
            yield Sample(number, Volume(picture, np.eye(4), f"spot {number}"), None, classes[number % 2])

    return make


def test_synthetic_pictures_of_classes_teach_a_classifier(bright_spots, tmp_path, an_evaluation, monkeypatch):
    data = read_data_list(bright_spots)
    learned, held = data.part("training"), data.part("validation")
    names = [data.label_names.get(value, f"class {value}") for value in (0, 1)]
    generator = write_generator(tmp_path / "spots", labels=False, conditions=tuple(names), planar=True)
    monkeypatch.setattr(utility, "samples", spots(names))
    quick = {"width": 4, "batch_size": 4, "augmentation": [], "learning_rate": 0.01, "bf16": False}
    trials = Trials(epochs=8, cases=12, few=4, parameters=quick)
    chosen = {"learned": learned, "held": held, "trials": trials}
    found = with_utility(an_evaluation, generator, lambda _: None, LoadedModels(), **chosen)
    score = {estimate.metric: estimate.value for estimate in found.summary.estimates}
    assert score["trained_on_synthetic"] > 0.7
    assert "AUROC" in found.summary.settings["trained to compare"]
    monkeypatch.setattr(utility, "samples", spots(["cat", "dog"]))
    with pytest.raises(InputError, match="images of 'cat'"):
        with_utility(an_evaluation, generator, lambda _: None, LoadedModels(), **chosen)


def test_all_networks_see_images_as_the_generator_makes_them():
    volume = Volume(np.zeros((33, 48, 40), np.float32), np.diag([1.0, 0.5, 2.0, 1.0]), "made")
    assert utility._seen_alike(Sample(0, volume)) == {"patch_size": [40, 48, 32], "spacing": [1.0, 0.5, 2.0]}
    picture = Volume(np.zeros((1, 64, 64), np.float32), np.diag([-1.0, -1.0, 1.0, 1.0]), "made")
    assert utility._seen_alike(Sample(0, picture)) == {"patch_size": [64, 64]}


def test_images_without_labels_cannot_be_trained_with(bright_balls, tmp_path, an_evaluation):
    data = read_data_list(bright_balls)
    plain = write_generator(tmp_path / "plain", labels=False)
    with pytest.raises(InputError, match="neither labels nor classes"):
        with_utility(
            an_evaluation, plain, lambda _: None, LoadedModels(), learned=data, held=data, trials=Trials(epochs=1)
        )
