"""The page: nothing from outside, nothing run, every text escaped, every picture described."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from medai.training.evaluation import (
    About,
    BoxArray,
    ClassificationCase,
    DetectionCase,
    Options,
    RestorationCase,
    SegmentationCase,
    evaluate,
)
from medai.training.evaluation.report.slices import View, fullest, grey
from medai.training.evaluation.report.words import spelled
from medai.volume import Volume

pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy.*:FutureWarning")

EVIL = '<script>alert("x")</script> $\\frac{'


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    @property
    def pictures(self):
        return [attributes for tag, attributes in self.tags if tag == "img"]


@pytest.fixture
def an_evaluation(rng, a_volume, a_segmentation_case, boxes, few_draws):
    """An evaluation of any kind, with names that want to be scripts."""
    picture = a_volume(rng.integers(0, 255, (1, 20, 30)).astype(np.uint8))
    clean = a_volume(rng.random((4, 16, 16)), (1, 1, 2))

    def classified(truth, probability):
        return [
            ClassificationCase(name=EVIL, image=picture, truth=truth(n), probability=probability(n)) for n in range(9)
        ]

    def detected(n):
        said = BoxArray(np.array([[2, 3, 12, 14], [20, 2, 25, 9]]), (EVIL, EVIL), np.array([0.9, 0.7]))
        real = BoxArray(np.array([[2, 3, 12, 12]]), (EVIL,))
        return DetectionCase(name=EVIL, image=picture, reference=real, prediction=said if n else boxes())

    def restored(n):
        before, after = (a_volume(clean.array + error, (1, 1, 2)) for error in (0.3, 0.01 * n))
        return RestorationCase(name=EVIL, reference=clean, degraded=before, restored=after)

    def three_classes():
        return classified(lambda n: n % 3, lambda _: rng.dirichlet(np.ones(3)))

    makers = {
        "binary": ("classify", lambda: classified(lambda n: n % 2, lambda _: rng.random()), ("a", EVIL)),
        "several": ("classify", three_classes, ("a", EVIL, "c")),
        "findings": ("classify", lambda: classified(lambda n: [n % 2, np.nan], lambda _: rng.random(2)), ("a", EVIL)),
        "segment": ("segment", lambda: [a_segmentation_case(EVIL, n) for n in range(3)], {EVIL: 1}),
        "detect": ("detect", lambda: [detected(n) for n in range(3)], ()),
        "denoise": ("denoise", lambda: [restored(n) for n in range(3)], ()),
    }

    def build(which):
        kind, cases, labels = makers[which]
        return evaluate(kind, cases(), labels=labels, about=About(*[EVIL] * 4, notes=(EVIL,)), options=few_draws)

    return build


PICTURES = {"binary": 6, "several": 6, "findings": 5, "segment": 5, "detect": 5, "denoise": 4}
"""Plots and two of the worst cases."""


@pytest.mark.parametrize("which", PICTURES)
def test_a_report_holds_everything_and_lets_nothing_in(an_evaluation, which):
    text = an_evaluation(which).report()
    page = Page(text)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"base64,[^\"]+", "", text))
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert len(page.pictures) == PICTURES[which]
    for attributes in page.pictures:
        kind, _, content = attributes["src"].partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content).startswith(b"\x89PNG")
        assert len(attributes["alt"]) > 20
    assert [tag for tag, _ in page.tags if tag == "h1"] == ["h1"]
    # The worst come first.
    assert text.index("1. &lt;script") < text.index("2. &lt;script")


def test_the_numbers_of_the_summary_stand_in_the_report(an_evaluation):
    evaluation = an_evaluation("segment")
    dice = evaluation.summary[f"dice[{EVIL}]"]
    text = evaluation.report()
    assert f"{dice.value:.3f}" in text
    assert f"{dice.low:.3f} to {dice.high:.3f}" in text


def test_a_case_without_an_image_is_named_without_a_picture(few_draws):
    cases = [ClassificationCase(name=f"case {n}", truth=n % 2, probability=0.4) for n in range(4)]
    text = evaluate("classify", cases, options=replace(few_draws, worst=4)).report()
    assert "1. case 1" in text
    assert "Reference: positive. Model: 60\u00a0% negative, 40\u00a0% positive." in text
    assert "Reference: negative. Model: 60\u00a0% negative." in text


def test_long_names_of_classes_push_nothing_out_of_the_confusion_matrix(few_draws):
    import io

    from PIL import Image

    from medai.training.evaluation.report.class_plots import classification_plots

    cases = [ClassificationCase(name=f"case {n}", truth=n % 2, probability=0.4) for n in range(4)]
    found = evaluate("classify", cases, labels=("normal or benign", "malignant"), options=few_draws)
    (matrix,) = (each for each in classification_plots(found.summary, found.details) if "matrix" in each.title)
    pixels = np.asarray(Image.open(io.BytesIO(matrix.png)).convert("L"))
    assert pixels.min() < 100
    assert (pixels[:, :3] > 250).all()


def test_findings_that_have_a_curve_are_drawn_however_many_without_one_come_first(rng, few_draws):
    names = [f"absent {n}" for n in range(9)] + ["seen", "also seen"]
    truth = np.zeros((12, len(names)))
    truth[::2, -2] = truth[::3, -1] = 1
    said = rng.random(truth.shape)
    cases = [ClassificationCase(name=str(n), truth=truth[n], probability=said[n]) for n in range(len(truth))]
    chosen = replace(few_draws, threshold=(0.5,) * 9 + (0.25, 0.125))
    done = evaluate("classify", cases, labels=names, options=chosen)
    said = [picture["alt"] or "" for picture in Page(done.report()).pictures]
    (roc,) = (text for text in said if text.startswith("ROC"))
    assert re.findall(r"(\w[\w ]*), area", roc) == ["seen", "also seen"]
    assert done.summary.settings["threshold"] == "seen 0.25, also seen 0.125, others 0.5"


def test_one_class_and_one_case_still_make_a_report(few_draws):
    text = evaluate("classify", [ClassificationCase(name="x", truth=1, probability=0.7)], options=few_draws).report()
    assert "no negative case" in text
    assert "one patient only" in text


def test_nothing_found_anywhere_still_makes_a_report(a_volume, boxes, few_draws):
    image = a_volume(np.zeros((5, 6, 7)))
    empty = a_volume(np.zeros((5, 6, 7), np.uint8))
    segmented = SegmentationCase(name="x", image=image, reference=empty, prediction=empty)
    detected = DetectionCase(name="x", image=image, reference=boxes(), prediction=boxes())
    assert "absent in both" in evaluate("segment", [segmented], labels={"liver": 1}, options=few_draws).report()
    assert "no reference box" in evaluate("detect", [detected], options=few_draws).report()


def test_boxes_in_millimetres_are_drawn_where_they_lie(few_draws):
    affine = np.diag([-0.5, -0.5, 2.0, 1.0])
    image = Volume(np.zeros((6, 40, 40)), affine)
    box = np.array([[-15, -15, 2, -10, -10, 8.0]])
    case = DetectionCase(
        name="x", image=image, axes=np.eye(3), reference=BoxArray(box, ("a",)), prediction=BoxArray(box + 3, ("a",))
    )
    text = evaluate("detect", [case], options=Options(how=few_draws.how, worst=1)).report()
    from medai.training.evaluation.report.pictures import _voxels

    k, j, i = np.nonzero(_voxels(case, case.reference, image))
    assert (i.min(), i.max(), j.min(), j.max(), k.min(), k.max()) == (20, 30, 20, 30, 1, 4)
    assert text.count("<img") == 4


def axis_marks(affine, shape):
    """Stacks of the R, A and S coordinate of every voxel as shown on the page."""
    k, j, i = np.indices(shape)
    ras = np.einsum("ab,bkji->akji", affine[:3, :3], np.stack([i, j, k]).astype(float))
    view = View(affine, shape)
    return [view.stack(one) for one in ras], view


@pytest.mark.parametrize(
    ("affine", "letters"),
    [
        (np.diag([1.0, 1, 3, 1]), ("R", "L", "A", "P")),
        (np.diag([-1.0, -1, 3, 1]), ("R", "L", "A", "P")),
        (np.array([[0, 0, 3.0, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]]), ("A", "P", "S", "I")),
        (np.array([[-1.0, 0, 0, 0], [0, 0, 3, 0], [0, -1, 0, 0], [0, 0, 0, 1]]), ("R", "L", "S", "I")),
    ],
)
def test_slices_are_shown_as_a_radiologist_expects(affine, letters):
    (r, a, s), view = axis_marks(affine, (4, 5, 6))
    assert view.letters == letters
    towards = {"R": r, "L": -r, "A": a, "P": -a, "S": s, "I": -s}
    left, upper = towards[letters[0]], towards[letters[2]]
    assert (np.diff(left, axis=2) < 0).all()
    assert (np.diff(upper, axis=1) < 0).all()


def test_a_picture_is_shown_as_it_is_stored():
    view = View(np.diag([1.0, 2.0, 1.0, 1.0]), (1, 3, 4))
    array = np.arange(12).reshape(1, 3, 4)
    np.testing.assert_array_equal(view.stack(array), array)
    assert view.aspect == 2
    assert view.letters == ("", "", "", "")


def test_the_slice_with_most_in_it_is_shown():
    stack = np.zeros((5, 2, 2))
    assert fullest(stack) == 2
    stack[4] = -1
    assert fullest(stack) == 4


def test_colours_stay_and_grey_values_are_windowed():
    assert grey(np.full((2, 2, 3), 255)).max() == 1
    assert grey(np.array([[0.0, 50.0], [100.0, 200.0]]), (0, 100)).tolist() == [[0, 0.5], [1, 1]]
    assert np.isfinite(grey(np.full((2, 2), np.nan))).all()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.12345, "", "0.123"),
        (-1.5, "mL", "−1.50"),
        (12.345, "%", "12.3"),
        (float("nan"), "", "–"),
        (float("inf"), "dB", "∞"),
        (0.00012, "", "0.00012"),
        (0.0, "mm", "0.00"),
    ],
)
def test_numbers_have_the_digits_they_deserve(value, unit, text):
    assert spelled(value, unit) == text
