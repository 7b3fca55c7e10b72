"""Scenes, segmentations and pictures to files that are whole or not there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import slicer
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOImage import vtkPNGReader

from medai.errors import InputError, WriteError
from medai.mrml import (
    add_result,
    create_scene,
    missing_system_libraries,
    render_scene,
    save_scene,
    save_segmentation,
    volume_from_node,
)
from medai.result import Result


@pytest.fixture
def a_scene_with_a_result(a_scene, a_volume_node, a_result):
    return a_scene, add_result(a_result, a_volume_node)


@pytest.mark.parametrize("name", ["my scene.mrb", "my scene.mrml"])
def test_saved_scene_loads_back(a_scene_with_a_result, tmp_path, name, a_result):
    scene, nodes = a_scene_with_a_result
    path = save_scene(scene, tmp_path / "new folder" / name)
    loaded = create_scene()
    if name.endswith(".mrb"):
        assert loaded.ReadFromMRB(path.as_posix())
    else:
        loaded.SetURL(path.as_posix())
        assert loaded.Import()
    volume = volume_from_node(loaded.GetFirstNodeByName("Head"))
    original = volume_from_node(scene.GetFirstNodeByName("Head"))
    assert np.array_equal(volume.array, original.array)
    assert volume.same_grid(original)
    node = loaded.GetFirstNodeByName(nodes.segmentation.GetName())
    assert node.GetSegmentation().GetNumberOfSegments() == 3
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    for key, value in a_result.provenance.attributes().items():
        assert node.GetAttribute(key) == value
    hierarchy = loaded.GetSubjectHierarchyNode()
    folder = hierarchy.GetItemByName("hippocampus: Head")
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder
    table = loaded.GetFirstNodeByName(nodes.tables[0].GetName())
    assert table.GetNumberOfRows() == 3


def test_saving_twice_replaces_the_file_and_leaves_nothing_else(a_scene_with_a_result, tmp_path):
    scene, _ = a_scene_with_a_result
    for _ in range(2):
        save_scene(scene, tmp_path / "s.mrb")
        save_scene(scene, tmp_path / "s.mrml")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["Data", "s.mrb", "s.mrml"]


def test_data_of_another_scene_is_not_overwritten(a_scene_with_a_result, tmp_path):
    scene, _ = a_scene_with_a_result
    save_scene(scene, tmp_path / "one.mrml")
    with pytest.raises(WriteError, match="files of another scene"):
        save_scene(scene, tmp_path / "two.mrml")


def test_saved_segmentation_has_names_colours_terminology_and_geometry(a_scene_with_a_result, tmp_path):
    _, nodes = a_scene_with_a_result
    path = save_segmentation(nodes.segmentation, tmp_path / "out.seg.nrrd")
    header = path.read_bytes()[:20000].decode("latin-1")
    assert "Segment0_Name:=Left hippocampus" in header
    assert "Segment0_Color:=0.9 0.4 0.2" in header
    assert "SCT^4821000^Hippocampus~SCT^7771000^Left" in header
    assert "Segment2_Name:=Absent" in header

    loaded = create_scene().AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(path.as_posix())
    assert storage.ReadData(loaded)
    for n in range(3):
        ours, theirs = nodes.segmentation.GetSegmentation().GetNthSegment(n), loaded.GetSegmentation().GetNthSegment(n)
        assert theirs.GetName() == ours.GetName()
        assert theirs.GetColor() == pytest.approx(ours.GetColor())
        assert theirs.GetTerminology() == ours.GetTerminology()
        assert theirs.GetLabelValue() == ours.GetLabelValue()
    ours = nodes.segmentation.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    theirs = loaded.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    assert np.array_equal(
        vtk_to_numpy(ours.GetPointData().GetScalars()), vtk_to_numpy(theirs.GetPointData().GetScalars())
    )
    assert slicer.vtkOrientedImageDataResample.DoGeometriesMatch(ours, theirs)


def test_node_keeps_its_own_storage(a_scene_with_a_result, tmp_path):
    scene, nodes = a_scene_with_a_result
    before = scene.GetNumberOfNodes()
    save_segmentation(nodes.segmentation, tmp_path / "out.seg.nrrd")
    assert scene.GetNumberOfNodes() == before
    assert nodes.segmentation.GetStorageNode() is None


def test_empty_segmentation_is_not_saved(a_scene, tmp_path):
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Nothing")
    with pytest.raises(InputError, match="no segments"):
        save_segmentation(node, tmp_path / "out.seg.nrrd")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["scene.zip", "scene"])
def test_unknown_scene_format_is_refused(a_scene, tmp_path, name):
    with pytest.raises(WriteError, match=r"\.mrb"):
        save_scene(a_scene, tmp_path / name)


def test_unknown_segmentation_format_is_refused(a_scene_with_a_result, tmp_path):
    with pytest.raises(WriteError, match=r"\.seg\.nrrd"):
        save_segmentation(a_scene_with_a_result[1].segmentation, tmp_path / "out.nii.gz")


@pytest.fixture
def blocked_folder(tmp_path):
    """A path whose parent is a file: nobody, not even root, can create anything in it."""
    file = tmp_path / "a file"
    file.write_text("in the way")
    return file / "folder"


def test_folder_that_cannot_be_made_is_a_write_error(a_scene_with_a_result, blocked_folder):
    scene, nodes = a_scene_with_a_result
    for save in (
        lambda: save_scene(scene, blocked_folder / "s.mrb"),
        lambda: save_segmentation(nodes.segmentation, blocked_folder / "s.seg.nrrd"),
    ):
        with pytest.raises(WriteError, match="cannot be written to"):
            save()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_read_only_folder_is_a_write_error(a_scene_with_a_result, tmp_path):
    tmp_path.chmod(stat.S_IREAD | stat.S_IEXEC)
    with pytest.raises(WriteError, match="cannot be written to"):
        save_scene(a_scene_with_a_result[0], tmp_path / "s.mrb")


FULL_DISK = """
    import resource, signal, sys
    from pathlib import Path
    import numpy as np
    from medai.errors import WriteError
    from medai.mrml import add_result, create_scene, save_scene, save_segmentation
    from medai.mrml.volumes import fill_volume_node
    from medai.result import Labelmap, Provenance, Result, Segment

    scene = create_scene()
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Noise")
    noise = np.random.default_rng(0).integers(0, 4, (64, 64, 64)).astype(np.uint8)
    fill_volume_node(node, noise, np.eye(4))
    labelmap = Labelmap(noise, np.eye(4), tuple(Segment(f"S{n}", n) for n in (1, 2, 3)))
    nodes = add_result(Result((labelmap,), Provenance("segment", "b")), node)
    folder = Path(sys.argv[1])
    save = {
        "scene.mrb": lambda path: save_scene(scene, path),
        "s.seg.nrrd": lambda path: save_segmentation(nodes.segmentation, path),
    }[sys.argv[2]]
    save(folder / sys.argv[2])
    before = (folder / sys.argv[2]).read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        save(folder / sys.argv[2])
    except WriteError as error:
        assert (folder / sys.argv[2]).read_bytes() == before, "the older file is damaged"
        assert [file.name for file in folder.iterdir()] == [sys.argv[2]], "something is left behind"
        print(error)
        sys.exit(0)
    sys.exit("no error")
