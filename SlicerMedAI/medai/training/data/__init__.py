"""Data lists: what to learn from, read from anything, checked case by case, and split by patient.

Nothing here imports torch but `medai.training.data.images`, which loads the images of a list for MONAI.
"""

from __future__ import annotations

from medai.training.data.boxes import MaskBox, boxes_of, with_boxes
from medai.training.data.check import check
from medai.training.data.datalist import DataList
from medai.training.data.fitting import fitting
from medai.training.data.item import ArrayReference, DataItem
from medai.training.data.monai_list import write_monai_list
from medai.training.data.naming import renamed
from medai.training.data.reading import KINDS, read_data_list
from medai.training.data.report import DataReport, Problem, without_bad_items
from medai.training.data.splits import assign_folds, split, use_fold
from medai.training.data.together import together

__all__ = [
    "KINDS",
    "ArrayReference",
    "DataItem",
    "DataList",
    "DataReport",
    "MaskBox",
    "Problem",
    "assign_folds",
    "boxes_of",
    "check",
    "fitting",
    "read_data_list",
    "renamed",
    "split",
    "together",
    "use_fold",
    "with_boxes",
    "without_bad_items",
    "write_monai_list",
]
