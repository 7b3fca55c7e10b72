"""A generator is judged by images that it learned from and images that it did not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import medai
from medai.engine.loaded import LoadedModels
from medai.errors import InputError
from medai.training import judge_synthesis
from medai.training.data import read_data_list, split
from medai.training.evaluation import About
from medai.training.framing import Frame
from medai.training.judge_synthesis import compared
from medai.volume import Volume
from small_generators import write_dreamer

SIZE = 16


@pytest.fixture(scope="module")
def a_generator(tmp_path_factory) -> Path:
    """Random pictures of 16 pixels along an edge."""
    return write_dreamer(tmp_path_factory.mktemp("generators") / "dreamer", strides=(2, 2))


def a_hill(rng, shape=(1, SIZE, SIZE)) -> Volume:
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) if n > 1 else [0] for n in shape], indexing="ij"), axis=-1)
    at, wide = rng.uniform(-0.5, 0.5, 3), rng.uniform(0.3, 0.6)
    array = np.exp(-(((grid - at) * (np.array(shape) > 1)) ** 2).sum(axis=-1) / wide**2) + rng.normal(0, 0.02, shape)
    return Volume((300 * array).astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0]), "hill")


@pytest.fixture
def hills(rng):
    """Some real images to learn from, some that are held back, and some new ones of the same kind."""
    parts = [[a_hill(rng) for _ in range(count)] for count in (24, 12, 20)]
    learned, held = ([(f"{name} {n}", f"{name} {n}", image) for n, image in enumerate(part)]
                     for name, part in zip(("learned", "held"), parts, strict=False))  # fmt: skip
    return learned, held, parts[2]


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def judged(made, learned, held):
    return compared(made, learned, held, lambda _: None, about=About(title="hills"))


def test_copied_patients_are_found_out(hills, tmp_path):
    learned, held, others = hills
    copies = [image for *_, image in learned[:5]]
    found = judged([*others[:15], *copies], learned, held)
    assert found.summary["copies"].value == pytest.approx(5 / 20)
    assert [worst.case.reference.name for worst in found.worst[:5]] == ["hill"] * 5
    rows = {row["case"]: row for row in found.rows}
    assert [rows[f"synthetic {n:04d}"]["nearest_training_case"] for n in range(15, 20)] == [
        f"learned {n}" for n in range(5)
    ]
    assert all(rows[f"synthetic {n:04d}"]["distance"] < 1e-6 for n in range(15, 20))
    found.write(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The closest pairs" in page
    assert "autoencoder" in page


def test_new_images_of_the_same_kind_are_no_copies_and_hard_to_tell(hills):
    learned, held, others = hills
    summary = judged(others, learned, held).summary
    assert summary["copies"].value == 0
    assert 0.7 < summary["nearest_ratio"].value < 1.4
    assert summary["auroc_synthetic"].low < 0.6
    assert summary["fid"].low < summary["fid_real"].high


def test_noise_is_told_from_real_images(hills, rng):
    learned, held, _ = hills
    noise = [Volume(rng.random((1, SIZE, SIZE), np.float32), np.eye(4), "noise") for _ in range(20)]
    summary = judged(noise, learned, held).summary
    assert summary["auroc_synthetic"].value > 0.95
    assert summary["fid"].low > summary["fid_real"].high
    assert summary["ms_ssim"].high < summary["ms_ssim_real"].low


def test_a_generator_that_repeats_itself_is_found_out(hills):
    learned, held, others = hills
    summary = judged([others[0]] * 20, learned, held).summary
    assert summary["ms_ssim"].value == pytest.approx(1, abs=1e-4)
    assert summary["ms_ssim_real"].value < 0.9


def test_too_few_images_are_refused(hills):
    learned, held, others = hills
    with pytest.raises(InputError, match="cannot be evaluated"):
        judged(others[:2], learned, held)
    with pytest.raises(InputError, match="cannot be evaluated"):
        judged(others, [], held)


def test_real_volumes_lie_on_the_generators_grid_however_they_are_stored(rng):
    made = Volume(np.zeros((6, 10, 8), np.float32), np.diag([1.0, 1.0, 2.0, 1.0]), "made")
    frame = Frame.of(made)
    assert (frame.size, frame.spacing) == ((8, 10, 6), (1.0, 1.0, 2.0))
    real = a_hill(rng, (6, 10, 8))
    turned = Volume(
        np.ascontiguousarray(real.array.transpose(2, 0, 1)[:, ::-1]),
        real.affine @ np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, 5], [0, 0, 0, 1.0]]),
        "turned",
    )
    assert frame(real).array.shape == made.array.shape
    np.testing.assert_allclose(frame(turned).array, frame(real).array, atol=1e-5)
    assert frame(real).array.min() == 0
    assert frame(real).array.max() == 1


def test_pictures_keep_their_proportions(rng):
    wide = Volume(1 + rng.random((1, 20, 40)).astype(np.float32), np.eye(4), "wide")
    framed = Frame((SIZE, SIZE, 1), (1.0, 1.0, 1.0))(wide)
    assert framed.array.shape == (1, SIZE, SIZE)
    assert not framed.array[0, :4].any()
    assert framed.array[0, 5:11].any(axis=0).all()


def test_a_generator_is_evaluated_from_data_to_report(bright_spots, a_generator, tmp_path):
    folder = tmp_path / "report"
    result = medai.evaluate(a_generator, bright_spots, folder, count=12, seed=3, in_process=True, device="cpu")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["kind"] == "synthesize"
    assert summary["settings"]["synthetic images"] == "12"
    assert summary["settings"]["real images"] == "44 that it learned from, 20 held back"
    assert {"fid", "fid_real", "ms_ssim", "nearest_ratio", "copies", "auroc_synthetic"} <= set(summary["metrics"])
    assert "fid" in result.table.columns["Metric"]
    again = medai.evaluate(a_generator, bright_spots, tmp_path / "two", count=12, seed=3, in_process=True, device="cpu")
    np.testing.assert_equal(dict(again.table.columns), dict(result.table.columns))  # what has no interval is NaN


def test_a_count_that_is_none_is_refused(bright_spots, a_generator, tmp_path):
    with pytest.raises(InputError, match="count"):
        medai.evaluate(a_generator, bright_spots, tmp_path, count=-1)


def test_data_are_divided_as_they_were_for_the_generators_own_training(
    bright_balls, a_generator, tmp_path, monkeypatch
):
    copied = tmp_path / "copied"
    shutil.copytree(a_generator, copied)
    (copied / "configs" / "train.json").write_text(json.dumps({"seed": 5}), encoding="utf-8")
    seen = {}

    def look(made, learned, held, *_, **__):
        seen["learned"], seen["held"] = [one[0] for one in learned], [one[0] for one in held]

    monkeypatch.setattr(judge_synthesis, "compared", look)
    data = read_data_list(bright_balls)
    judge_synthesis.generated(copied, data, lambda _: None, LoadedModels(), device="cpu", about=About(), count=4)
    expected = split(data, seed=5)
    assert seen == {
        "learned": [item.name for item in expected.part("training")],
        "held": [item.name for item in expected.part("validation")],
    }


def test_what_is_smaller_than_the_generators_images_is_filled_up_with_nothing(rng):
    bright = Volume(50 + rng.random((6, 10, 8)).astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0]), "bright")
    framed = Frame((10, 12, 8), (1.0, 1.0, 2.0))(bright)
    assert framed.array.shape == (8, 12, 10)
    assert not framed.array[0].any()
    assert framed.array[1:7, 1:11, 1:9].any(axis=(1, 2)).all()


def test_pictures_of_another_shape_are_brought_to_the_generators(rng):
    framed = Frame((12, 20, 1), (1.0, 1.0, 1.0))(Volume(rng.random((1, 30, 30)).astype(np.float32), np.eye(4), "x"))
    assert framed.array.shape == (1, 20, 12)
    assert framed.array[0, 0].any()
