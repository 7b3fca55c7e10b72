"""One job on one image, from Apply to nodes in the scene. Knows no Qt: somebody calls `poll`."""

from __future__ import annotations

import logging
from collections.abc import Callable

from slicer.i18n import tr as _


class SegmentationRun:
    """A started job and what shall happen with its result.

    Exactly one of `onFinished` and `onError` is called, once, from within `poll`, `cancel` or `wait`.

    Parameters
    ----------
    running : medai.jobs.Running
        The job in its worker process.
    inputNodes : list of vtkMRMLNode
        The image, the images, or the sequence. When one leaves the scene (removed, or the scene closed), the job is
        cancelled.
    outputSegmentation : vtkMRMLSegmentationNode, optional
        Gains the segments; a new node when None, or when it has left the scene meanwhile.
    show3D : bool or None
        Whether closed surfaces are made and shown together with the result, which takes as long as it takes. None
        leaves that to somebody else: also those that an output segmentation had, see `lostSurfaces`.
    onProgress : callable, optional
        ``onProgress(medai.Progress)``
    onFinished : callable, optional
        ``onFinished(segmentationNode, medai.Result)``
    onError : callable, optional
        ``onError(MedAIError)``; `JobCancelled` when it was cancelled.
    """

    def __init__(
        self,
        running,
        inputNodes: list,
        *,
        outputSegmentation=None,
        show3D: bool | None = False,
        onProgress: Callable | None = None,
        onFinished: Callable | None = None,
        onError: Callable | None = None,
    ) -> None:
        self._running = running
        self._scene = inputNodes[0].GetScene()
        self._inputNodes = list(inputNodes)
        self._outputSegmentation = outputSegmentation
        self._show3D = show3D
        self._onProgress = onProgress or _ignore
        self._onFinished = onFinished or _ignore
        self._onError = onError or _ignore
        self.ended = False
        self.segmentationNode = None
        self.volumeNodes: list = []  # the uncertainty, where results voted
        self.result = None
        self.lostSurfaces = False  # whether the output segmentation had 3D surfaces and now has none

    def poll(self) -> bool:
        """Pass on what the worker reported; True while there is more to come. Never waits."""
        if self.ended:
            return False
        if not self._inputsArePresent():
            self.cancel(_("Cancelled, because the image is no longer in the scene."))
            return False
        for progress in self._running.poll():
            self._onProgress(progress)
            if self.ended:  # the listener pressed Cancel
                return False
        if self._running.done and not isBusy(self._scene):
            self._finish(self._running.result)
        return not self.ended

    def wait(self):
        """Block until the end; return the segmentation node.

        Raises
        ------
        medai.errors.MedAIError
            Whatever ended the job without a result.
        """
        errors = []
        self._onError = errors.append
        self._finish(lambda: self._running.wait(self._onProgress))
        if errors:
            raise errors[0]
        return self.segmentationNode

    def cancel(self, reason: str = "") -> None:
        """End the job; nothing is added to the scene. Does nothing when it has ended."""
        from medai.errors import JobCancelled

        if self.ended:
            return
        self.ended = True
        self._running.cancel()
        self._onError(JobCancelled(reason or _("Cancelled. The scene is as it was before.")))

    def abandon(self) -> None:
        """Cancel without telling anybody: for a listener that is about to disappear."""
        self._onProgress = self._onFinished = self._onError = _ignore
        self.cancel()

    def _finish(self, getResult: Callable) -> None:
        from medai.errors import MedAIError

        try:
            self.result = getResult()
            self.segmentationNode = self._addToScene(self.result)
        except Exception as error:  # a clinician gets a sentence, whatever goes wrong here
            self.ended = True
            if not isinstance(error, MedAIError):
                logging.exception("The result could not be brought into the scene")
                error = MedAIError(
                    _("The segmentation could not be finished."),
                    _("Something unexpected happened in the program."),
                    _("Try again; if it happens again, please report it with the text in the log."),
                    details=repr(error),
                )
            self._onError(error)
            return
        self.ended = True
        self._onFinished(self.segmentationNode, self.result)

    def _inputsArePresent(self) -> bool:
        return all(self._scene.IsNodePresent(node) for node in self._inputNodes)

    def _addToScene(self, result):
        import medai.mrml
        from medai.errors import SceneError

        if not self._inputsArePresent():
            raise SceneError(
                _("The segmentation was discarded."),
                _("The image it belongs to is no longer in the scene."),
                _("Load the image again and press Apply."),
            )
        target = self._outputSegmentation
        if target is not None and not self._scene.IsNodePresent(target):
            target = None
        had = target is not None and target.GetSegmentation().ContainsRepresentation("Closed surface")
        self.lostSurfaces = had and self._show3D is None
        images = self._running.job.inputs
        nodes = medai.mrml.add_result(
            result,
            self._inputNodes,
            segmentation=target,
            closed_surface=self._show3D,
            inputs=getattr(images, "frames", images)[:1],
        )
        self.volumeNodes = nodes.volumes
        return nodes.segmentation


def isBusy(scene) -> bool:
    """Whether a scene is being loaded or changed in bulk, so that a result has to wait for a moment."""
    return bool(scene.IsBatchProcessing() or scene.IsImporting() or scene.IsRestoring())


class Poller:
    """Calls `poll` of every run ten times a second on Slicer's main thread, while there are any.

    A run is whatever has ``poll() -> bool``, true while there is more to come, and ``cancel()``.

    The only thing in the logic that needs Qt, and it does so only once a run is added: a script may pass a poller of
    its own to the logic instead.
    """

    def __init__(self, interval_ms: int = 100) -> None:
        self._interval = interval_ms
        self._timer = None
        self._runs: list = []

    def add(self, run) -> None:
        """Poll this run until it ends."""
        self._runs.append(run)
        if self._timer is None:
            import qt

            self._timer = qt.QTimer()
            self._timer.setInterval(self._interval)
            self._timer.connect("timeout()", self._onTimeout)
        self._timer.start()

    def stop(self) -> None:
        """Cancel all runs and end the timer."""
        runs, self._runs = self._runs, []
        if self._timer is not None:
            self._timer.stop()
        for run in runs:
            run.cancel()

    def _onTimeout(self) -> None:
        for run in list(self._runs):
            if not run.poll() and run in self._runs:
                self._runs.remove(run)
        if not self._runs:
            self._timer.stop()


def _ignore(*_news) -> None:
    """For callers that do not listen."""
