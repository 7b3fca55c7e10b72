"""A running stand-in for Slicer, and a module to load into it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

import SlicerHost

PANEL = """\
<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Sample</class>
 <widget class="qMRMLWidget" name="Sample">
  <layout class="QVBoxLayout" name="verticalLayout">
   <item>
    <widget class="ctkCollapsibleButton" name="inputsCollapsibleButton">
     <property name="text"><string>Inputs</string></property>
     <layout class="QFormLayout" name="formLayout">
      <item row="0" column="1">
       <widget class="qMRMLNodeComboBox" name="volumeSelector">
        <property name="nodeTypes">
         <stringlist notr="true"><string>vtkMRMLScalarVolumeNode</string></stringlist>
        </property>
        <property name="noneEnabled"><bool>true</bool></property>
        <property name="SlicerParameterName" stdset="0"><string notr="true">volume</string></property>
       </widget>
      </item>
      <item row="1" column="1">
       <widget class="QCheckBox" name="smoothCheckBox">
        <property name="SlicerParameterName" stdset="0"><string notr="true">smooth</string></property>
       </widget>
      </item>
      <item row="2" column="1">
       <widget class="QDoubleSpinBox" name="thresholdSpinBox">
        <property name="SlicerParameterName" stdset="0"><string notr="true">threshold</string></property>
       </widget>
      </item>
      <item row="3" column="1">
       <widget class="QComboBox" name="methodComboBox">
        <property name="SlicerParameterName" stdset="0"><string notr="true">method</string></property>
       </widget>
      </item>
      <item row="4" column="1">
       <widget class="QLineEdit" name="noteLineEdit">
        <property name="SlicerParameterName" stdset="0"><string notr="true">note</string></property>
       </widget>
      </item>
     </layout>
    </widget>
   </item>
   <item>
    <widget class="ctkCollapsibleButton" name="logCollapsibleButton">
     <property name="text"><string>Log</string></property>
     <property name="collapsed"><bool>true</bool></property>
     <layout class="QVBoxLayout" name="logLayout">
      <item><widget class="QPlainTextEdit" name="logTextEdit"/></item>
     </layout>
    </widget>
   </item>
   <item>
    <widget class="QPushButton" name="applyButton"><property name="text"><string>Apply</string></property></widget>
   </item>
  </layout>
 </widget>
 <customwidgets>
  <customwidget>
   <class>qMRMLNodeComboBox</class><extends>QWidget</extends><header>qMRMLNodeComboBox.h</header>
  </customwidget>
  <customwidget>
   <class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header><container>1</container>
  </customwidget>
  <customwidget>
   <class>ctkCollapsibleButton</class><extends>QWidget</extends><header>ctkCollapsibleButton.h</header><container>1</container>
  </customwidget>
 </customwidgets>
 <connections>
  <connection>
   <sender>Sample</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
   <receiver>volumeSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot>
  </connection>
 </connections>
</ui>
"""

MODULE = """\
from typing import Annotated

import slicer
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin


class Sample(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("A sample")
        parent.categories = ["Examples"]
        self.started = 0
        slicer.app.connect("startupCompleted()", self.onStartupCompleted)

    def onStartupCompleted(self):
        self.started += 1


@parameterNodeWrapper
class SampleParameterNode:
    volume: slicer.vtkMRMLScalarVolumeNode
    smooth: bool = True
    threshold: Annotated[float, WithinRange(0, 100)] = 10.0
    method: Annotated[str, Choice(["fast", "slow"])] = "fast"
    note: str = ""
    kept: list[str]


class SampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.life = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/Sample.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = SampleLogic()
        self.parameters = None
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onEndClose)
        self.life.append("setup")

    def enter(self):
        self.life.append("enter")
        self.bind(self.logic.getParameterNode())

    def exit(self):
        self.life.append("exit")
        self.bind(None)

    def cleanup(self):
        self.life.append("cleanup")
        self.removeObservers()

    def onStartClose(self, caller, event):
        self.life.append("start close")
        self.bind(None)

    def onEndClose(self, caller, event):
        self.life.append("end close")
        if self.parent.isEntered:
            self.bind(self.logic.getParameterNode())

    def bind(self, parameters):
        if self.parameters:
            self.parameters.disconnectGui(self.tag)
        self.parameters = parameters
        if parameters:
            self.tag = parameters.connectGui(self.ui)

    def onApply(self):
        with slicer.util.tryWithErrorDisplay("It failed."):
            self.logic.process(self.parameters.volume)


class SampleLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return SampleParameterNode(super().getParameterNode())

    def process(self, volume):
        if volume is None:
            raise ValueError("There is no volume.")
        volume.SetName("processed")


class SampleTest(ScriptedLoadableModuleTest):
    ran = 0

    def test_processing(self):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        SampleLogic().process(node)
        self.assertEqual(node.GetName(), "processed")
        self.delayDisplay("Passed")
        SampleTest.ran += 1
"""


@pytest.fixture
def a_slicer():
    """A started stand-in; every error in a slot that the test did not look at fails the test."""
    with SlicerHost.start() as host:
        yield host


@pytest.fixture
def a_module_file(tmp_path) -> Path:
    """A scripted module as people write them, with a .ui file from Qt Designer."""
    path = tmp_path / "Sample.py"
    path.write_text(dedent(MODULE), encoding="utf-8")
    ui = tmp_path / "Resources" / "UI" / "Sample.ui"
    ui.parent.mkdir(parents=True)
    ui.write_text(PANEL, encoding="utf-8")
    return path


@pytest.fixture
def a_panel(a_slicer, a_module_file):
    """The module's Python widget, opened."""
    return a_slicer.load_module(a_module_file).self()


@pytest.fixture
def a_selector(a_slicer):
    """A node selector for scalar volumes, without entries besides nodes."""
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.addEnabled = selector.removeEnabled = False
    return selector
