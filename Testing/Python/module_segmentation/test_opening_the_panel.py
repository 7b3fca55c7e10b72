"""The panel before anything runs: light, complete, honest about models and images."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]


def in_a_fresh_slicer(code: str, *, without: set[str]) -> str:
    """Run code on the stand-in in a new process in which packages cannot be imported."""
    program = f"""
        import sys
        from importlib.machinery import PathFinder
        sys.path[:0] = [{str(ROOT / "SlicerMedAI")!r}, {str(ROOT / "Testing")!r}]
        class Without(PathFinder):
            @classmethod
            def find_spec(cls, name, path=None, target=None):
                return None if name.split(".")[0] in {without!r} else super().find_spec(name, path, target)
        sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
        import SlicerHost
        with SlicerHost.start() as host:
            panel = host.load_module({str(ROOT / "SlicerMedAI/MedAISegmentation/MedAISegmentation.py")!r}).self()
            {code}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_opening_the_panel_imports_nothing_that_slicer_does_not_ship(a_models_folder, monkeypatch):
    """A fresh Slicer has none of these; opening the panel must neither need nor load them."""
    monkeypatch.setenv("MEDAI_MODELS", str(a_models_folder))
    absent = {"torch", "monai", "nibabel", "psutil", "yaml", "platformdirs", "typer", "rich", "safetensors", "ignite"}
    said = in_a_fresh_slicer(
        "import medai; print(panel.ui.modelComboBox.enabled, [m.title for m in medai.models()])", without=absent
    )
    assert said.startswith("True")
    assert "Tiny blobs" in said


def test_opening_the_panel_leaves_torch_alone_where_it_is_installed(a_models_folder, monkeypatch):
    monkeypatch.setenv("MEDAI_MODELS", str(a_models_folder))
    said = in_a_fresh_slicer("print([n for n in ('torch', 'monai', 'psutil') if n in sys.modules])", without=set())
    assert said.strip() == "[]"


def test_the_module_presents_itself(a_slicer, a_panel):
    module = a_panel.representation.module()
    assert module.title == "MedAI Segmentation"
    assert module.categories == ["MedAI"]
    assert module.contributors == ["SlicerMedAI developers"]
    assert "Apply" in module.helpText
    assert "MONAI" in module.acknowledgementText
    assert not module.icon.isNull()


def test_the_module_registers_sample_data_with_a_pinned_checksum(a_slicer, a_panel):
    import SampleData

    source = SampleData.SampleDataLogic().sourceForSampleName("MedAI: head MR (T1)")
    assert Path(source.thumbnailFileName).is_file()
    digest = source.checksums[0].removeprefix("SHA256:")
    assert len(digest) == 64
    assert source.uris[0].endswith(digest)


def test_an_image_in_the_scene_is_chosen_at_once(an_mr_node, a_panel):
    assert a_panel.ui.inputSelector.currentNode() is an_mr_node


def test_apply_waits_for_an_image_and_says_so(a_panel):
    assert not a_panel.ui.applyButton.enabled
    assert "image" in a_panel.ui.applyButton.toolTip


