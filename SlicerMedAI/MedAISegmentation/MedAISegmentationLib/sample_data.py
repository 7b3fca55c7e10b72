"""Images to try the module with, in Slicer's Sample Data module under the category MedAI."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

CATEGORY = "MedAI"
HEAD_MR = "MedAI: head MR (T1)"
"""Shown under the thumbnail, and what ``SampleData.downloadSample`` finds the image by: not translated, so that scripts
work in every language."""

# Slicer's own MRHead: donated by the person visible in it, to be used without any restriction.
_SHA256 = "cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93"
_URI = f"https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/{_SHA256}"


def registerSampleData() -> None:
    """Add this module's images to the Sample Data module. Downloads nothing."""
    import SampleData

    logic = SampleData.SampleDataLogic
    # The function for a translatable category title came with Slicer 5.8; a category needs no registration before.
    if hasattr(logic, "registerCustomSampleDataCategory"):
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("MedAI"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=HEAD_MR,
        thumbnailFileName=str(Path(__file__).parents[1] / "Resources" / "Icons" / "MedAIHeadMR.png"),
        uris=_URI,
        fileNames="MR-head.nrrd",
        checksums=f"SHA256:{_SHA256}",
        nodeNames="MRHead",
    )
