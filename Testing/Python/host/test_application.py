"""The application around a module: its life, dialogs, errors, settings, files, and what is not there."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

import SlicerHost


def test_a_module_lives_as_in_slicer(a_module_file):
    with SlicerHost.start() as host:
        widget = host.load_module(a_module_file).self()
        host.leave_module()
        host.select_module("Sample")
        host.close_scene()
        life = widget.life
    assert life == ["setup", "enter", "exit", "enter", "start close", "end close", "exit", "cleanup"]


def test_the_module_describes_itself(a_slicer, a_module_file):
    import slicer

    a_slicer.load_module(a_module_file)
    module = slicer.modules.sample
    assert (module.title, module.categories, module.path) == ("A sample", ["Examples"], str(a_module_file))
    assert slicer.util.modulePath("Sample") == str(a_module_file)
    assert slicer.util.getModuleWidget("Sample") is slicer.modules.SampleWidget


def test_startup_is_completed_once(a_slicer, a_module_file, tmp_path):
    import slicer

    a_slicer.load_module(a_module_file)
    slicer.app.completeStartup()
    assert slicer.modules.SampleInstance.started == 1


def test_its_panel_is_made_when_it_is_opened(a_slicer, a_module_file):
    import slicer

    assert a_slicer.load_module(a_module_file, open_it=False) is None
    assert not hasattr(slicer.modules, "SampleWidget")
    slicer.util.selectModule("Sample")
    assert slicer.modules.SampleWidget.life == ["setup", "enter"]


def test_a_module_class_may_only_set_what_a_module_has(a_slicer, a_module_file):
    text = a_module_file.read_text(encoding="utf-8").replace("parent.categories", "parent.category")
    a_module_file.write_text(text, encoding="utf-8")
    with pytest.raises(SlicerHost.NotImitated, match="category"):
        a_slicer.load_module(a_module_file)


def test_a_module_s_self_test_runs(a_slicer, a_module_file):
    import slicer

    a_slicer.load_module(a_module_file)
    slicer.selfTests["Sample"](msec=0)
    assert sys.modules["Sample"].SampleTest.ran == 1


def test_the_logic_is_importable_as_in_the_console(a_slicer, a_module_file):
    a_slicer.load_module(a_module_file)
    from Sample import SampleLogic

    assert SampleLogic().moduleName == "Sample"


def test_afterwards_nothing_of_slicer_is_left(a_module_file):
    import slicer

    with SlicerHost.start() as host:
        host.load_module(a_module_file)
        folder = str(a_module_file.parent)
        assert folder in sys.path
    names = ("app", "modules", "mrmlScene", "qMRMLNodeComboBox", "ScriptedLoadableModule")
    assert not any(hasattr(slicer, name) for name in names)
    assert importlib.util.find_spec("slicer.ScriptedLoadableModule") is None
    assert not {"qt", "ctk", "Sample", "SampleData"} & set(sys.modules)
    assert folder not in sys.path


def test_it_starts_again_with_an_empty_scene(a_module_file):
    with SlicerHost.start() as host:
        host.load_module(a_module_file)
        host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    with SlicerHost.start() as host:
        assert host.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
        assert host.load_module(a_module_file).self().life == ["setup", "enter"]


def test_there_is_only_one_at_a_time(a_slicer):
    with pytest.raises(RuntimeError, match="Another"):
        SlicerHost.start()


def test_a_folded_box_hides_its_contents(a_panel, a_slicer):
    ui = a_panel.ui
    assert (ui.logCollapsibleButton.collapsed, ui.logTextEdit.visible) == (True, False)
    ui.logCollapsibleButton.collapsed = False
    a_slicer.process_events()
    assert ui.logTextEdit.visible
    folded = []
    ui.logCollapsibleButton.connect("contentsCollapsed(bool)", folded.append)
    ui.logCollapsibleButton.setCollapsed(True)
    assert (folded, ui.logTextEdit.visible) == ([True], False)


def test_the_panel_has_its_picture_taken(a_panel, a_slicer, tmp_path):
    import qt

    path = a_slicer.grab(a_panel.parent, tmp_path / "panel.png", width=400)
    picture = qt.QImage(str(path))
    assert picture.width() == 400
    colours = {picture.pixel(x, y) for x in range(0, 400, 3) for y in range(0, picture.height(), 3)}
    assert len(colours) > 10


def test_an_error_is_shown_to_the_person(a_panel, a_slicer):
    a_panel.ui.applyButton.click()
    with pytest.raises(ValueError, match="There is no volume"):
        a_slicer.process_events()
    shown = a_slicer.person.saw[-1]
    assert (shown.kind, shown.text) == ("critical", "It failed.\n\nThere is no volume.")
    assert "ValueError" in shown.details


def test_an_error_in_a_slot_is_not_lost():
    host = SlicerHost.start()
    import qt
    import slicer

    qt.QTimer.singleShot(0, lambda: 1 / 0)
    slicer.app.processEvents()
    with pytest.raises(ZeroDivisionError):
        host.stop()


@pytest.mark.parametrize(("button", "agreed"), [("Ok", True), ("Cancel", False)])
def test_a_person_answers_a_question(a_slicer, button, agreed):
    import qt
    import slicer

    a_slicer.person.will_answer(getattr(qt.QMessageBox, button))
    assert slicer.util.confirmOkCancelDisplay("Install 200 MB?", "First use") is agreed
    shown = a_slicer.person.saw[-1]
    assert (shown.kind, shown.title, shown.text) == ("question", "First use", "Install 200 MB?")
    assert set(shown.buttons) == {"OK", "Cancel"}


def test_a_question_without_an_answer_fails(a_slicer):
    import slicer

    with pytest.raises(SlicerHost.Unanswered, match="Go on"):
        slicer.util.confirmYesNoDisplay("Go on?")


def test_a_person_handles_a_dialog_of_the_module_s_own(a_slicer):
    import qt

    dialog = qt.QDialog()
    layout = qt.QVBoxLayout(dialog)
    button = qt.QPushButton("Agree")
    layout.addWidget(qt.QLabel("Read this"))
    layout.addWidget(button)
    button.connect("clicked()", dialog.accept)
    a_slicer.person.will_answer(lambda shown: shown.findChild(qt.QPushButton).click())
    assert dialog.exec_() == qt.QDialog.Accepted
    assert a_slicer.person.saw[-1].text == "Read this"


def test_a_person_chooses_a_file(a_slicer):
    import qt

    a_slicer.person.will_answer("model.zip")
    assert qt.QFileDialog.getOpenFileName(None, "Import a model") == "model.zip"


def test_in_testing_mode_nobody_is_asked():
    with SlicerHost.start(testing=True) as host:
        import slicer

        slicer.util.confirmOkCancelDisplay("Install?")
        slicer.util.errorDisplay("It failed.")
        assert host.person.saw == []


def test_the_scene_is_a_real_one(a_slicer, tmp_path):
    import slicer

    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    node = slicer.util.addVolumeFromArray(voxels, name="head")
    path = tmp_path / "head.nrrd"
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(str(path))
    assert node.GetStorageNode().WriteData(node)
    a_slicer.close_scene()
    again = slicer.util.loadVolume(str(path))
    assert np.array_equal(slicer.util.arrayFromVolume(again), voxels)
    assert slicer.util.getNode("head") is again


def test_a_segment_is_written_through_slicer_s_own_logic(a_slicer):
    import slicer

    volume = slicer.util.addVolumeFromArray(np.zeros((4, 4, 4), np.int16))
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = segmentation.GetSegmentation().AddEmptySegment("a")
    mask = np.zeros((4, 4, 4), np.uint8)
    mask[1:3, 1:3, 1:3] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment, volume)
    assert slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment, volume).sum() == 8


@pytest.mark.parametrize(
    "ask",
    [
        lambda slicer: slicer.app.pythonConsole(),
        lambda slicer: slicer.app.slicerHome,
        lambda slicer: slicer.modules.dicom,
        lambda slicer: slicer.cli.run,
        lambda slicer: slicer.qMRMLSliceWidget(),
        lambda slicer: slicer.app.layoutManager().setLayout(4),
        lambda slicer: slicer.util.pip_install("a-package"),
    ],
)
def test_what_is_not_imitated_says_so(a_slicer, ask):
    import slicer

    with pytest.raises(SlicerHost.NotImitated, match="not imitated"):
        ask(slicer)


def test_a_layout_without_views_answers_truly(a_slicer):
    import slicer

    slicer.util.setSliceViewerLayers(background=None, fit=True)
    slicer.util.resetThreeDViews()
    assert slicer.app.layoutManager().threeDViewCount == 0


def test_a_widget_that_is_not_imitated_is_named(a_slicer, a_module_file):
    ui = a_module_file.parent / "Resources" / "UI" / "Sample.ui"
    ui.write_text(ui.read_text().replace('"QPlainTextEdit"', '"ctkConsole"'))
    with pytest.raises(SlicerHost.NotImitated, match="ctkConsole"):
        a_slicer.load_module(a_module_file)


def test_a_property_that_a_widget_lacks_is_named(a_slicer, a_module_file):
    ui = a_module_file.parent / "Resources" / "UI" / "Sample.ui"
    ui.write_text(ui.read_text().replace('"noneEnabled"', '"nothingEnabled"'))
    with pytest.raises(SlicerHost.NotImitated, match=r"qMRMLNodeComboBox\.nothingEnabled"):
        a_slicer.load_module(a_module_file)


def test_a_broken_connection_in_the_ui_file_is_found(a_slicer, a_module_file):
    ui = a_module_file.parent / "Resources" / "UI" / "Sample.ui"
    ui.write_text(ui.read_text().replace("<receiver>volumeSelector", "<receiver>imageSelector"))
    with pytest.raises(ValueError, match="imageSelector"):
        a_slicer.load_module(a_module_file)


def test_sample_data_loads_from_a_file_and_never_from_the_net(a_slicer, tmp_path):
    import SampleData
    import SimpleITK
    import slicer

    path = tmp_path / "small.nrrd"
    SimpleITK.WriteImage(SimpleITK.Image(4, 5, 6, SimpleITK.sitkInt16), str(path))
    checksum = f"SHA256:{slicer.util.computeChecksum('SHA256', str(path))}"
    register = SampleData.SampleDataLogic.registerCustomSampleDataSource
    sample = {"category": "MedAI", "fileNames": "small.nrrd", "nodeNames": "Small"}
    register(sampleName="Near", uris=path.as_uri(), checksums=checksum, **sample)
    register(sampleName="Altered", uris=path.as_uri(), checksums="SHA256:" + 64 * "0", **sample)
    register(sampleName="Far", uris="https://example.org/small.nrrd", **sample)
    node = SampleData.downloadSample("Near")
    assert (node.GetName(), node.GetImageData().GetDimensions()) == ("Small", (4, 5, 6))
    with pytest.raises(ValueError, match="checksum"):
        SampleData.downloadSample("Altered")
    with pytest.raises(SlicerHost.NotImitated, match=r"example\.org"):
        SampleData.downloadSample("Far")


def test_sample_data_has_no_more_fields_than_slicer_s(a_slicer):
    import SampleData

    register = SampleData.SampleDataLogic.registerCustomSampleDataSource
    with pytest.raises(TypeError, match="sampleDescription"):
        register(sampleName="Head", sampleDescription="A head", uris="https://example.org/head.nrrd")


def test_a_panel_reaches_down_to_the_bottom_of_the_window(a_panel, a_slicer):
    a_panel.parent.setMinimumSize(300, 1200)
    a_slicer.process_events()
    assert a_panel.ui.Sample.height > 1100


def test_packages_that_are_there_are_not_installed(a_slicer):
    import slicer.packaging

    slicer.packaging.pip_ensure(["numpy>=1"])
    assert slicer.packaging.pip_check("numpy>=1")
    assert a_slicer.person.saw == []


def test_packages_that_are_missing_go_to_the_test_s_installer(a_slicer, monkeypatch):
    import qt
    import slicer.packaging

    installed = []
    monkeypatch.setattr(slicer.packaging, "installer", installed.extend)
    a_slicer.person.will_answer(qt.QMessageBox.Cancel, qt.QMessageBox.Ok)
    with pytest.raises(RuntimeError, match="Declined"):
        slicer.packaging.pip_ensure(["no-such-package>=2"], requester="MedAI")
    slicer.packaging.pip_ensure(["no-such-package>=2"], requester="MedAI")
    assert installed == ["no-such-package>=2"]
    assert a_slicer.person.saw[0].title == "MedAI"


def test_waiting_for_something_that_never_comes_ends(a_slicer):
    with pytest.raises(TimeoutError):
        a_slicer.process_events(0.05, until=lambda: False)
