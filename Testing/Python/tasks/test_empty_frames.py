"""A frame in which there is nothing to see does not cost the results of all others."""

from __future__ import annotations

import numpy as np
import pytest

from medai.engine.loaded import LoadedModels
from medai.errors import NothingToSeeError
from medai.jobs.job import Job
from medai.progress import ignore
from medai.tasks import run
from medai.volume import Series, Volume
from small_bundles import OBLIQUE


def _frame(value=None, shape=(9, 8, 7)):
    array = np.random.default_rng(1).integers(0, 256, shape).astype(np.float32)
    if value is not None:
        array[:] = value
    return Volume(array, OBLIQUE, f"frame of {value}", "MR")


def _run(root, frames, **parameters):
    return run(Job("segment", root, Series(tuple(frames)), {"device": "cpu", **parameters}), ignore, LoadedModels())


@pytest.mark.parametrize("value", [7.0, np.nan])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_it_has_an_empty_result_and_a_note(a_bundle, value, place):
    frames = [_frame(), _frame()]
    frames.insert(place, _frame(value, (6, 5, 8)))
    result = _run(a_bundle(), frames)
    assert [frame.labelmap.array.shape for frame in result.frames] == [frame.shape for frame in frames]
    assert [bool(frame.labelmap.array.any()) for frame in result.frames] == [n != place for n in range(3)]
    names = [[segment.name for segment in frame.labelmap.segments] for frame in result.frames]
    assert names[0] == names[1] == names[2]
    assert sum(result.frames[place].labelmap.volumes_ml().values()) == 0
    assert len(result.table.columns["Frame"]) == 3
    (note,) = [note for note in result.provenance.notes if note.startswith("Frame ")]
    assert note.startswith(f"Frame {place} has an empty result. ")


def test_its_uncertainty_is_none_where_others_voted(a_bundle):
    root, other = a_bundle(), a_bundle(name="other")
    result = _run(root, [_frame(), _frame(3.0)], ensemble=(other,))
    uncertainty = result.frames[1].volume
    assert uncertainty.name == "frame of 3.0 uncertainty"
    assert uncertainty.array.shape == (9, 8, 7)
    assert not uncertainty.array.any()


def test_where_no_frame_shows_anything_the_job_fails(a_bundle):
    with pytest.raises(NothingToSeeError):
        _run(a_bundle(), [_frame(0.0), _frame(1.0)])


def test_one_image_alone_is_refused(a_bundle):
    job = Job("segment", a_bundle(), (_frame(0.0),), {"device": "cpu"})
    with pytest.raises(NothingToSeeError, match="nothing to see"):
        run(job, ignore, LoadedModels())
