"""Segment an image with a MONAI bundle, or with several that vote. `run` imports torch; what is here does not."""

from medai.tasks.segment.choice import check_choice
from medai.tasks.segment.parameters import SegmentParameters
from medai.tasks.segment.parameters import SegmentParameters as Parameters

__all__ = ["Parameters", "SegmentParameters", "check_choice"]
