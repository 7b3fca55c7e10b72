"""The 3D surfaces of one segmentation, made while the window lives. Polled like a job's run."""

from __future__ import annotations

from collections.abc import Callable


class SurfaceRun:
    """Surfaces under way.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        Shown in 3D in the end. When it leaves the scene, or is cancelled, nobody is called any more.
    onProgress : callable, optional
        ``onProgress(done, total)``: how many segments have a surface.
    onFinished : callable, optional
        ``onFinished()``
    onError : callable, optional
        ``onError(MedAIError)``
    """

    def __init__(
        self,
        node,
        onProgress: Callable | None = None,
        onFinished: Callable | None = None,
        onError: Callable | None = None,
    ) -> None:
        from medai.mrml import SurfaceMaking

        self.nodeID = node.GetID()
        self.ended = False
        self._making = SurfaceMaking(node)
        self._onProgress = onProgress
        self._onFinished = onFinished
        self._onError = onError

    def poll(self) -> bool:
        """Go on; True while there is more to come. Never waits."""
        from medai.errors import MedAIError

        if self.ended:
            return False
        try:
            more = self._making.poll()
        except MedAIError as error:
            self.ended = True
            if self._onError is not None:
                self._onError(error)
            return False
        if more:
            if self._onProgress is not None:
                self._onProgress(self._making.done, self._making.total)
            return True
        self.ended = True
        if self._making.shown and self._onFinished is not None:
            self._onFinished()
        return False

    def cancel(self) -> None:
        """Make no more surfaces."""
        self.ended = True
        self._making.cancel()
