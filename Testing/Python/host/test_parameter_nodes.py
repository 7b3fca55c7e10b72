"""Typed parameter nodes: kept in the scene, bound to widgets."""

import enum
import pathlib
import textwrap
from typing import Annotated, Optional, Union

import pytest

import SlicerHost


class Device(enum.Enum):
    CPU = "cpu"
    GPU = "gpu"


@pytest.fixture
def a_node(a_slicer):
    return a_slicer.scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


@pytest.fixture
def parameters(a_node):
    """A parameter node wrapper with one member of each type."""
    import slicer
    from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Everything:
        text: str = "abc"
        count: int
        size: Annotated[float, WithinRange(0, 10)] = 1.5
        flag: bool = True
        path: pathlib.Path
        device: Device = Device.GPU
        method: Annotated[str, Choice(["a", "b"]), Default("b")]
        names: list[str]
        volume: slicer.vtkMRMLScalarVolumeNode
        maybe: Optional[int]  # noqa: UP045
        image: Union[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLModelNode, None]  # noqa: UP007

    return Everything(a_node)


def test_defaults_are_in_the_node_from_the_start(parameters, a_node):
    assert (parameters.text, parameters.count, parameters.size, parameters.flag) == ("abc", 0, 1.5, True)
    assert (parameters.device, parameters.method, parameters.names) == (Device.GPU, "b", [])
    assert (parameters.volume, parameters.maybe, parameters.image) == (None, None, None)
    assert a_node.GetParameter("text") == "abc"


def test_values_lie_in_the_node_as_slicer_writes_them(parameters, a_node):
    parameters.flag = False
    parameters.device = Device.CPU
    parameters.names = ["x", "y"]
    parameters.maybe = 4
    stored = {name: a_node.GetParameter(name) for name in a_node.GetParameterNames()}
    expected = {"flag": "False", "device": "CPU", "names.len": "2", "names.0": "x", "names.1": "y", "maybe.0": "4"}
    assert expected.items() <= stored.items()
    assert "maybe.1" not in stored


def test_another_view_on_the_node_sees_the_same(parameters, a_node):
    parameters.text = "new"
    parameters.path = pathlib.Path("a") / "b"
    other = type(parameters)(a_node)
    assert (other.text, other.path) == ("new", pathlib.Path("a") / "b")


def test_a_view_follows_changes_of_the_node(parameters, a_node):
    a_node.SetParameter("text", "from elsewhere")
    assert parameters.text == "from elsewhere"


def test_nodes_are_references(parameters, a_node, a_slicer):
    volume = a_slicer.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    model = a_slicer.scene.AddNewNodeByClass("vtkMRMLModelNode")
    parameters.volume = volume
    parameters.image = model
    assert (parameters.volume, parameters.image) == (volume, model)
    assert a_node.GetNodeReferenceID("volume") == volume.GetID()
    assert a_node.GetNodeReferenceID("image.1") == model.GetID()
    parameters.image = None
    assert parameters.image is None
    assert a_node.GetNodeReferenceID("image.1") is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("text", 3, TypeError),
        ("text", None, TypeError),
        ("count", 1.5, TypeError),
        ("size", 11, ValueError),
        ("method", "c", ValueError),
        ("names", [1], TypeError),
        ("volume", "vtkMRMLScalarVolumeNode1", TypeError),
    ],
)
def test_a_wrong_value_is_refused_and_the_old_one_stays(parameters, name, value, error):
    before = getattr(parameters, name)
    with pytest.raises(error):
        setattr(parameters, name, value)
    assert getattr(parameters, name) == before


def test_changing_a_list_changes_the_node(parameters, a_node):
    parameters.names.append("x")
    parameters.names.append("y")
    parameters.names.remove("x")
    assert list(parameters.names) == ["y"]
    assert (a_node.GetParameter("names.0"), a_node.GetParameter("names.len")) == ("y", "1")
    assert not a_node.HasParameter("names.1")


def test_observers_hear_of_a_change_once_and_see_the_new_value(parameters):
    seen = []
    parameters.AddObserver("ModifiedEvent", lambda *_: seen.append(list(parameters.names)))
    parameters.names = ["x", "y", "z"]
    assert seen == [["x", "y", "z"]]


def test_an_unknown_name_is_refused(parameters):
    with pytest.raises(ValueError, match="no parameter 'colour'"):
        parameters.setValue("colour", 1)


