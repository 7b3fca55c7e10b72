"""The lower half of the panel: Apply or Cancel, how far the job is, its result, its errors, the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from MedAISegmentationLib import cards
from MedAISegmentationLib.parameters import Device


class JobView:
    """One job at a time, from its start to its result on the panel.

    Parameters
    ----------
    ui : object
        The widgets of the panel by name.
    logic : MedAISegmentationLogic
        Runs the jobs.
    onEnded : callable
        ``onEnded()``: the job has ended, one way or the other.
    """

    def __init__(self, ui, logic, onEnded: Callable[[], None]) -> None:
        self.ui = ui
        self.logic = logic
        self.run = None
        self._onEnded = onEnded
        self._logged: set[str] = set()  # stages of this job
        self._imageName = ""
        self._device = Device.AUTOMATIC
        self._resultNodeID = ""
        self._took = ""
        self.seenDevices: dict[Device, str] = {}  # by choice: where the last job ran, and why there

    def start(self, parameters, inputNodes: list, model) -> None:
        """Start a job with what a person has chosen."""
        from medai.errors import MedAIError

        excluded = list(parameters.excludedSegments)
        kept = [segment.name for segment in model.labels if segment.name not in excluded]
        self._logged.clear()
        self._imageName = ", ".join(node.GetName() for node in inputNodes)
        self._device = parameters.device
        self.ui.resultCollapsibleButton.visible = False
        self.ui.progressBar.maximum = 0
        self.showStage(_("Starting"))
        self.log(_("{model} on '{image}'").format(model=model.name, image=self._imageName))
        try:
            self.run = self.logic.process(
                inputNodes,
                model.name,
                region=parameters.region,
                outputSegmentation=parameters.outputSegmentation if self.ui.outputSelector.enabled else None,
                segments=kept if excluded else None,
                device=parameters.device,
                backend=parameters.backend,
                tta=parameters.tta,
                onProgress=self.onProgress,
                onFinished=self.onFinished,
                onError=self.onError,
            )
        except MedAIError as error:
            self.onError(error)

    def cancel(self, reason: str = "") -> None:
        """End the job; the scene stays as it is."""
        if self.run is not None:
            self.run.cancel(reason)

    def abandon(self) -> None:
        """End the job without a word: the panel is about to disappear."""
        if self.run is not None:
            self.run.abandon()
            self.run = None

    def forget(self) -> None:
        """The scene that held the result is gone."""
        self._resultNodeID = ""
        self.ui.resultCollapsibleButton.visible = False

    def showButton(self, whyNot: str) -> None:
        """Apply, which cannot be pressed when there is a reason, or Cancel."""
        running = self.run is not None
        self.ui.applyButton.text = _("Cancel") if running else _("Apply")
        self.ui.applyButton.enabled = running or not whyNot
        tip = cards.toolTip(whyNot) if whyNot else _("Segment the image. Slicer stays usable meanwhile.")
        self.ui.applyButton.toolTip = _("Stop; the scene stays as it is.") if running else tip
        self.ui.progressBar.visible = running

    def show3D(self, shown: bool) -> None:
        """Show the surfaces of the last result, or hide them."""
        node = slicer.mrmlScene.GetNodeByID(self._resultNodeID) if self._resultNodeID else None
        if node is None:
            return
        if not shown:
            self.logic.hide3D(node)
            self.showStage(self._took)
            return
        self.logic.show3D(
            node,
            onProgress=self.onSurfaceProgress,
            onFinished=lambda: self.showStage(self._took),
            onError=self._onSurfaceError,
        )

    def onProgress(self, progress) -> None:
        """One report of the worker."""
        fraction = progress.fraction
        self.ui.progressBar.maximum = 0 if fraction is None else 1000  # 0: a bar that moves without a length
        self.ui.progressBar.value = 0 if fraction is None else round(1000 * fraction)
        self.showStage(cards.stageText(progress))
        if progress.stage not in self._logged:  # some come twice: in the worker, and while a model prepares
            self._logged.add(progress.stage)
            self.log(progress.stage)
        if progress.note:
            self.log(progress.note)

    def onFinished(self, segmentationNode, result) -> None:
        """The segments are in the scene."""
        uncertainty = ", ".join(node.GetName() for node in self.run.volumeNodes)
        self.run = None
        self._resultNodeID = segmentationNode.GetID()
        self._took = _("Done in {time}.").format(time=cards.duration(result.provenance.duration_s))
        self.ui.resultLabel.text = cards.resultCard(*cards.volumesOf(result), uncertainty=uncertainty)
        title = _("Result: {image}").format(image=self._imageName)
        self.ui.resultCollapsibleButton.text = cards.caption(title)
        self.ui.resultCollapsibleButton.visible = True
        self.ui.resultCollapsibleButton.collapsed = False
        self.seenDevices[self._device] = cards.deviceText(result.provenance)
        self._onEnded()
        self.showStage(self._took)
        self.log(_("Finished: '{name}'").format(name=segmentationNode.GetName()))
        self.log(str(result.provenance))
        if self.ui.show3DCheckBox.checked:
            self.show3D(True)

    def onSurfaceProgress(self, done: int, total: int) -> None:
        """The 3D surfaces are being made."""
        if not self._took:
            return  # another image is chosen: nothing is said about the former one
        making = _("Making the 3D surfaces ({done} of {total})").format(done=done, total=total)
        self.showStage(f"{self._took} {making}")

    def _onSurfaceError(self, error) -> None:
        self.showStage(self._took)
        self.showError(error)

    def onError(self, error) -> None:
        """The job ended without a result."""
        from medai.errors import JobCancelled

        self.run = None
        self.showStage(cards.escape(str(error) if isinstance(error, JobCancelled) else error.what))
        self._onEnded()
        if isinstance(error, JobCancelled):
            self.log(str(error))
        else:
            self.showError(error)

    def showStage(self, html: str) -> None:
        """One line below the button; none when empty."""
        self.ui.stageLabel.text = html
        self.ui.stageLabel.visible = bool(html)

    def clearStage(self) -> None:
        """What the line says is about an image that is no longer chosen."""
        if self.run is None:
            self._took = ""
            self.showStage("")

    def showNotice(self, html: str) -> None:
        """Something to do before any job can run, above everything else; none when empty."""
        self.ui.noticeLabel.text = html
        self.ui.noticeLabel.visible = bool(html)

    def showError(self, error) -> None:
        """Say what happened, why, and what to do now; the rest is in the log."""
        self.log(str(error))
        if error.details:
            self.log(error.details)
            logging.error(error.details)
        # Plain, because names of images and models are part of it: Qt would look for HTML in them.
        slicer.util.errorDisplay(
            cards.errorText(error), windowTitle=_("MedAI Segmentation"), textFormat=qt.Qt.PlainText
        )

    def log(self, text: str) -> None:
        """Add a line to the log under the fold."""
        self.ui.logTextEdit.appendPlainText(f"{time.strftime('%H:%M:%S')}  {text}")
