"""Segment an image with a MONAI model: the Slicer module.

The panel, the logic and the rest live in MedAISegmentationLib; this file is what Slicer's module loader looks at.
"""

import sys
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule

# In an installed or built extension `medai` lies beside this file, which is on the path already. In a source checkout
# added to Slicer's additional module paths it lies one folder up.
for _folder in (Path(__file__).resolve().parent, Path(__file__).resolve().parents[1]):
    _holdsPackages = any((_folder / name / "__init__.py").is_file() for name in ("medai", "MedAISegmentationLib"))
    if _holdsPackages and str(_folder) not in sys.path:
        sys.path.append(str(_folder))

from MedAISegmentationLib.logic import MedAISegmentationLogic  # noqa: E402
from MedAISegmentationLib.parameters import Backend, Device, MedAISegmentationParameterNode  # noqa: E402
from MedAISegmentationLib.sample_data import registerSampleData  # noqa: E402
from MedAISegmentationLib.self_test import MedAISegmentationTest  # noqa: E402
from MedAISegmentationLib.widget import MedAISegmentationWidget  # noqa: E402

__all__ = [
    "Backend",
    "Device",
    "MedAISegmentation",
    "MedAISegmentationLogic",
    "MedAISegmentationParameterNode",
    "MedAISegmentationTest",
    "MedAISegmentationWidget",
]


class MedAISegmentation(ScriptedLoadableModule):
    """What the module selector and the help tell about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedAI Segmentation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "MedAI")]
        self.parent.dependencies = ["Segmentations", "Markups", "Sequences", "SubjectHierarchy"]
        self.parent.contributors = ["SlicerMedAI developers"]
        self.parent.helpText = _(
            "<p>Segments an image, or every frame of a sequence, with a deep learning model.</p>"
            "<ol><li>Choose the image, and a region in it if only a part is of interest.</li>"
            "<li>Choose a model. Below it you read what it was made for, its licence and how to cite it, and a warning "
            "when your image looks different from what it expects.</li>"
            "<li>Press Apply. You can go on working meanwhile, and press Cancel at any time.</li></ol>"
            "<p>The first time, a few Python packages are installed after you have agreed. Images never leave this "
            "computer. Results are for research; check them before you rely on them.</p>"
            "<p>From the Python console: <code>from MedAISegmentation import MedAISegmentationLogic; "
            "MedAISegmentationLogic().process(volumeNode, model='hippocampus_mr_unet')</code></p>"
        )
        self.parent.acknowledgementText = _(
            "<p>Models are MONAI bundles (<a href='https://monai.io'>MONAI</a>, Cardoso et al. 2022, "
            "arXiv:2211.02701) and run with <a href='https://pytorch.org'>PyTorch</a>. Every model names its authors, "
            "data and licence in the panel.</p>"
        )
        slicer.app.connect("startupCompleted()", registerSampleData)
