"""What a person chose in the panel, saved with the scene and restored from it."""

import enum
from typing import Union

import slicer
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper


class Device(enum.Enum):
    """Where the model runs. The value is what `medai` calls it; the name is what the scene file holds."""

    AUTOMATIC = "auto"
    CPU = "cpu"
    GPU = "gpu"

    def label(self) -> str:
        """Text in the panel; Slicer's connector between combo box and enumeration looks for this name."""
        return {
            Device.AUTOMATIC: _("Automatic"),
            Device.CPU: _("Processor (CPU)"),
            Device.GPU: _("Graphics card (GPU)"),
        }[self]


class Backend(enum.Enum):
    """What computes the network. The value is what `medai.tasks.segment.SegmentParameters` calls it."""

    AUTOMATIC = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"
    ONNX_RUNTIME = "onnxruntime"

    def label(self) -> str:
        """Text in the panel."""
        return {
            Backend.AUTOMATIC: _("Automatic"),
            Backend.TORCH: "PyTorch",
            Backend.OPENVINO: "OpenVINO",
            Backend.ONNX_RUNTIME: "ONNX Runtime",
        }[self]


# typing.Union and not `|`, because the wrappers of Slicer 5.8 and 5.10 know only the former.
ImageNode = Union[  # noqa: UP007
    slicer.vtkMRMLScalarVolumeNode,
    slicer.vtkMRMLVectorVolumeNode,
    slicer.vtkMRMLSequenceNode,
    slicer.vtkMRMLSequenceBrowserNode,
    None,
]


@parameterNodeWrapper
class MedAISegmentationParameterNode:
    """Typed access to the parameter node.

    inputNode - Image to segment; of a sequence (or of a sequence browser's first sequence) every frame is segmented.
    furtherInputs - The other images of a model that looks at several at once, in its order.
    model - Name of the model bundle; empty until one is chosen.
    region - Box to which the work is limited; none for the whole image.
    outputSegmentation - Where the segments go; none for a new node.
    excludedSegments - Names of the model's structures that are not kept. Stored this way round so that a model's
        next version, with one structure more, brings it along.
    device - Where to run.
    backend - What computes the network.
    tta - Test-time augmentation: whether mirrored images vote, which adds an uncertainty volume.
    show3D - Whether the segments are shown as surfaces.
    """

    inputNode: ImageNode
    furtherInputs: list[slicer.vtkMRMLVolumeNode]
    model: str = ""
    region: slicer.vtkMRMLMarkupsROINode
    outputSegmentation: slicer.vtkMRMLSegmentationNode
    excludedSegments: list[str]
    device: Device = Device.AUTOMATIC
    backend: Backend = Backend.AUTOMATIC
    tta: bool = False
    show3D: bool = True