"""


@pytest.mark.skipif(os.name != "posix", reason="a limit on file sizes stands in for a full disk")
@pytest.mark.parametrize("name", ["scene.mrb", "s.seg.nrrd"])
def test_full_disk_is_a_write_error_and_the_older_file_survives(tmp_path, name):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(tmp_path), name],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "could not be saved" in done.stdout


needs_opengl = pytest.mark.skipif(missing_system_libraries() is not None, reason=str(missing_system_libraries()))


def pixels_of(path):
    reader = vtkPNGReader()
    reader.SetFileName(path.as_posix())
    reader.Update()
    image = reader.GetOutput()
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].astype(int)


def near(pixels, color, tolerance=12):
    return (np.abs(pixels - np.array(color) * 255) <= tolerance).all(axis=2)


@needs_opengl
def test_picture_shows_every_segment_in_every_view(make_volume_node, make_labelmap, a_provenance, tmp_path):
    node = make_volume_node(np.zeros((20, 24, 28), np.int16), np.diag([-2.0, 2, 2, 1]))
    result = Result((make_labelmap(volume_from_node(node)),), a_provenance)
    result.labelmap.array[:] = 0
    result.labelmap.array[5:15, 6:12, 6:22] = 1  # two halves of a block, front and back
    result.labelmap.array[5:15, 12:18, 6:22] = 2
    segmentation = add_result(result, node).segmentation
    pixels = pixels_of(render_scene(node, segmentation, tmp_path / "p.png", size=(800, 500)))
    assert pixels.shape == (500, 800, 3)
    views = {"axial": pixels[:248, :299], "sagittal": pixels[:248, 301:600], "coronal": pixels[252:, :299]}
    assert near(views["axial"], (0.9, 0.4, 0.2)).any()
    assert near(views["axial"], (0.2, 0.4, 0.9)).any()
    # Anterior is up in the axial view and left in the sagittal one: the second segment lies in front.
    rows = [np.nonzero(near(views["axial"], color))[0].mean() for color in ((0.9, 0.4, 0.2), (0.2, 0.4, 0.9))]
    assert rows[1] < rows[0]
    columns = [np.nonzero(near(views["sagittal"], color))[1].mean() for color in ((0.9, 0.4, 0.2), (0.2, 0.4, 0.9))]
    assert columns[1] < columns[0]
    surfaces = pixels[252:, 301:520]  # without the cube in the corner
    assert (surfaces[..., 0] > surfaces[..., 2] + 40).sum() > 500
    assert (surfaces[..., 2] > surfaces[..., 0] + 40).sum() > 500
    assert not segmentation.GetSegmentation().ContainsRepresentation("Closed surface")


@needs_opengl
def test_patients_right_is_on_the_left(make_volume_node, make_labelmap, a_provenance, tmp_path):
    node = make_volume_node(np.zeros((20, 20, 20), np.int16), np.diag([3.0, 3, 3, 1]))
    result = Result((make_labelmap(volume_from_node(node)),), a_provenance)
    result.labelmap.array[:] = 0
    result.labelmap.array[8:12, 8:12, 2:6] = 1  # low i: patient's left
    result.labelmap.array[8:12, 8:12, 14:18] = 2  # high i: patient's right
    pixels = pixels_of(render_scene(node, add_result(result, node).segmentation, tmp_path / "p.png", size=(800, 500)))
    for view in (pixels[:248, :299], pixels[252:, :299]):
        left = np.nonzero(near(view, (0.9, 0.4, 0.2)))[1].mean()
        right = np.nonzero(near(view, (0.2, 0.4, 0.9)))[1].mean()
        assert right < left


@needs_opengl
def test_picture_into_an_impossible_folder_is_a_write_error(a_volume_node, a_result, blocked_folder):
    segmentation = add_result(a_result, a_volume_node).segmentation
    with pytest.raises(WriteError, match=r"p\.png"):
        render_scene(a_volume_node, segmentation, blocked_folder / "p.png", size=(200, 150))


@needs_opengl
def test_segmentation_without_voxels_is_drawn_too(a_volume_node, a_result, tmp_path):
    a_result.labelmap.array[:] = 0
    segmentation = add_result(a_result, a_volume_node).segmentation
    assert render_scene(a_volume_node, segmentation, tmp_path / "p.png", size=(200, 150)).stat().st_size > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere OpenGL belongs to the system")
def test_missing_opengl_names_the_package(monkeypatch):
    from medai.mrml import system

    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(system, "_loads", lambda name: False)
    assert "sudo apt-get install libegl1" in (missing_system_libraries() or "")
