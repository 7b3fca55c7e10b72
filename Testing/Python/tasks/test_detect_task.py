"""Finding things: where they are in the patient, which of them are told, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medai import tasks
from medai.engine.loaded import LoadedModels
from medai.errors import BundleError, InputError, JobCancelled
from medai.jobs.job import Job
from medai.progress import Progress, ignore
from medai.result import Boxes, Result, Table
from medai.tasks.detect.suppression import without_doubles
from medai.volume import Region, Series, Volume
from small_bundles import OBLIQUE
from small_detectors import CELL, Spots

SHAPE = (16, 20, 24)
AT = np.array([8, 12, 4])
"""(i, j, k) of the first voxel of the bright cell."""


@pytest.fixture
def a_detector(tmp_path) -> Callable[..., Path]:
    """Write a detector of bright cells."""
    return lambda name="spots", **changes: Spots(**changes).write(tmp_path / name)


def an_image(*bright: tuple[tuple[int, int, int], float], affine=OBLIQUE, shape=SHAPE, name="scan") -> Volume:
    """An image of zeros with cells of the given brightness, each at (i, j, k)."""
    array = np.zeros(shape, np.float32)
    array[0, 0, 0] = 1
    for (i, j, k), value in bright:
        array[k : k + CELL, j : j + CELL, i : i + CELL] = value
    return Volume(array, affine, name)


def detect(bundle: Path, images, report=ignore, **parameters) -> Result:
    inputs = images if isinstance(images, Series) else (images,)
    return tasks.run(Job("detect", bundle, inputs, parameters), report, LoadedModels())


def center_of(at, affine=OBLIQUE) -> np.ndarray:
    """Middle of a cell in RAS mm, to half a voxel, by which a box of whole voxels may be off."""
    return (affine @ [*(np.asarray(at) + CELL / 2), 1])[:3]


def test_a_box_lies_where_the_spot_is_in_the_patient(a_detector):
    result = detect(a_detector(axcodes=""), an_image((tuple(AT), 100)))
    (region,) = result.boxes.regions
    np.testing.assert_allclose(region.center, center_of(AT), atol=1e-3)
    spacing = np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    np.testing.assert_allclose(region.size, CELL * spacing, rtol=1e-3)
    np.testing.assert_allclose(region.axes, OBLIQUE[:3, :3] / spacing, atol=1e-6)
    assert result.boxes.classes == ("spot",)
    assert result.boxes.scores[0] == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-4)


@given(
    axes=st.permutations([0, 1, 2]),
    signs=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    spacing=st.tuples(*[st.floats(0.5, 3)] * 3),
)
@settings(max_examples=10, deadline=None)
def test_however_the_image_is_stored_the_box_is_around_the_spot(tmp_path_factory, axes, signs, spacing):
    folder = tmp_path_factory.mktemp("turned")
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3)[axes] * signs) @ np.diag(spacing)
    affine[:3, 3] = 3, -20, 40
    (region,) = detect(Spots().write(folder / "spots"), an_image(((8, 12, 4), 100), affine=affine)).boxes.regions
    # The network turns the image to RAS; its boxes count corners, an affine centres of voxels.
    assert (np.abs(np.linalg.inv(affine[:3, :3]) @ (region.center - center_of(AT, affine))) <= 1 + 1e-6).all()
    np.testing.assert_allclose(np.sort(region.size), np.sort(CELL * np.asarray(spacing)), rtol=1e-3)


def test_findings_are_told_from_the_models_operating_point_on(a_detector):
    image = an_image(((0, 0, 0), 100), ((12, 12, 8), 60), ((20, 4, 4), 50))
    everything = detect(a_detector(operating_point={"spot": 0.3}), image)
    assert len(everything.boxes.scores) == 3
    sure = detect(a_detector("sure", operating_point={"spot": 0.6}), image)
    assert len(sure.boxes.scores) == 2
    assert any("spot from 0.6 on" in note for note in sure.provenance.notes)
    chosen = detect(a_detector("chosen", operating_point={"spot": 0.6}), image, threshold=0.9)
    assert len(chosen.boxes.scores) == 1
    assert chosen.provenance.parameters["threshold"] == "0.9"


def test_without_an_operating_point_one_half_is_taken_and_said(a_detector):
    result = detect(a_detector(), an_image(((0, 0, 0), 60), ((12, 12, 8), 45)))
    assert len(result.boxes.scores) == 1
    assert any("score from 0.5 on" in note for note in result.provenance.notes)


def test_the_most_certain_finding_comes_first_in_boxes_and_table(a_detector):
    result = detect(a_detector(), an_image(((0, 0, 0), 60), ((12, 12, 8), 100), ((20, 4, 4), 80)))
    assert list(result.boxes.scores) == sorted(result.boxes.scores, reverse=True)
    table = result.table
    assert table.name == "findings"
    assert table.columns["Score"] == tuple(round(score, 6) for score in result.boxes.scores)
    centers = np.column_stack([table.columns[f"{axis} (mm)"] for axis in "RAS"])
    np.testing.assert_allclose(centers, [region.center for region in result.boxes.regions], atol=1e-3)


def test_nothing_found_is_a_result_too(a_detector):
    result = detect(a_detector(), an_image(((0, 0, 0), 10)))
    assert result.boxes.regions == ()
    assert all(values == () for values in result.table.columns.values())


def test_of_overlapping_boxes_the_best_is_kept_as_far_as_a_person_wants(a_detector):
    image = an_image(((8, 12, 4), 100), ((12, 12, 4), 80))
    # Boxes of eight voxels around neighbouring cells share half of themselves, a third of both together.
    assert len(detect(a_detector(edge=8), image, largest_overlap=0.3).boxes.scores) == 1
    assert len(detect(a_detector(edge=8), image, largest_overlap=0.4).boxes.scores) == 2


def test_boxes_of_different_classes_may_overlap(a_detector):
    bundle = a_detector(classes=("spot", "bright spot"), halves=(0.3, 0.7))
    result = detect(bundle, an_image(((8, 12, 4), 100)))
    assert set(result.boxes.classes) == {"spot", "bright spot"}
    only = detect(bundle, an_image(((8, 12, 4), 100)), classes="Bright spot")
    assert only.boxes.classes == ("bright spot",)


def test_only_what_lies_in_a_region_is_told(a_detector):
    image = an_image(((0, 0, 0), 100), ((12, 12, 8), 100))
    around = Region(center_of((12, 12, 8)), [12, 12, 20], name="here")
    (region,) = detect(a_detector(), image, region=around).boxes.regions
    assert np.linalg.norm(region.center - center_of((12, 12, 8))) < 3
    both = detect(a_detector("again"), image, region=(around, Region(center_of((0, 0, 0)), [12, 12, 20])))
    assert len(both.boxes.regions) == 2


def test_every_frame_of_a_series_has_its_own_findings(a_detector):
    frames = tuple(an_image(((8, 12, 4), value), name=f"t{value}") for value in (20, 80, 100))
    result = detect(a_detector(), Series(frames, (0.0, 30.0, 60.0), "s", "time"))
    assert [len(frame.boxes.regions) for frame in result.frames] == [0, 1, 1]
    assert result.table.columns["Frame (s)"] == (30.0, 60.0)


def test_a_model_of_slices_looks_through_a_stack(a_detector):
    stack = an_image(((8, 12, 4), 100), shape=(10, 20, 24))
    result = detect(a_detector(dimensions=2), stack)
    assert len(result.boxes.regions) == CELL, "one box in each slice of the spot"
    heights = sorted((np.linalg.inv(OBLIQUE) @ [*region.center, 1])[2] for region in result.boxes.regions)
    np.testing.assert_allclose(heights, [4, 5, 6, 7], atol=1e-4)
    thickness = np.linalg.norm(OBLIQUE[:3, 2])
    assert all(region.size[2] == pytest.approx(thickness) for region in result.boxes.regions)
    assert any("one by one" in note for note in result.provenance.notes)


def test_a_picture_is_one_slice(a_detector):
    picture = an_image(shape=(1, 20, 24))
    picture.array[0, 12:16, 8:12] = 100
    (region,) = detect(a_detector(dimensions=2), picture).boxes.regions
    np.testing.assert_allclose((np.linalg.inv(OBLIQUE) @ [*region.center, 1])[:2], [10, 14], atol=1e-3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"threshold": 1.5}, "from 0 to 1"),
        ({"threshold": "high"}, "from 0 to 1"),
        ({"largest_overlap": -0.1}, "from 0 to 1"),
        ({"classes": ()}, "at least one class"),
        ({"classes": "lesion"}, "does not look for 'lesion'"),
        ({"tta": True}, "cannot be chosen"),
    ],
)
def test_what_cannot_be_chosen_is_refused_with_what_can(a_detector, parameters, message):
    with pytest.raises(InputError, match=message):
        detect(a_detector(), an_image(((8, 12, 4), 100)), **parameters)


def test_a_model_for_something_else_is_refused(a_bundle):
    with pytest.raises(BundleError, match="not for detection"):
        detect(a_bundle("threshold"), an_image(((8, 12, 4), 100)))


def test_an_image_without_any_contrast_is_refused(a_detector):
    with pytest.raises(InputError, match="nothing to see"):
        detect(a_detector(), Volume(np.zeros(SHAPE, np.float32), OBLIQUE, "empty"))


def test_a_detection_tells_where_it_stands_and_can_be_stopped(a_detector):
    stages: list[str] = []
    detect(a_detector(), an_image(((8, 12, 4), 100)), lambda progress: stages.append(progress.stage))
    assert [stage for n, stage in enumerate(stages) if stage not in stages[:n]] == [
        "Preparing",
        "Loading model",
        "Detecting",
        "Finishing",
    ]

    def stop(progress: Progress) -> None:
        if progress.stage == "Detecting":
            raise JobCancelled("Stopped.")

    with pytest.raises(JobCancelled):
        detect(a_detector("again"), an_image(((8, 12, 4), 100)), stop)


def test_where_a_result_came_from_is_told(a_detector):
    provenance = detect(a_detector(), an_image(((8, 12, 4), 100))).provenance
    assert (provenance.task, provenance.bundle, provenance.version) == ("detect", "spots", "1.2.3")
    assert provenance.inputs == ("scan",)


def test_doubles_are_told_by_their_overlap_in_millimetres_along_turned_axes():
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    regions = tuple(Region(turn @ [x, 0, 0], [10, 4, 2], turn) for x in (0.0, 4.0, 9.0))
    found = Boxes(regions, (0.5, 0.9, 0.7), ("a", "a", "a"))
    # 4 mm apart they share 6 of 14 mm, 5 mm apart 5 of 15.
    assert without_doubles(found, 0.4).scores == (0.9, 0.7)
    assert without_doubles(found, 0.3).scores == (0.9,)
    assert without_doubles(found, 1.0).scores == (0.9, 0.7, 0.5)
    assert without_doubles(Boxes((), (), ()), 0.3).regions == ()
    assert isinstance(detect_table(found), Table)


def detect_table(found: Boxes) -> Table:
    from medai.tasks.detect.tables import findings

    return findings(found)
