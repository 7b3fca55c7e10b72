"""Qt as Slicer's Python has it: PythonQt, not PySide6."""

from __future__ import annotations

import pytest

import SlicerHost


@pytest.fixture
def a_button(a_slicer):
    import qt

    return qt.QPushButton("Apply")


def test_a_property_is_read_without_a_call(a_button):
    assert a_button.text == "Apply"
    assert a_button.enabled is True


def test_calling_a_property_fails_as_in_slicer(a_button):
    with pytest.raises(TypeError, match="'str' object is not callable"):
        a_button.text()


def test_a_property_is_set_by_assignment(a_button):
    a_button.text = "Cancel"
    a_button.enabled = False
    assert (a_button.text, a_button.isEnabled()) == ("Cancel", False)


def test_methods_stay_methods(a_button):
    a_button.setText("Cancel")
    assert a_button.text == "Cancel"


def test_a_read_only_property_refuses_assignment(a_slicer):
    import qt

    with pytest.raises(AttributeError, match="not writable"):
        qt.QComboBox().count = 3


def test_a_qt_object_takes_no_new_attributes(a_button):
    with pytest.raises(AttributeError, match="creating new attributes on C\\+\\+ objects is not allowed"):
        a_button.colour = "red"
    assert not hasattr(a_button, "colour")


def test_a_class_of_one_s_own_takes_attributes(a_slicer):
    import qt

    class Panel(qt.QWidget):
        pass

    panel = Panel()
    panel.colour = "red"
    assert panel.colour == "red"


def test_imitated_widgets_take_no_new_attributes_either(a_slicer):
    import slicer

    with pytest.raises(AttributeError, match="qMRMLNodeComboBox"):
        slicer.qMRMLNodeComboBox().nodeType = "vtkMRMLVolumeNode"


def test_a_method_cannot_be_replaced(a_button):
    with pytest.raises(AttributeError, match="click"):
        a_button.click = None


def test_dynamic_properties_are_attributes(a_button):
    a_button.setProperty("SlicerParameterName", "device")
    assert a_button.SlicerParameterName == "device"


def test_name_is_short_for_object_name(a_button):
    a_button.name = "applyButton"
    assert a_button.objectName == a_button.name == "applyButton"


@pytest.mark.parametrize(
    ("class_name", "name", "value"),
    [
        ("QCheckBox", "checked", True),
        ("QSpinBox", "value", 7),
        ("QDoubleSpinBox", "value", 0.5),
        ("QProgressBar", "maximum", 50),
        ("QLabel", "wordWrap", True),
        ("QPlainTextEdit", "plainText", "a line"),
        ("QLineEdit", "placeholderText", "Search"),
        ("QWidget", "visible", False),
        ("QWidget", "statusTip", "why"),
        ("QTimer", "singleShot", True),
        ("QTimer", "interval", 40),
    ],
)
def test_every_class_has_its_properties(a_slicer, class_name, name, value):
    import qt

    thing = getattr(qt, class_name)()
    setattr(thing, name, value)
    assert getattr(thing, name) == value


def test_objects_that_qt_made_have_the_same_habits(a_slicer):
    import qt

    box = qt.QSpinBox()
    box.value = 12
    assert box.lineEdit().text == "12"


def test_a_combo_box_counts_and_chooses_by_property(a_slicer):
    import qt

    box = qt.QComboBox()
    box.addItems(["one", "two"])
    box.currentIndex = 1
    assert (box.count, box.currentText) == (2, "two")


def test_a_slot_gets_what_the_signature_says(a_button):
    got = []
    a_button.connect("clicked(bool)", lambda *arguments: got.append(arguments))
    a_button.connect("clicked()", lambda *arguments: got.append(arguments))
    a_button.click()
    assert sorted(got) == [(), (False,)]


def test_a_slot_may_take_fewer_arguments_than_the_signal_has(a_button):
    got = []

    def slot():
        got.append("clicked")

    a_button.connect("clicked(bool)", slot)
    a_button.click()
    assert got == ["clicked"]


def test_a_disconnected_slot_is_not_called_any_more(a_button):
    got = []

    def slot():
        got.append("clicked")

    a_button.connect("clicked(bool)", slot)
    a_button.click()
    a_button.disconnect("clicked(bool)", slot)
    a_button.click()
    assert got == ["clicked"]


def test_a_signal_that_does_not_exist_is_an_error(a_button):
    with pytest.raises(ValueError, match=r"QPushButton has no signal pressed\(int\)"):
        a_button.connect("pressed(int)", print)


def test_signals_can_also_be_connected_by_attribute(a_button):
    got = []
    a_button.clicked.connect(lambda checked: got.append(not checked))
    a_button.click()
    assert got == [True]


def test_a_timer_calls_back(a_slicer):
    import qt

    got = []
    timer = qt.QTimer()
    timer.setInterval(1)
    timer.connect("timeout()", lambda: got.append("timer"))
    timer.start()
    qt.QTimer.singleShot(0, lambda: got.append("single shot"))
    a_slicer.process_events(5, until=lambda: {"timer", "single shot"} <= set(got))
    assert timer.active
    timer.stop()


@pytest.mark.parametrize("module", ["qt", "ctk"])
def test_what_a_module_lacks_is_named(a_slicer, module):
    with pytest.raises(SlicerHost.NotImitated, match=rf"{module}\.QMagicWidget"):
        getattr(__import__(module), "QMagicWidget")  # noqa: B009


def test_names_of_pyside_are_not_offered(a_slicer):
    import qt

    with pytest.raises(SlicerHost.NotImitated):
        qt.QWidget().connect("destroyed()", qt.Signal)


def test_settings_stay_within_the_run(a_slicer):
    import qt

    qt.QSettings().setValue("MedAI/consent", True)
    assert qt.QSettings().contains("MedAI/consent")
    assert "slicer-" in qt.QSettings().fileName()


def test_a_plain_tool_tip_becomes_rich_text_and_a_rich_one_stays(a_button):
    a_button.toolTip = "1 < 2 & so on"
    assert a_button.toolTip == "<p>1 &lt; 2 &amp; so on</p>"
    a_button.setToolTip("<b>Press</b>")
    assert a_button.toolTip == "<b>Press</b>"
    a_button.toolTip = ""
    assert a_button.toolTip == ""


def test_a_tool_tip_of_a_ui_file_becomes_rich_text(a_slicer, a_module_file):
    ui = a_module_file.parent / "Resources" / "UI" / "Sample.ui"
    tip = '<property name="toolTip"><string>Smooth it</string></property>'
    before = '<widget class="QCheckBox" name="smoothCheckBox">'
    ui.write_text(ui.read_text(encoding="utf-8").replace(before, before + tip), encoding="utf-8")
    assert a_slicer.load_module(a_module_file).self().ui.smoothCheckBox.toolTip == "<p>Smooth it</p>"
