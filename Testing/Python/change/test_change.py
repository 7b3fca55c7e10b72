"""What changed between two visits of heads of which everything is known."""

from __future__ import annotations

import numpy as np
import pytest

from medai.tasks.change import ChangeParameters
from medai.tasks.change.change import change
from medai.volume import Volume

GRID = np.diag([4.0, 4.0, 5.0, 1.0])
GRID[:3, 3] = [-88, -100, -70]
SHAPE = (29, 51, 45)
OLD, NEW_ONE = (30.0, -5.0, 20.0, 8.0), (-33.0, -20.0, 10.0, 9.0)


@pytest.fixture
def turned() -> np.ndarray:
    angle = np.deg2rad(6)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = [5, -7, 4]
    return matrix


def rows(found) -> list[dict[str, object]]:
    columns = found.table.columns
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_a_new_lesion_is_found_where_it_is_at_the_second_visit(a_head, turned):
    before = a_head(GRID, SHAPE, lesions=(OLD,), seed=1, noise=2)
    after = a_head(GRID, SHAPE, lesions=(OLD, NEW_ONE), motion=turned, seed=2, noise=2)
    found = change(before, after)
    (row,) = rows(found)
    assert row["Change"] == "new"
    place = turned[:3, :3] @ NEW_ONE[:3] + turned[:3, 3]
    assert np.linalg.norm(np.array([row["R (mm)"], row["A (mm)"], row["S (mm)"]]) - place) < 3
    assert row["Volume change (mL)"] == pytest.approx(4 / 3 * np.pi * 0.9**3, rel=0.4)
    assert found.difference.array.max() > 6
    assert found.aligned.motions[0].rotation_deg == pytest.approx(6, abs=0.5)


def test_the_same_head_again_has_no_changed_lesion(a_head, turned):
    before = a_head(GRID, SHAPE, lesions=(OLD,), seed=1, noise=2)
    after = a_head(GRID, SHAPE, lesions=(OLD,), motion=turned, seed=2, noise=2)
    assert rows(change(before, after)) == []


def test_masks_tell_what_grew_and_what_went(a_head):
    before, after = (a_head(GRID, SHAPE, seed=seed) for seed in (1, 2))

    def a_mask(*boxes: tuple[slice, slice, slice]) -> Volume:
        array = np.zeros(SHAPE, np.uint8)
        for box in boxes:
            array[box] = 1
        return Volume(array, GRID, "mask")

    def box(k: int, j: int, i: int, size: int) -> tuple[slice, slice, slice]:
        return slice(k, k + size), slice(j, j + size), slice(i, i + size)

    masks = (a_mask(box(5, 10, 10, 2), box(15, 30, 30, 3)), a_mask(box(5, 10, 10, 3), box(20, 15, 20, 2)))
    found = change(before, after, ChangeParameters(lesions=masks, align=False))
    kinds = {row["Change"]: row["Volume change (mL)"] for row in rows(found)}
    assert kinds == pytest.approx({"grown": 19 * 0.08, "gone": -27 * 0.08, "new": 8 * 0.08})
    assert {segment.name for segment in found.lesions.segments} >= {"lesion grown", "lesion gone", "lesion new"}