def test_the_card_tells_what_a_model_is_for_and_how_to_cite_it(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    card = a_panel.ui.modelInfoLabel.text
    for text in (
        "Finds blobs that are not there",
        "Not for diagnosis",
        "MR",
        "Core, Rim",
        "CC0",
        "Journal of Random Weights",
    ):
        assert text in card


def test_texts_of_a_model_cannot_smuggle_markup_into_the_panel(a_slicer):
    from MedAISegmentationLib import cards

    from medai.bundles.description import Description

    model = Description("x", Path(), text="<img src='http://evil'>", citation="<a href='file:///etc'>click</a>")
    assert "<img" not in cards.modelCard(model)
    assert "<a" not in cards.modelCard(model)


@pytest.mark.parametrize("words", ["blobs slowly", "SLOWLY", "windows many", "rim slowly", "mr not there slowly"])
def test_models_are_found_by_any_word_about_them(a_panel, words):
    assert a_panel.widget.models.search(words) == ["Tiny blobs, slowly"]


def test_enter_takes_the_first_model_found(an_mr_node, a_panel):
    a_panel.type_model("slowly")
    assert a_panel.ui.modelComboBox.currentText == "Tiny blobs, slowly"
    assert a_panel.widget._parameterNode.model == "tiny_blobs_in_many_windows"


def test_text_that_fits_no_model_gives_way_to_the_one_chosen_before(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.type_model("a model of the left earlobe")
    assert a_panel.ui.modelComboBox.lineEdit().text == "Tiny blobs"
    assert a_panel.widget._parameterNode.model == "tiny_blobs"


def test_an_image_of_another_kind_is_warned_about_and_allowed(an_mr_node, a_ct_node, a_panel):
    a_panel.choose(an_mr_node)
    assert not a_panel.ui.warningLabel.visible
    a_panel.choose(a_ct_node)
    assert a_panel.ui.warningLabel.visible
    assert "computed tomography" in a_panel.ui.warningLabel.text
    assert a_panel.ui.applyButton.enabled


def test_an_image_that_cannot_be_used_at_all_says_why(a_slicer, a_panel):
    import slicer

    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Nothing in it")
    a_panel.choose(empty)
    assert "holds no voxels" in a_panel.ui.warningLabel.text


def test_unchecking_a_structure_is_kept_in_the_scene_and_survives_the_click(an_mr_node, a_panel):
    import qt

    a_panel.choose(an_mr_node)
    a_panel.ui.segmentListWidget.item(1).setCheckState(qt.Qt.Unchecked)
    a_panel.host.process_events()
    assert list(a_panel.widget._parameterNode.excludedSegments) == ["Rim"]
    assert a_panel.ui.segmentListWidget.item(1).checkState() == qt.Qt.Unchecked


def test_without_any_structure_apply_is_not_offered(an_mr_node, a_panel):
    import qt

    a_panel.choose(an_mr_node)
    for row in range(2):
        a_panel.ui.segmentListWidget.item(row).setCheckState(qt.Qt.Unchecked)
    a_panel.host.process_events()
    assert not a_panel.ui.applyButton.enabled
    assert "structure" in a_panel.ui.applyButton.toolTip


def test_another_model_brings_all_of_its_structures(an_mr_node, a_panel):
    import qt

    a_panel.choose(an_mr_node)
    a_panel.ui.segmentListWidget.item(0).setCheckState(qt.Qt.Unchecked)
    a_panel.type_model("slowly")
    assert list(a_panel.widget._parameterNode.excludedSegments) == []
    assert a_panel.ui.segmentListWidget.item(0).checkState() == qt.Qt.Checked


def test_the_device_is_chosen_by_a_name_and_explained(an_mr_node, a_panel):
    from MedAISegmentation import Device

    texts = [a_panel.ui.deviceComboBox.itemText(row) for row in range(a_panel.ui.deviceComboBox.count)]
    assert texts == ["Automatic", "Processor (CPU)", "Graphics card (GPU)"]
    assert "expected" in a_panel.ui.deviceReasonLabel.text
    a_panel.ui.deviceComboBox.setCurrentIndex(1)
    assert a_panel.widget._parameterNode.device is Device.CPU
    assert "Chosen by you" in a_panel.ui.deviceReasonLabel.text


def test_a_slicer_that_is_too_old_says_so_instead_of_failing(a_slicer, monkeypatch):
    import qt
    from MedAISegmentationLib import widget

    monkeypatch.setattr(widget, "OLDEST_PYTHON", (99, 0))
    representation = a_slicer.load_module(ROOT / "SlicerMedAI/MedAISegmentation/MedAISegmentation.py")
    assert [label.text for label in representation.findChildren(qt.QLabel)] == ["MedAI needs Slicer 5.10 or newer."]
    a_slicer.leave_module()


def test_label_maps_are_not_offered_as_images(a_slicer, a_panel):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    slicer.util.updateVolumeFromArray(node, np.ones((4, 4, 4), np.uint8))
    assert a_panel.ui.inputSelector.nodeCount() == 0


def test_every_widget_of_the_ui_file_that_shows_a_parameter_is_connected(a_slicer, a_panel):
    import qt

    from MedAISegmentation import MedAISegmentationParameterNode

    shown = {w.property("SlicerParameterName") for w in a_panel.representation.findChildren(qt.QWidget)} - {None}
    assert shown == {"inputNode", "region", "outputSegmentation", "show3D", "device", "backend", "tta"}
    assert shown | {"model", "excludedSegments", "furtherInputs"} == set(MedAISegmentationParameterNode.allParameters)
