"""Everything the module can do, without its panel: the class to use from Slicer's Python console and from scripts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from MedAISegmentationLib.inputs import isSequence
from MedAISegmentationLib.parameters import Backend, Device, MedAISegmentationParameterNode
from MedAISegmentationLib.run import Poller, SegmentationRun
from MedAISegmentationLib.surface_run import SurfaceRun
from MedAISegmentationLib.warm_up import WarmUp

DEFAULT_MODEL = "hippocampus_mr_unet"


class MedAISegmentationLogic(ScriptedLoadableModuleLogic):
    """Segment images with MONAI models.

    Parameters
    ----------
    worker : medai.jobs.Worker, optional
        Runs the jobs. By default all logics share one, so that a model is loaded once.
    poller : object with ``add(run)`` and ``stop()``, optional
        Calls ``run.poll()`` regularly; a Qt timer by default.
    """

    def __init__(self, worker=None, poller=None) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._worker = worker
        self._poller = poller or Poller()
        self._warmUp = None
        self._surfaces: list[SurfaceRun] = []

    def getParameterNode(self) -> MedAISegmentationParameterNode:
        """The choices saved in the current scene."""
        return MedAISegmentationParameterNode(super().getParameterNode())

    def models(self) -> list:
        """Installed models that segment, as `medai.bundles.description.Description`, by title. Imports no torch.

        One that cannot be used is there too, with the reason in its `problem`; what cannot even be read has no inputs,
        and nobody knows what it would be for.
        """
        from medai.bundles import library

        found = [model for model in library.models() if model.task == "segment" or (model.problem and not model.inputs)]
        return sorted(found, key=lambda model: model.title.casefold())

    def warnings(self, inputNode, model, region=None) -> tuple[str, ...]:
        """Where an image does not look like what a model was made for.

        Parameters
        ----------
        inputNode : vtkMRMLNode or list of these
            Volume, sequence or sequence browser; all the images of a model with several.
        model : Description
            One of `models`.
        region : vtkMRMLMarkupsROINode, "auto" or None
            As for `process`; the model sees no more than that.

        Raises
        ------
        medai.errors.MedAIError
            When the image or the region cannot be used at all.
        """
        import medai.mrml
        from medai.volume import crop

        images = [firstImage(node) for node in asList(inputNode)]
        if region == "auto":
            model = replace(model, expects=replace(model.expects, extent_mm=None))
        elif region is not None:
            box = medai.mrml.region_from_node(region)
            images = [crop(image, box.slices(image)) for image in images]
        return model.warnings(images)

    def defaultRegion(self, inputNode, model) -> str | None:
        """What to do without a drawn region: ``"auto"`` when the model finds its structure in larger images, and this
        image is larger than what it was trained on; None, the whole image, otherwise.
        """
        from medai.errors import MedAIError

        try:
            extent = firstImage(asList(inputNode)[0]).extent_mm
        except MedAIError:
            return None
        largest = model.expects.extent_mm[1] if model.expects.extent_mm else float("inf")
        return "auto" if model.finds_region and max(extent) > largest else None

    def process(
        self,
        inputNode,
        model: str = DEFAULT_MODEL,
        *,
        region=None,
        outputSegmentation=None,
        segments: Sequence[str] | None = None,
        device: Device | str = Device.AUTOMATIC,
        backend: Backend | str = Backend.AUTOMATIC,
        tta: bool = False,
        show3D: bool = False,
        onProgress: Callable | None = None,
        onFinished: Callable | None = None,
        onError: Callable | None = None,
    ):
        """Segment an image.

        Without `onFinished` and `onError` it waits for the end and returns the segmentation node. With either of them
        it returns at once; the callbacks come later, from Slicer's event loop.

        Parameters
        ----------
        inputNode : vtkMRMLScalarVolumeNode, vtkMRMLVectorVolumeNode, vtkMRMLSequenceNode or vtkMRMLSequenceBrowserNode
            Image. Of a sequence every frame is segmented; a browser stands for its first sequence of images. A list of
            volumes, in the model's order, for a model that looks at several images at once.
        model : str
            Name of an installed model, or path of a bundle folder.
        region : vtkMRMLMarkupsROINode, "auto" or None
            Only the part of the image inside this box is segmented. With ``"auto"`` the model finds it, if it can;
            None leaves it to `defaultRegion`.
        outputSegmentation : vtkMRMLSegmentationNode, optional
            Gains the segments and keeps its own; a new node by default. Not for sequences, whose results play along.
        segments : sequence of str, optional
            Names of the structures to keep; all by default.
        device : Device or str
            Where to run.
        backend : Backend or str
            What computes the network; the fastest that agrees with PyTorch by default.
        tta : bool
            Test-time augmentation: mirrored images vote, in up to eight times the time, and an uncertainty volume is
            added. For models that were trained on mirrored images.
        show3D : bool
            Show closed surfaces in the 3D views; with callbacks, they come after `onFinished` (see `show3D`).
        onProgress : callable, optional
            ``onProgress(medai.Progress)``
        onFinished : callable, optional
            ``onFinished(segmentationNode, medai.Result)``
        onError : callable, optional
            ``onError(MedAIError)``; a `JobCancelled` when the run was cancelled, by a person or because the image
            left the scene.

        Returns
        -------
        vtkMRMLSegmentationNode or SegmentationRun
            The run has ``cancel()`` and ``ended``.

        Raises
        ------
        medai.errors.MedAIError
            When the input cannot be used; when waiting, also whatever ended the job.

        Examples
        --------
        >>> from MedAISegmentation import MedAISegmentationLogic
        >>> node = MedAISegmentationLogic().process(getNode("MRHead"), model="hippocampus_mr_unet")
        """
        import medai
        from medai.bundles import library
        from medai.bundles.description import describe
        from medai.errors import InputError

        inputNodes = asList(inputNode)
        if not inputNodes or None in inputNodes:
            raise InputError(
                _("There is nothing to segment."), _("No image was chosen."), _("Choose an image under Inputs.")
            )
        if outputSegmentation is not None and any(isSequence(node) for node in inputNodes):
            raise InputError(
                _("A segmentation cannot take the results of a whole sequence."),
                _("Every frame gets a segmentation of its own, and they play together with the images."),
                _("Leave the output segmentation at 'Create new segmentation', or choose a single image."),
            )
        if region is None:
            region = self.defaultRegion(inputNodes[0], describe(library.find(model)))
        images = inputNodes if len(inputNodes) > 1 else inputNodes[0]
        job = medai.prepare(
            images,
            model,
            region=region,
            segments=segments,
            device=deviceName(device),
            backend=Backend(backend).value,
            tta=tta,
        )
        waits = onFinished is None and onError is None

        def finished(segmentationNode, result) -> None:
            if show3D or run.lostSurfaces:
                self.show3D(segmentationNode)
            if onFinished is not None:
                onFinished(segmentationNode, result)

        run = SegmentationRun(
            self.worker().submit(job),
            inputNodes,
            outputSegmentation=outputSegmentation,
            show3D=show3D if waits else None,
            onProgress=onProgress,
            onFinished=None if waits else finished,
            onError=onError,
        )
        if waits:
            return run.wait()
        self._poller.add(run)
        return run

    def show3D(
        self,
        segmentationNode,
        *,
        onProgress: Callable | None = None,
        onFinished: Callable | None = None,
        onError: Callable | None = None,
    ) -> SurfaceRun:
        """Make the closed surfaces of a segmentation and show them in the 3D views; returns at once.

        Surfaces of a large organ take seconds: they are made in a thread, and appear when all are there.

        Parameters
        ----------
        segmentationNode : vtkMRMLSegmentationNode
        onProgress, onFinished, onError : callable, optional
            As for `SurfaceRun`.
        """
        self.hide3D(segmentationNode)
        run = SurfaceRun(segmentationNode, onProgress, onFinished, onError)
        self._surfaces = [other for other in self._surfaces if not other.ended] + [run]
        self._poller.add(run)
        return run

    def hide3D(self, segmentationNode) -> None:
        """Show the surfaces of a segmentation no more, and make none that are still missing."""
        for run in self._surfaces:
            if run.nodeID == segmentationNode.GetID():
                run.cancel()
        if segmentationNode.GetDisplayNode() is not None:
            segmentationNode.GetDisplayNode().SetVisibility3D(False)

    def warmUp(self, isInstalled: Callable[[], bool]) -> None:
        """Prepare for a first job soon, in small steps from Slicer's event loop: imports, then the worker process.

        Parameters
        ----------
        isInstalled : callable
            ``isInstalled() -> bool``: whether the packages are there that running a model needs.
        """
        if self._warmUp is None:
            self._warmUp = WarmUp(self.worker, isInstalled)
            self._poller.add(self._warmUp)

    def close(self) -> None:
        """Cancel every run of this logic and end its timer. The shared worker stays for others."""
        self._poller.stop()

    def worker(self):
        """The `medai.jobs.Worker` that runs the jobs."""
        if self._worker is None:
            from medai.jobs import default_worker

            self._worker = default_worker()
        return self._worker


def asList(inputNode) -> list:
    """The images of a job, one or several."""
    return list(inputNode) if isinstance(inputNode, (list, tuple)) else [inputNode]


def firstImage(node):
    """`medai.Volume` that views the voxels of a volume node, or of the first frame of a sequence.

    Raises
    ------
    medai.errors.InputError
        When the node holds no image.
    """
    import medai.mrml

    if isSequence(node):
        return medai.mrml.series_from_node(node).frames[0]
    return medai.mrml.volume_from_node(node)


def deviceName(device: Device | str) -> str:
    """The name that `medai` gives a choice of the panel on this computer."""
    if device is Device.GPU or device == Device.GPU.value:
        return "mps" if sys.platform == "darwin" else "cuda"
    return device.value if isinstance(device, Device) else device
