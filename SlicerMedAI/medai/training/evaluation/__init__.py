"""How good a model is: metrics, confidence intervals, a table of cases, a summary and a report.

>>> from medai.training.evaluation import About, SegmentationCase, evaluate
>>> evaluate("segment", cases, labels={"liver": 1}, about=About(model="liver 1.0"), folder="evaluation")
"""

from medai.training.evaluation.bootstrap import Bootstrap, Interval, interval, intervals, paired_difference
from medai.training.evaluation.boxes import BoxArray
from medai.training.evaluation.cases import (
    Case,
    ClassificationCase,
    DetectionCase,
    RestorationCase,
    SegmentationCase,
    SynthesisCase,
)
from medai.training.evaluation.findings import Options
from medai.training.evaluation.run import Evaluation, evaluate
from medai.training.evaluation.summary import About, Estimate, Summary
from medai.training.evaluation.undefined import Undefined

__all__ = [
    "About",
    "Bootstrap",
    "BoxArray",
    "Case",
    "ClassificationCase",
    "DetectionCase",
    "Estimate",
    "Evaluation",
    "Interval",
    "Options",
    "RestorationCase",
    "SegmentationCase",
    "Summary",
    "SynthesisCase",
    "Undefined",
    "evaluate",
    "interval",
    "intervals",
    "paired_difference",
]