def test_a_type_that_is_not_imitated_is_named(a_slicer):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    with pytest.raises(SlicerHost.NotImitated, match="complex"):

        @parameterNodeWrapper
        class Strange:
            number: complex


def test_widgets_take_the_parameters_values(a_panel):
    ui = a_panel.ui
    assert (ui.smoothCheckBox.checked, ui.thresholdSpinBox.value, ui.methodComboBox.currentText) == (True, 10.0, "fast")
    assert (ui.thresholdSpinBox.minimum, ui.thresholdSpinBox.maximum, ui.methodComboBox.count) == (0, 100, 2)


def test_what_a_person_enters_goes_to_the_parameters(a_panel, a_slicer):
    ui, parameters = a_panel.ui, a_panel.parameters
    volume = a_slicer.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    ui.smoothCheckBox.click()
    ui.thresholdSpinBox.value = 42
    ui.methodComboBox.currentIndex = 1
    ui.noteLineEdit.text = "left"
    ui.volumeSelector.setCurrentNode(volume)
    values = (parameters.smooth, parameters.threshold, parameters.method, parameters.note, parameters.volume)
    assert values == (False, 42.0, "slow", "left", volume)


def test_what_the_program_sets_goes_to_the_widgets(a_panel, a_slicer):
    ui, parameters = a_panel.ui, a_panel.parameters
    parameters.threshold = 3.5
    parameters.method = "slow"
    parameters.volume = a_slicer.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "head")
    values = (ui.thresholdSpinBox.value, ui.methodComboBox.currentText, ui.volumeSelector.currentNode().GetName())
    assert values == (3.5, "slow", "head")


def test_a_disconnected_panel_leaves_the_parameters_alone(a_panel):
    parameters = a_panel.parameters
    parameters.disconnectGui(a_panel.tag)
    a_panel.ui.noteLineEdit.text = "left"
    parameters.threshold = 5.0
    assert parameters.note == ""
    assert a_panel.ui.thresholdSpinBox.value == 10.0


def test_a_pair_that_slicer_does_not_know_is_refused(parameters, a_slicer):
    import qt

    with pytest.raises(RuntimeError, match="QPlainTextEdit"):
        parameters.connectParametersToGui({"text": qt.QPlainTextEdit()})
    with pytest.raises(RuntimeError, match="Choice"):
        parameters.connectParametersToGui({"text": qt.QComboBox()})


def test_an_enumeration_fills_a_combo_box(parameters, a_slicer):
    import qt

    box = qt.QComboBox()
    parameters.connectParametersToGui({"device": box})
    assert ([box.itemText(row) for row in range(box.count)], box.currentText) == (["CPU", "GPU"], "GPU")
    box.currentIndex = 0
    assert parameters.device is Device.CPU


@pytest.mark.parametrize("ending", [".mrb", ".mrml"])
def test_parameters_return_with_the_scene(a_slicer, a_module_file, tmp_path, ending):
    widget = a_slicer.load_module(a_module_file).self()
    widget.parameters.note = "left"
    widget.parameters.kept.extend(["a", "b"])
    a_slicer.save_and_reload_scene(tmp_path / f"scene{ending}")
    assert (widget.parameters.note, widget.ui.noteLineEdit.text) == ("left", "left")
    assert widget.parameters.kept == ["a", "b"]


def test_several_parameter_nodes_are_found_by_module(a_slicer, a_module_file):
    import slicer
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    class OtherLogic(ScriptedLoadableModuleLogic):
        def __init__(self):
            super().__init__()
            self.isSingletonParameterNode = False

    logic = OtherLogic()
    first = logic.getParameterNode()
    slicer.mrmlScene.AddNode(logic.createParameterNode())
    assert logic.getParameterNode() is first
    assert len(logic.getAllParameterNodes()) == 2
    assert {node.GetAttribute("ModuleName") for node in logic.getAllParameterNodes()} == {"Other"}


def test_names_that_every_wrapper_has_are_refused(a_slicer):
    namespace = {}
    code = """
        from slicer.parameterNodeWrapper import parameterNodeWrapper

        @parameterNodeWrapper
        class Bad:
            connectGui: int
    """
    with pytest.raises(ValueError, match="connectGui"):
        exec(textwrap.dedent(code), namespace)
