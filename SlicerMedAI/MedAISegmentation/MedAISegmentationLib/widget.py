"""The panel."""

from __future__ import annotations

import sys

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from MedAISegmentationLib import cards
from MedAISegmentationLib.further_inputs import FurtherInputs
from MedAISegmentationLib.inputs import CHANGES, imagesOf, imageToStartWith, isSequence, placeNewRegion
from MedAISegmentationLib.install import offlineText
from MedAISegmentationLib.job_view import JobView
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
        self._problem = ""  # why the chosen images cannot be segmented
        self._watched: list = []  # the images and the region, while they are chosen
        self._installing = False
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
        self.job = JobView(self.ui, self.logic, self.onParametersModified)
        self.installer = slicerInstaller(self.job.log)
        self.models = ModelChooser(self.ui.modelComboBox, self.onModelChosen, self.logic.models)
        self.segments = SegmentList(self.ui.segmentListWidget, self.onSegmentsChanged)
        self.furtherInputs = FurtherInputs(self.ui.inputsLayout, self.onFurtherInputsChanged)
        self.models.refresh()

        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.show3DCheckBox.connect("toggled(bool)", self.job.show3D)
        self.ui.regionSelector.connect("nodeAddedByUser(vtkMRMLNode*)", self.onRegionAdded)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called when the module is reloaded or the application closes."""
        if self.logic is None:
            return
        self.job.abandon()
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
            self.models.refresh()  # others may have been imported since
            self.initializeParameterNode()

    def exit(self) -> None:
        """Called each time the user opens another module. A running job goes on."""
        if self.logic is not None:
            self.setParameterNode(None)

    def onSceneStartClose(self, _caller, _event) -> None:
        """The images are about to vanish, and the parameter node with them."""
        self.job.cancel(_("Cancelled, because the scene was closed."))
        self.job.forget()
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
            names = self.models.usableNames()
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

    def onFurtherInputsChanged(self, nodes: list) -> None:
        """One of the other images of a model that looks at several at once was chosen."""
        if self._parameterNode is not None:
            self._parameterNode.furtherInputs = nodes

    def _inputNodes(self, model) -> list:
        """The images as the model takes them; None where one is still to be chosen."""
        first, further = self._parameterNode.inputNode, list(self._parameterNode.furtherInputs)
        missing = len(imagesOf(model, first)) - 1
        return [first, *(further + [None] * missing)[:missing]]

    def onParametersModified(self, _caller=None, _event=None) -> None:
        """Bring everything that is not connected by SlicerParameterName in line with the parameter node."""
        parameters = self._parameterNode
        if parameters is not None:
            model = self.models.model(parameters.model)
            self.models.show(parameters.model)
            self.segments.show(model.labels if model else (), list(parameters.excludedSegments))
            self.ui.modelInfoLabel.text = self._modelText(model)
            first, *further = imagesOf(model, parameters.inputNode)
            self.ui.inputLabel.text = f"{first}:"
            self.furtherInputs.show(further, list(parameters.furtherInputs))
            nodes = dict.fromkeys([*self._inputNodes(model), parameters.region])  # none of them twice
            self._watch([node for node in nodes if node is not None])
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
        if self._watched and nodes:
            self.job.clearStage()  # it spoke about another image or region
        self._watched = nodes

    def onWatchedNodeModified(self, _caller, _event) -> None:
        """The image or the region was changed: a box was dragged, a spacing corrected."""
        if self._parameterNode is not None:
            self._showRegionAndWarnings(self.models.model(self._parameterNode.model))
            self._updateApplyButton()

    def _showRegionAndWarnings(self, model) -> None:
        from medai.errors import MedAIError

        images = [node for node in self._inputNodes(model) if node is not None]
        image, region = self._parameterNode.inputNode, self._parameterNode.region
        if region is None and image is not None and model is not None:
            region = self.logic.defaultRegion(image, model)
        noRegion = _("Found automatically") if region == "auto" else _("Whole image")
        if self.ui.regionSelector.noneDisplay != noRegion:
            self.ui.regionSelector.noneDisplay = noRegion
        warnings, self._problem = (), ""
        if image is not None and model is not None and len(images) == len(imagesOf(model, image)):
            try:
                warnings = self.logic.warnings(images, model, region)
            except MedAIError as error:
                self._problem = str(error)
        card = cards.warningCard(warnings, self._problem)
        self.ui.warningLabel.text = card
        self.ui.warningLabel.visible = bool(card)

    def _modelText(self, model) -> str:
        name = self._parameterNode.model
        if model is not None and not model.problem:
            return cards.modelCard(model)
        if model is not None:
            text = _("The model '{name}' cannot be used.").format(name=model.title) + "\n" + model.problem
        elif name:
            text = _("The model '{name}', which this scene was made with, is not installed here.").format(name=name)
        else:
            text = _("No model is installed.")
        return cards.box("#b35900", cards.escape(text).replace("\n", "<br>"))

    def _showDevice(self, device: Device) -> None:
        if device in self.job.seenDevices:
            text = self.job.seenDevices[device]
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
        return model.problem or self._whyNotTheseImages(model) or self._problem

    def _whyNotTheseImages(self, model) -> str:
        nodes = self._inputNodes(model)
        for caption, node in zip(imagesOf(model, nodes[0]), nodes, strict=True):
            if node is None:
                return _("Select an image for '{caption}' first.").format(caption=caption)
        return _("The same image is selected twice.") if len(set(nodes)) < len(nodes) else ""

    def _updateApplyButton(self) -> None:
        whyNot = self._whyNot()
        if not whyNot:  # a person may press Apply soon
            self.logic.warmUp(lambda: not self.installer.missing())
        self.job.showButton(whyNot or (_("Packages are being installed.") if self._installing else ""))

    # What runs

    def onApplyButton(self) -> None:
        """Start, or cancel what is running."""
        if self.job.run is not None:
            self.job.cancel()
        elif not self._installing and self._packagesAreInstalled():
            parameters = self._parameterNode
            if not self._whyNot():  # the scene may have been closed while packages were being installed
                model = self.models.model(parameters.model)
                self.job.start(parameters, self._inputNodes(model), model)
            self._updateApplyButton()

    def _packagesAreInstalled(self) -> bool:
        from medai.errors import DependencyError

        if not self.installer.missing():
            return True
        self._installing = True
        self._updateApplyButton()
        try:
            ready = self.installer.ensure()
            if ready:  # some models may be described in a format that could not be read before
                self.models.refresh()
        except DependencyError as error:
            ready = False
            self.job.showError(error)
        finally:
            self._installing = False
            self.onParametersModified()
        wanted = self.installer.missing() or self.installer.requirements
        text = offlineText(wanted, self.installer.optional)
        self.job.showNotice("" if ready else cards.box("#b35900", text))
        return ready
