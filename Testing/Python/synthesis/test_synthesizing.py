"""`medai.synthesize`, as a person types it: a stream of results, or nodes in a scene, all marked."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

import medai
from medai import files
from medai.bundles.pipeline import Pipeline
from medai.engine.memory import out_of_memory
from medai.errors import BundleError, InputError, JobCancelled, OutOfMemoryError, SceneError
from medai.jobs import Worker
from medai.volume import SYNTHETIC, SYNTHETIC_KEY


@pytest.fixture
def make(a_generator):
    return lambda *args, **choices: medai.synthesize(a_generator, *args, in_process=True, device="cpu", **choices)


def test_results_come_one_by_one_and_none_is_kept(make):
    results = make(3, seed=1)
    seen = []
    for result in results:
        assert all(array() is None for array in seen)
        assert isinstance(result.volume, medai.Volume)
        assert result.labelmap.array.shape == result.volume.shape
        seen.append(weakref.ref(result.volume.array))
        del result
        gc.collect()
    assert len(seen) == 3


def test_many_volumes_take_no_more_memory_than_a_few(make):
    made = make(240, seed=1)
    tracemalloc.start()
    try:
        for number, _ in enumerate(made):
            if number == 40:
                gc.collect()
                early = tracemalloc.get_traced_memory()[0]
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - early
    finally:
        tracemalloc.stop()
    assert number == 239
    assert grown < 100_000  # two hundred results of 1 kB of voxels and more of everything around them


def test_the_worker_makes_the_same(make, a_generator):
    heard = []
    with Worker() as worker:
        results = medai.synthesize(a_generator, 2, seed=4, device="cpu", worker=worker, on_progress=heard.append)
        far = [result.volume.array for result in results]
    for array, result in zip(far, make(2, seed=4), strict=True):
        np.testing.assert_array_equal(array, result.volume.array)
    assert [progress.total for progress in heard] == [2] * len(heard)
    assert 1 <= heard[-1].done <= 2


def test_a_person_can_stop_between_two_images(make):
    def stop(progress) -> None:
        if progress.done >= 1:
            raise JobCancelled("Stopped.", "", "")

    results = make(5, on_progress=stop)
    with pytest.raises(JobCancelled):
        list(results)


def test_a_walk_goes_from_one_seeds_image_to_anothers(make):
    walked = [result.volume.array for result in make(4, walk=(1, 2))]
    for end, seed in ((0, 1), (-1, 2)):
        np.testing.assert_array_equal(walked[end], next(make(seed=seed)).volume.array)
    np.testing.assert_array_equal(next(make(2, walk=(1, 2), first=2, steps=4)).volume.array, walked[2])


def test_where_it_came_from_is_enough_to_make_it_again(make):
    *_, last = make(3, seed=6)
    chosen = last.provenance.parameters
    again = next(make(int(chosen["count"]), seed=int(chosen["seed"]), first=int(chosen["first"])))
    np.testing.assert_array_equal(again.volume.array, last.volume.array)
    assert last.provenance.synthetic
    assert SYNTHETIC in last.provenance.notes
    assert last.provenance.attributes()[SYNTHETIC_KEY] == "yes"


@pytest.mark.parametrize(
    ("choices", "why"),
    [
        ({"count": 0}, "count"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "below 2 to the power of 63"),
        ({"walk": (1,)}, "walk"),
        ({"walk": (1, "x")}, "walk"),
        ({"walk": (1, 2), "steps": 1, "count": 2}, "steps"),
        ({"condition": 3}, "condition"),
        ({"condition": "cat"}, "one kind only"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_made_is_refused_at_the_call(make, choices, why):
    with pytest.raises(InputError, match=why):
        make(**choices)


def test_a_model_for_something_else_is_refused(monkeypatch, tmp_path):
    from small_bundles import RECIPES, write_bundle

    root = tmp_path / "threshold"
    write_bundle(root, RECIPES["threshold"])
    with pytest.raises(BundleError, match="not for making images"):
        medai.synthesize(root)


def test_nothing_here_imports_torch(a_generator):
    code = f"import sys, medai; medai.synthesize({str(a_generator)!r}, 3); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_files_say_so_and_are_read_back_so(make, tmp_path, ending):
    result = next(make())
    files.write(result.volume, tmp_path / f"image{ending}", provenance=result.provenance)
    files.write(result.volume, tmp_path / f"alone{ending}")
    for name in ("image", "alone"):
        back = files.read(tmp_path / f"{name}{ending}")
        assert back.notes == (SYNTHETIC,)
        np.testing.assert_array_equal(back.array, result.volume.array)
    files.write(medai.Volume(result.volume.array, np.eye(4)), tmp_path / f"other{ending}")
    assert files.read(tmp_path / f"other{ending}").notes == ()


def test_what_is_made_of_a_synthetic_image_is_marked_too(make, tmp_path):
    from small_bundles import RECIPES, write_bundle

    root = tmp_path / "threshold"
    write_bundle(root, RECIPES["threshold"])
    image = next(make()).volume
    real = medai.Volume(image.array, image.affine)
    found = [medai.segment(volume, root, in_process=True, device="cpu") for volume in (image, real)]
    assert [result.provenance.synthetic for result in found] == [True, False]


@pytest.fixture
def a_scene():
    pytest.importorskip("slicer")
    from medai import mrml

    scene = mrml.create_scene()
    yield scene
    scene.Clear(True)


def test_a_scene_gets_all_of_them_marked_with_their_labels(make, a_scene):
    from medai.mrml import volume_from_node

    nodes = make(2, seed=1, scene=a_scene)
    assert len(nodes) == 2
    segmentations = list(a_scene.GetNodesByClass("vtkMRMLSegmentationNode"))
    for node in (*nodes, *segmentations):
        assert "synthetic" in node.GetName()
        assert node.GetAttribute(SYNTHETIC_KEY) == "yes"
    assert volume_from_node(nodes[0]).notes == (SYNTHETIC,)
    for node, segmentation, result in zip(nodes, segmentations, make(2, seed=1), strict=True):
        np.testing.assert_array_equal(volume_from_node(node).array, result.volume.array)
        role = segmentation.GetReferenceImageGeometryReferenceRole()
        assert segmentation.GetNodeReferenceID(role) == node.GetID()


def test_what_is_no_scene_is_refused(make):
    with pytest.raises(SceneError, match="no MRML scene"):
        make(2, scene="mrmlScene")


def test_a_scene_gets_nothing_of_a_job_that_failed(make, a_scene):
    before = a_scene.GetNumberOfNodes()

    def stop(progress) -> None:
        if progress.done >= 1:
            raise JobCancelled("Stopped.", "", "")

    with pytest.raises(JobCancelled):
        make(3, scene=a_scene, on_progress=stop)
    assert a_scene.GetNumberOfNodes() == before


def test_when_memory_runs_out_the_advice_is_one_that_helps_a_generator(make, monkeypatch):
    def exhausted(*_):
        raise out_of_memory(MemoryError(), "cpu")

    monkeypatch.setattr(Pipeline, "infer", exhausted)
    with pytest.raises(OutOfMemoryError, match="makes images of one size only") as raised:
        list(make(1))
    assert "region" not in str(raised.value)
