"""The same comparison from Python, from a scene and from the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import medai
from medai.errors import BundleError, GeometryError, InputError, JobCancelled, NothingToSeeError
from medai.files import read, write
from medai.result import Labelmap, Segment
from medai.volume import Series, Volume
from small_bundles import RECIPES, write_bundle
from small_restorers import denoiser

GRID = np.array([[-4.0, 0, 0, 88], [0, 4, 0, -100], [0, 0, 5, -70], [0, 0, 0, 1]])
SHAPE = (29, 51, 45)
LESION = (-33.0, -20.0, 10.0, 10.0)


@pytest.fixture
def visits(a_head) -> tuple[Volume, Volume]:
    """Before and after, with a new lesion; on the same grid."""
    return (
        a_head(GRID, SHAPE, seed=1, noise=2, day=date(2020, 1, 1)),
        a_head(GRID, SHAPE, seed=2, noise=2, day=date(2021, 1, 1), lesions=(LESION,)),
    )


@pytest.fixture(scope="module")
def a_model(tmp_path_factory) -> Path:
    """Finds tissue (brighter than 50) and plaques (than 140)."""
    recipe = replace(
        RECIPES["threshold"],
        labels={"0": "background", "1": "tissue", "2": "plaque"},
        scale_and_offset=((0, 0), (1, -50), (2, -190)),
    )
    return write_bundle(tmp_path_factory.mktemp("models") / "plaques", recipe)


def compared(*images, **choices):
    return medai.change(*images, in_process=True, align=False, **choices)


def test_a_result_has_lesions_a_difference_tables_and_its_provenance(visits):
    result = compared(*visits)
    assert result.table.columns["Change"] == ("new",)
    assert result.volume.name == "FLAIR difference"
    assert result.labelmap.volumes_ml()["lesion new"] == pytest.approx(result.table.columns["Volume change (mL)"][0])
    assert result.items[-1].columns["Days"] == (0.0, 366.0)
    assert result.provenance.task == "change"
    assert result.provenance.parameters["align"] == "False"


def test_visits_may_be_a_series_in_any_order(visits):
    result = medai.change(Series((visits[1], visits[0])), in_process=True, align=False)
    assert result.table.columns["Change"] == ("new",)


def test_dates_that_are_typed_in_put_images_in_order(visits):
    undated = [replace(visit, date=None) for visit in visits]
    result = compared([undated[1], undated[0]], dates=["2022-01-01", "2020-01-01"])
    assert result.table.columns["Change"] == ("new",)


def test_the_wrong_order_is_said_aloud(visits):
    result = compared(visits[1], visits[0])
    assert result.table.columns["Change"] == ("gone",)
    assert any("is of 2021-01-01, after 2020-01-01" in note for note in result.provenance.notes)


def test_lesions_may_be_labelmaps(visits):
    def labelled(block: slice) -> Labelmap:
        array = np.zeros(SHAPE, np.uint8)
        array[10:12, 20:24, block] = 3
        return Labelmap(array, GRID, (Segment("lesion", 3),))

    result = compared(*visits, lesions=(labelled(slice(20, 22)), labelled(slice(20, 26))))
    assert result.table.columns["Change"] == ("grown",)
    assert result.table.columns["Before (mL)"] == pytest.approx((16 * 0.08,))
    assert result.table.columns["After (mL)"] == pytest.approx((48 * 0.08,))


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"threshold": -1}, "above 0"),
        ({"appearance": "dark"}, "bright, any"),
        ({"lesions": (None,)}, "lesion masks"),
        ({"colour": "x"}, "cannot be chosen"),
    ],
)
def test_bad_choices_are_refused_before_anything_slow(visits, choices, says):
    with pytest.raises(InputError, match=says):
        compared(*visits, **choices)


def test_one_image_is_refused(visits):
    with pytest.raises(InputError, match="one visit only"):
        compared(visits[0])


def test_an_empty_image_is_refused(visits):
    empty = replace(visits[0], array=np.zeros(SHAPE, np.float32))
    with pytest.raises(NothingToSeeError):
        compared(empty, visits[1])


def test_the_same_image_twice_is_refused(visits):
    with pytest.raises(NothingToSeeError, match="same image"):
        compared(visits[0], replace(visits[0], date=date(2022, 1, 1)))


def test_colours_are_refused(visits):
    coloured = replace(visits[0], array=np.stack([visits[0].array] * 3, axis=-1))
    with pytest.raises(InputError, match="3 values per voxel"):
        compared(coloured, visits[1])


def test_a_picture_is_refused(visits):
    flat = replace(visits[0], array=visits[0].array[:1])
    with pytest.raises(InputError, match="fewer than four slices"):
        compared(flat, visits[1])


def test_images_that_show_different_places_are_refused(visits):
    noise = replace(visits[0], array=np.random.default_rng(0).random(SHAPE).astype(np.float32))
    with pytest.raises(GeometryError, match="too little in common"):
        medai.change(noise, visits[1], in_process=True)


def test_different_kinds_of_image_are_refused(visits):
    with pytest.raises(InputError, match="One is a CT image, the other a MR image"):
        compared(replace(visits[0], modality="CT"), visits[1])


def test_voxels_that_are_no_numbers_do_no_harm(visits):
    array = visits[0].array.copy()
    array[:2] = np.nan
    array[5, 5, 5] = np.inf
    result = compared(replace(visits[0], array=array), visits[1])
    assert result.table.columns["Change"] == ("new",)
    assert np.isfinite(result.volume.array).all()


def test_cancelling_ends_it(visits):
    def stop(progress):
        if progress.stage == "Comparing":
            raise JobCancelled("Stopped.")

    with pytest.raises(JobCancelled):
        compared(*visits, on_progress=stop)


def test_a_worker_gives_the_same(visits):
    here = compared(*visits)
    there = medai.change(*visits, align=False)
    np.testing.assert_array_equal(here.volume.array, there.volume.array)


def test_nodes_get_their_result_beside_the_second_visit(visits):
    pytest.importorskip("slicer")
    from medai import mrml
    from medai.mrml.volumes import fill_volume_node

    scene = mrml.create_scene()
    nodes = []
    for visit, name in zip(visits, ("January 2020-01-01", "June 2021-06-01"), strict=True):
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        fill_volume_node(node, visit.array, visit.affine)
        nodes.append(node)
    added = compared(*nodes)
    assert added.segmentation.GetName() == "June 2021-06-01 lesion change"
    assert [table.GetName() for table in added.tables] == [
        "June 2021-06-01 lesion changes",
        "June 2021-06-01 motion between visits",
    ]
    assert added.volumes[0].GetName() == "June 2021-06-01 difference"
    np.testing.assert_allclose(mrml.volume_from_node(added.volumes[0]).affine, GRID)
    from_list = compared(nodes[::-1])
    assert from_list.segmentation.GetName().startswith("June 2021-06-01 lesion change")


def test_the_last_two_visits_of_a_sequence_are_compared(visits):
    slicer = pytest.importorskip("slicer")
    from medai import mrml
    from medai.mrml.volumes import fill_volume_node

    scene = mrml.create_scene()
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "visits")
    for visit, day in zip((visits[1], *visits), ("2010-01-01", "2020-01-01", "2021-01-01"), strict=True):
        frame = slicer.vtkMRMLScalarVolumeNode()
        fill_volume_node(frame, visit.array, visit.affine)
        sequence.SetDataNodeAtValue(frame, day)
    added = compared(sequence)
    assert added.tables[0].GetTable().GetValueByName(0, "Change").ToString() == "new"
    np.testing.assert_allclose(mrml.volume_from_node(added.volumes[0]).affine, GRID)


def test_the_command_writes_everything_into_a_folder(visits, tmp_path):
    from medai.cli import app

    study = tmp_path / "patient"
    for visit in visits:
        (study / str(visit.date)).mkdir(parents=True)
        write(visit, study / str(visit.date) / "flair.nii.gz")
    out = tmp_path / "out"
    ran = CliRunner().invoke(app, ["change", str(study), "-o", str(out), "--no-align", "--json", "--quiet"])
    assert ran.exit_code == 0, ran.output
    record = json.loads(ran.stdout)
    assert [lesion["Change"] for lesion in record["lesions"]] == ["new"]
    assert {path.name for path in out.iterdir()} >= {
        "lesion_change.seg.nrrd",
        "difference.nii.gz",
        "lesion_changes.csv",
        "motion.csv",
    }
    assert read(out / "difference.nii.gz").array.max() > 6
    spoken = CliRunner().invoke(
        app, ["change", *(str(study / str(v.date) / "flair.nii.gz") for v in visits), "-o", str(out), "--no-align"]
    )
    assert "new" in spoken.stdout
    assert "mL at R -" in spoken.stdout
    motion = (out / "motion.csv").read_text(encoding="utf-8-sig")
    assert all(str(visit.date) in motion for visit in visits)  # told by the folders' names


def test_the_command_explains_what_it_cannot_use(tmp_path):
    from medai.cli import app

    (tmp_path / "empty").mkdir()
    ran = CliRunner().invoke(app, ["change", str(tmp_path / "empty"), "-o", str(tmp_path / "out")])
    assert ran.exit_code == 3
    assert "holds no image" in ran.output


def test_the_command_says_that_its_folder_cannot_be_made(tmp_path):
    from medai.cli import app

    (tmp_path / "out").write_text("a file")
    ran = CliRunner().invoke(app, ["change", str(tmp_path), "-o", str(tmp_path / "out")])
    assert ran.exit_code == 5
    assert "cannot be made" in ran.output


def found(result):
    return [result.table.columns[title] for title in ("Structure", "Change", "Volume change (mL)")]


def test_a_model_finds_what_is_compared(visits, a_model):
    stages = []
    result = compared(*visits, model=a_model, on_progress=lambda step: stages.append(step.stage), device="cpu")
    rows = {name: (kind, change) for name, kind, change in zip(*found(result), strict=True)}
    assert rows["plaque"][0] == "new"
    assert rows["plaque"][1] == pytest.approx(4 / 3 * np.pi, rel=0.3)  # a ball of 10 mm
    assert rows["tissue"][0] == "unchanged"
    assert {segment.name for segment in result.labelmap.segments} == {"plaque new", "tissue unchanged"}
    assert {"Segmenting the earlier visit", "Segmenting the later visit", "Comparing"} <= set(stages)
    assert result.provenance.bundle == "plaques"
    assert result.provenance.digest
    assert not any("No network is needed" in text for text in result.provenance.attributes().values())


def test_a_model_in_a_worker_gives_the_same(visits, a_model):
    there = medai.change(*visits, model=a_model, align=False, device="cpu")
    here = compared(*visits, model=a_model, device="cpu")
    np.testing.assert_array_equal(there.labelmap.array, here.labelmap.array)
    assert found(there) == found(here)


def test_a_model_that_finds_nothing_says_so(visits, a_model):
    dark = [replace(visit, array=visit.array * 0.2) for visit in visits]
    result = compared(*dark, model=a_model)
    assert result.table.columns["Change"] == ()
    assert any("found nothing at either visit" in note for note in result.provenance.notes)


def test_cancelling_ends_the_segmentation_of_a_visit(visits, a_model):
    def cancel(step):
        if step.stage == "Segmenting the later visit":
            raise JobCancelled("cancelled", "asked for", "none")

    with pytest.raises(JobCancelled):
        compared(*visits, model=a_model, on_progress=cancel)


def test_a_model_that_does_not_segment_is_refused(visits, tmp_path):
    with pytest.raises(BundleError, match="not for segmentation"):
        compared(*visits, model=write_bundle(tmp_path / "denoiser", denoiser()))
    with pytest.raises(BundleError):
        compared(*visits, model="nowhere_to_be_found")


def test_what_is_compared_is_told_once(visits, a_model):
    masks = tuple(replace(visit, array=(visit.array > 140).astype(np.uint8)) for visit in visits)
    with pytest.raises(InputError, match="given twice"):
        compared(*visits, model=a_model, lesions=masks)
    with pytest.raises(InputError, match="where a model looks"):
        compared(*visits, region="auto")


def test_the_command_compares_what_a_model_finds(visits, a_model, tmp_path):
    from medai.cli import app

    files = [tmp_path / f"{visit.date}.nii.gz" for visit in visits]
    for visit, file in zip(visits, files, strict=True):
        write(visit, file)
    asked = ["change", *map(str, files), "-m", str(a_model), "-o", str(tmp_path / "out"), "--no-align"]
    ran = CliRunner().invoke(app, [*asked, "--device", "cpu"])
    assert ran.exit_code == 0, ran.output
    assert "plaque new" in ran.stdout
    assert "tissue unchanged" in ran.stdout


@pytest.mark.parametrize("name", ["visits.csv", "visits.tsv", "visits.xlsx"])
def test_a_table_is_sent_to_where_tables_belong(tmp_path, name):
    from medai.cli import app

    (tmp_path / name).write_text("Subject ID,Date,Volume\na,2020-01-01,3\na,2021-01-01,2\n")
    ran = CliRunner().invoke(app, ["change", str(tmp_path / name), "-o", str(tmp_path / "out")])
    assert ran.exit_code == 3
    assert "is a table" in ran.output
    assert "medai forecast" in ran.output
