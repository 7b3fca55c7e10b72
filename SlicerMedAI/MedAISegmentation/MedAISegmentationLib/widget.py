"""The panel."""

from __future__ import annotations

import logging
import sys
import time

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from MedAISegmentationLib import cards
from MedAISegmentationLib.inputs import CHANGES, imageToStartWith, isSequence, placeNewRegion
from MedAISegmentationLib.install import offlineText
from MedAISegmentationLib.logic import DEFAULT_MODEL, MedAISegmentationLogic
from MedAISegmentationLib.model_chooser import ModelChooser
from MedAISegmentationLib.parameters import Device
from MedAISegmentationLib.segment_list import SegmentList
from MedAISegmentationLib.slicer_installer import slicerInstaller

OLDEST_PYTHON = (3, 10)
"""What medai needs; Slicer 5.8 and earlier bring an older one."""


class MedAISegmentationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """What a person chooses lives in the parameter node, what runs lives in the logic; this shows both."""

    def __init__(self, parent=None) -> None:
        # All of it before the base class, which calls `setup` when the panel is opened without a parent.
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.installer = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._watched: list = []  # the image and the region, while they are chosen
        self._run = None
        self._installing = False
        self._resultNodeID = ""
        self._stage = ""
        self._imageName = ""
        self._chosenDevice = Device.AUTOMATIC
        self._seenDevices: dict[Device, str] = {}  # by choice: where the last job ran, and why there
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        """Build the panel. Nothing here imports torch or starts a process."""
        ScriptedLoadableModuleWidget.setup(self)
        if sys.version_info < OLDEST_PYTHON:
            self.layout.addWidget(qt.QLabel(_("MedAI needs Slicer 5.10 or newer.")))
            return
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MedAISegmentation.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = MedAISegmentationLogic()
        self.installer = slicerInstaller(self.log)
        self.models = ModelChooser(self.ui.modelComboBox, self.onModelChosen)
        self.segments = SegmentList(self.ui.segmentListWidget, self.onSegmentsChanged)
        self.models.setModels(self.logic.models())

        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.show3DCheckBox.connect("toggled(bool)", self.onShow3D)
        self.ui.regionSelector.connect("nodeAddedByUser(vtkMRMLNode*)", self.onRegionAdded)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called when the module is reloaded or the application closes."""
        if self.logic is None:
            return
        if self._run is not None:
            self._run.abandon()
            self._run = None
        self.logic.close()
        self._releaseParameterNode()
        self.removeObservers()

    def onReload(self) -> None:
        """Reload the module together with the package behind it."""
        for name in [name for name in sys.modules if name.split(".")[0] == "MedAISegmentationLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    # The scene and the parameter node

    def enter(self) -> None:
        """Called each time the user opens this module."""
        if self.logic is not None:
            self.initializeParameterNode()

    def exit(self) -> None:
        """Called each time the user opens another module. A running job goes on."""
        if self.logic is not None:
            self.setParameterNode(None)

    def onSceneStartClose(self, _caller, _event) -> None:
        """The images are about to vanish, and the parameter node with them."""
        if self._run is not None:
            self._run.cancel(_("Cancelled, because the scene was closed."))
        self._resultNodeID = ""
        self.ui.resultCollapsibleButton.visible = False
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller, _event) -> None:
        """Start afresh when the panel is open."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, _caller, _event) -> None:
        """A loaded scene may bring choices of its own."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Show the scene's choices; where there are none, choose what most people want."""
        parameterNode = self.logic.getParameterNode()
        if parameterNode.inputNode is None:
            parameterNode.inputNode = imageToStartWith()
        if not parameterNode.model:
            names = self.models.names()
            parameterNode.model = DEFAULT_MODEL if DEFAULT_MODEL in names else (names or [""])[0]
        self.setParameterNode(parameterNode)

    def setParameterNode(self, parameterNode) -> None:
        """Connect the panel to a parameter node, or to none."""
        self._releaseParameterNode()
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        self.onParametersModified()

    def _releaseParameterNode(self) -> None:
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
            self._parameterNode = None
        self._watch([])

    # What a person chooses

    def onModelChosen(self, name: str) -> None:
        """Another model has other structures, so all of them are kept at first."""
        if self._parameterNode is not None and self._parameterNode.model != name:
            with slicer.util.NodeModify(self._parameterNode):
                self._parameterNode.model = name
                self._parameterNode.excludedSegments = []

    def onSegmentsChanged(self, excluded: list[str]) -> None:
        """A structure was checked or unchecked."""
        if self._parameterNode is not None:
            self._parameterNode.excludedSegments = excluded

    def onRegionAdded(self, region) -> None:
        """A person created a box in the selector."""
        parameters = self._parameterNode
        image = parameters.inputNode if parameters is not None else None
        if image is None or not image.IsA("vtkMRMLVolumeNode") or image.GetImageData() is None:
            return
        model = self.models.model(parameters.model)
        largest = model.expects.extent_mm[1] if model and model.expects.extent_mm else float("inf")
        placeNewRegion(region, image, largest)

    def onShow3D(self, shown: bool) -> None:
        """Applies to the last result at once, and to the next one."""
        import medai.mrml

        node = slicer.mrmlScene.GetNodeByID(self._resultNodeID) if self._resultNodeID else None
        if node is None:
            return
        if shown:
            medai.mrml.show_closed_surface(node)
        elif node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility3D(False)

    def onParametersModified(self, _caller=None, _event=None) -> None:
        """Bring everything that is not connected by SlicerParameterName in line with the parameter node."""
        parameters = self._parameterNode
        if parameters is not None:
            model = self.models.model(parameters.model)
            self.models.show(parameters.model)
            self.segments.show(model.labels if model else (), list(parameters.excludedSegments))
            self.ui.modelInfoLabel.text = cards.modelCard(model) if model else self._noModelText(parameters.model)
            self._watch([node for node in (parameters.inputNode, parameters.region) if node is not None])
            self._showRegionAndWarnings(model)
            self._showDevice(parameters.device)
            takesOutput = parameters.inputNode is None or not isSequence(parameters.inputNode)
            self.ui.outputSelector.enabled = takesOutput  # the frames' segmentations play with the images instead
        self._updateApplyButton()

    def _watch(self, nodes: list) -> None:
        """Hear of changes of these nodes, and no longer of others."""
        if nodes == self._watched:
            return
        for observed, method in ((self._watched, self.removeObserver), (nodes, self.addObserver)):
            for node in observed:
                for event in CHANGES:
                    method(node, event, self.onWatchedNodeModified)
        if self._watched and nodes and self._run is None:
            self._showStage("")  # it spoke about another image or region
        self._watched = nodes

    def onWatchedNodeModified(self, _caller, _event) -> None:
        """The image or the region was changed: a box was dragged, a spacing corrected."""
        if self._parameterNode is not None:
            self._showRegionAndWarnings(self.models.model(self._parameterNode.model))

    def _showRegionAndWarnings(self, model) -> None:
        from medai.errors import MedAIError

        image, region = self._parameterNode.inputNode, self._parameterNode.region
        if region is None and image is not None and model is not None:
            region = self.logic.defaultRegion(image, model)
        noRegion = _("Found automatically") if region == "auto" else _("Whole image")
        if self.ui.regionSelector.noneDisplay != noRegion:
            self.ui.regionSelector.noneDisplay = noRegion
        warnings, problem = (), ""
        if image is not None and model is not None:
            try:
                warnings = self.logic.warnings(image, model, region)
            except MedAIError as error:
                problem = str(error)
        card = cards.warningCard(warnings, problem)
        self.ui.warningLabel.text = card
        self.ui.warningLabel.visible = bool(card)

    def _noModelText(self, name: str) -> str:
        if name:
            text = _("The model '{name}', which this scene was made with, is not installed here.").format(name=name)
        else:
            text = _("No model is installed.")
        return cards.box("#b35900", cards.escape(text))

    def _showDevice(self, device: Device) -> None:
        if device in self._seenDevices:
            text = self._seenDevices[device]
        elif device is Device.AUTOMATIC:
            from medai.engine.devices import describe_expected_device

            text = describe_expected_device().reason
        else:
            text = _("Chosen by you. If it cannot be used, you will be told why.")
        self.ui.deviceReasonLabel.text = cards.escape(text)

    def _whyNot(self) -> str:
        """What keeps Apply from being pressed; empty when nothing does."""
        parameters = self._parameterNode
        if parameters is None or parameters.inputNode is None:
            return _("Select an image first.")
        model = self.models.model(parameters.model)
        if model is None:
            return _("Select a model first.")
        if model.labels and all(segment.name in parameters.excludedSegments for segment in model.labels):
            return _("Check at least one structure.")
        return ""

    def _updateApplyButton(self) -> None:
        running = self._run is not None
        whyNot = self._whyNot()
        self.ui.applyButton.text = _("Cancel") if running else _("Apply")
        self.ui.applyButton.enabled = running or not (whyNot or self._installing)
        toolTip = whyNot or _("Segment the image. Slicer stays usable meanwhile.")
        self.ui.applyButton.toolTip = _("Stop; the scene stays as it is.") if running else toolTip
        self.ui.progressBar.visible = running

    # What runs

    def onApplyButton(self) -> None:
        """Start, or cancel what is running."""
        if self._run is not None:
            self._run.cancel()
        elif not self._installing and self._packagesAreInstalled():
            self._start()

    def _packagesAreInstalled(self) -> bool:
        from medai.errors import DependencyError

        if not self.installer.missing():
            return True
        self._installing = True
        self._updateApplyButton()
        try:
            ready = self.installer.ensure()
            if ready:  # some models may be described in a format that could not be read before
                self.models.setModels(self.logic.models())
        except DependencyError as error:
            ready = False
            self._showError(error)
        finally:
            self._installing = False
            self.onParametersModified()
        wanted = self.installer.missing() or self.installer.requirements
        self.ui.noticeLabel.text = "" if ready else cards.box("#b35900", offlineText(wanted))
        self.ui.noticeLabel.visible = not ready
        return ready

    def _start(self) -> None:
        from medai.errors import MedAIError

        parameters = self._parameterNode
        if self._whyNot():  # the scene may have been closed while packages were being installed
            return
        excluded = list(parameters.excludedSegments)
        kept = [segment.name for segment in self.models.model(parameters.model).labels if segment.name not in excluded]
        self._stage = ""
        self._imageName = parameters.inputNode.GetName()
        self._chosenDevice = parameters.device
        self.ui.resultCollapsibleButton.visible = False
        self._showStage(_("Starting"))
        self.log(_("{model} on '{image}'").format(model=parameters.model, image=self._imageName))
        try:
            self._run = self.logic.process(
                parameters.inputNode,
                parameters.model,
                region=parameters.region,
                outputSegmentation=None if isSequence(parameters.inputNode) else parameters.outputSegmentation,
                segments=kept if excluded else None,
                device=parameters.device,
                show3D=parameters.show3D,
                onProgress=self.onProgress,
                onFinished=self.onFinished,
                onError=self.onError,
            )
        except MedAIError as error:
            self.onError(error)
        self._updateApplyButton()

    def onProgress(self, progress) -> None:
        """One report of the worker."""
        fraction = progress.fraction
        self.ui.progressBar.maximum = 0 if fraction is None else 1000  # 0: a bar that moves without a length
        self.ui.progressBar.value = 0 if fraction is None else round(1000 * fraction)
        self._showStage(cards.stageText(progress))
        if progress.stage != self._stage:
            self._stage = progress.stage
            self.log(progress.stage)
        if progress.note:
            self.log(progress.note)

    def onFinished(self, segmentationNode, result) -> None:
        """The segments are in the scene."""
        self._run = None
        self._resultNodeID = segmentationNode.GetID()
        self.ui.resultLabel.text = cards.resultCard(*cards.volumesOf(result))
        self.ui.resultCollapsibleButton.text = _("Result: {image}").format(image=self._imageName)
        self.ui.resultCollapsibleButton.visible = True
        self.ui.resultCollapsibleButton.collapsed = False
        self._seenDevices[self._chosenDevice] = cards.deviceText(result.provenance)
        self.onParametersModified()
        self._showStage(_("Done in {time}.").format(time=cards.duration(result.provenance.duration_s)))
        self.log(_("Finished: '{name}'").format(name=segmentationNode.GetName()))
        self.log(str(result.provenance))

    def onError(self, error) -> None:
        """The job ended without a result."""
        from medai.errors import JobCancelled

        self._run = None
        self._showStage(cards.escape(str(error) if isinstance(error, JobCancelled) else error.what))
        self._updateApplyButton()
        if isinstance(error, JobCancelled):
            self.log(str(error))
        else:
            self._showError(error)

    def _showStage(self, html: str) -> None:
        self.ui.stageLabel.text = html
        self.ui.stageLabel.visible = bool(html)

    def _showError(self, error) -> None:
        self.log(str(error))
        if error.details:
            self.log(error.details)
            logging.error(error.details)
        slicer.util.errorDisplay(cards.errorText(error), windowTitle=_("MedAI Segmentation"))

    def log(self, text: str) -> None:
        """Add a line to the log under the fold."""
        self.ui.logTextEdit.appendPlainText(f"{time.strftime('%H:%M:%S')}  {text}")
