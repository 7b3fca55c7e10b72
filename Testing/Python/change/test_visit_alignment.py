"""Visits are brought together wherever their grids lie, and what cannot be is said aloud."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from medai.errors import GeometryError, JobCancelled, NothingToSeeError
from medai.tasks.change import ChangeParameters
from medai.tasks.change.alignment import align, unmoved
from medai.tasks.change.change import change
from medai.tasks.change.foreground import foreground, places
from medai.tasks.change.motion import Motion, mean_pose
from medai.volume import Series, Volume, apply_affine

STRAIGHT = np.diag([4.0, 4.0, 4.0, 1.0])
STRAIGHT[:3, 3] = [-90, -102, -78]
SHAPE = (40, 52, 46)


def turned_by(angles: tuple[float, float, float]) -> np.ndarray:
    """Rotation about R, then A, then S, degrees."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles)):
        one = np.eye(3)
        a, b = [n for n in range(3) if n != axis]
        one[[a, a, b, b], [a, b, a, b]] = [np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)]
        matrix = one @ matrix
    return matrix


def a_motion(angles: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turned_by(angles), shift
    return matrix


def a_grid(angles, spacing, flips, order) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A grid around the origin whose axes are oblique, flipped and in any order."""
    axes = turned_by(angles)[:, list(order)] * np.where(flips, -1, 1)
    size = np.ceil(200 / np.array(spacing)).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((size - 1) / 2)
    return affine, (int(size[2]), int(size[1]), int(size[0]))


small = st.floats(-12, 12)
shifts = st.tuples(*[st.floats(-20, 20)] * 3)
grids = st.builds(
    a_grid,
    st.tuples(*[st.floats(-30, 30)] * 3),
    st.sampled_from([(4.0, 4.0, 4.0), (3.5, 3.5, 6.0), (6.0, 4.0, 4.0)]),
    st.tuples(*[st.booleans()] * 3),
    st.permutations([0, 1, 2]),
)


@given(st.tuples(small, small, small), shifts, grids, grids)
@settings(
    max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate]
)
def test_a_known_motion_is_found_on_any_grids(a_head, angles, shift, before, after):
    motion = a_motion(angles, shift)
    frames = (
        a_head(*before, motion=motion, seed=1, day=date(2020, 1, 1)),
        a_head(*after, seed=2, day=date(2021, 1, 1)),
    )
    found = align(Series(frames))
    points = places(frames[1], foreground(frames[1]))
    error = np.linalg.norm(apply_affine(found.motions[0].matrix, points) - apply_affine(motion, points), axis=1)
    assert error.mean() < 1.0
    assert error.max() < 2.5
    expected = Motion.of(motion, points)
    assert found.motions[0].displacement_mm == pytest.approx(expected.displacement_mm, abs=1.0)
    assert found.motions[0].rotation_deg == pytest.approx(expected.rotation_deg, abs=1.0)
    one, other = (frame.array[found.seen] for frame in found.series.frames)
    assert np.corrcoef(one, other)[0, 1] > 0.97
    assert found.series.dates == (date(2020, 1, 1), date(2021, 1, 1))


@given(st.lists(st.tuples(st.tuples(small, small, small), shifts), min_size=1, max_size=4), st.permutations([0, 1]))
def test_the_middle_of_two_visits_is_as_far_from_both(motions, order):
    matrices = [a_motion(*motions[0]), np.eye(4)]
    centre = np.array([3.0, -4.0, 5.0])
    pose = mean_pose([matrices[n] for n in order], centre)
    to_first = matrices[0] @ np.linalg.inv(pose)
    to_last = np.linalg.inv(pose)
    middle = apply_affine(pose, centre[np.newaxis])
    first, last = (Motion.of(matrix, middle) for matrix in (to_first, to_last))
    assert first.rotation_deg == pytest.approx(last.rotation_deg, abs=1e-4)
    assert first.translation_mm == pytest.approx(last.translation_mm, abs=1e-6)


def test_three_visits_of_different_sizes_come_to_one_grid(a_head):
    grids = [(STRAIGHT, SHAPE), a_grid((10, 0, 5), (3.5, 3.5, 6), (True, False, True), (0, 1, 2)), (STRAIGHT, SHAPE)]
    motions = [a_motion((0, 5, 0), (4, 0, 0)), a_motion((3, 0, -4), (0, 6, 2)), np.eye(4)]
    frames = tuple(
        a_head(*grid, motion=motion, seed=n, name=f"visit {n}")
        for n, (grid, motion) in enumerate(zip(grids, motions, strict=True))
    )
    found = align(Series(frames, (0, 100, 300), "days"))
    first, *others = found.series.frames
    assert all(first.same_grid(other) for other in others)
    assert first.shape == frames[1].shape  # the coarsest
    assert found.series.days == (0, 100, 300)
    for other in others:
        assert np.corrcoef(first.array[found.seen], other.array[found.seen])[0, 1] > 0.97
    table = found.table.columns
    assert table["Visit"] == ("visit 0", "visit 1", "visit 2")
    assert table["Rotation (deg)"][0] == pytest.approx(5, abs=0.6)
    assert table["Mean displacement (mm)"][2] == 0


def test_both_visits_are_blurred_alike(a_head):
    frames = (
        a_head(STRAIGHT, SHAPE, motion=a_motion((0, 0, 6), (2, 2, 2)), seed=1, noise=4),
        a_head(STRAIGHT, SHAPE, seed=2, noise=4),
    )
    found = align(Series(frames))
    one, other = (frame.array for frame in found.series.frames)
    flat = found.seen & (np.abs(one + other - 200) < 10)
    one, other = (values[flat].std() for values in (one, other))
    assert one == pytest.approx(other, rel=0.1)


def test_a_finer_visit_is_averaged_to_the_coarser_grid(a_head):
    fine = np.diag([2.0, 2.0, 2.0, 1.0])
    fine[:3, 3] = [-88, -100, -76]
    frames = (a_head(fine, (76, 100, 88), seed=1, noise=8), a_head(STRAIGHT, SHAPE, seed=2, noise=1))
    found = unmoved(Series(frames))
    flat = found.seen & (np.abs(found.series.frames[1].array - 100) < 3)
    residual = found.series.frames[0].array[flat] - 100
    assert residual.std() < 8 / 2  # eight voxels' noise, less than a third of one


def test_a_patient_who_did_not_move_is_not_interpolated(a_head):
    frames = (a_head(STRAIGHT, SHAPE, seed=1), a_head(STRAIGHT, SHAPE, seed=2))
    found = align(Series(frames))
    for frame, aligned in zip(frames, found.series.frames, strict=True):
        np.testing.assert_array_equal(frame.array, aligned.array)
        np.testing.assert_array_equal(frame.affine, aligned.affine)


def test_the_same_visits_always_give_the_same(a_head):
    frames = (a_head(STRAIGHT, SHAPE, motion=a_motion((4, 0, 0), (3, 0, 0)), seed=1), a_head(STRAIGHT, SHAPE, seed=2))
    one, other = align(Series(frames)), align(Series(frames))
    np.testing.assert_array_equal(one.motions[0].matrix, other.motions[0].matrix)
    np.testing.assert_array_equal(one.series.frames[0].array, other.series.frames[0].array)


def test_a_stranger_or_noise_is_refused_with_what_they_have_in_common(a_head):
    noise = Volume(np.random.default_rng(0).random(SHAPE).astype(np.float32), STRAIGHT, "noise", date=date(2020, 1, 1))
    with pytest.raises(GeometryError, match=r"'noise' of 2020-01-01.*too little in common.*same patient"):
        align(Series((noise, a_head(STRAIGHT, SHAPE))))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (a_motion((0, 0, 85), (0, 0, 0)), "turned by 85 degrees and moved by 0 mm"),
        (a_motion((0, 0, 0), (0, 250, 0)), "turned by 0 degrees and moved by 250 mm"),
        (a_motion((0, 0, 9), (20, 0, 0)), "no motion made it more like the last visit"),
    ],
)
def test_a_registration_that_went_astray_is_not_used_and_said_aloud(a_head, monkeypatch, wrong, says):
    monkeypatch.setattr("medai.transforms.registration.rigid_between", lambda fixed, moving: wrong)
    frames = (a_head(STRAIGHT, SHAPE, seed=1, name="first"), a_head(STRAIGHT, SHAPE, seed=2))
    found = align(Series(frames))
    (note,) = found.notes
    assert note.startswith("The visit 'first': left where it was")
    assert says in note
    np.testing.assert_array_equal(found.motions[0].matrix, np.eye(4))
    np.testing.assert_array_equal(found.series.frames[0].array, frames[0].array)


def test_places_that_do_not_meet_are_refused_when_they_may_not_be_moved(a_head):
    far = STRAIGHT.copy()
    far[0, 3] += 5000
    heads = a_head(far, SHAPE, seed=1), a_head(STRAIGHT, SHAPE, seed=2)
    with pytest.raises(NothingToSeeError, match="Only 0 voxels"):
        change(*heads, ChangeParameters(align=False))


def test_a_patient_far_off_on_the_scanners_axes_is_still_found(a_head):
    far = STRAIGHT.copy()
    far[:3, 3] += [80, -60, 90]
    head = a_head(STRAIGHT, SHAPE, seed=1)
    found = align(Series((replace(head, affine=far), a_head(STRAIGHT, SHAPE, seed=2))))
    assert found.motions[0].translation_mm == pytest.approx(np.linalg.norm([80, -60, 90]), abs=1.5)
    assert np.corrcoef(*(frame.array[found.seen] for frame in found.series.frames))[0, 1] > 0.97


def test_cancelling_is_heard_between_visits(a_head):
    def stop(done: int, total: int) -> None:
        raise JobCancelled(f"Stopped at {done} of {total}.")

    with pytest.raises(JobCancelled):
        align(Series((a_head(STRAIGHT, SHAPE), a_head(STRAIGHT, SHAPE, seed=1))), stop)
