"""What a person asks for when they train or evaluate a model. Picklable, and made without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path

from medai.errors import InputError
from medai.tasks.parameters import TaskParameters, names, one_of, wrong, yes_or_no
from medai.tasks.parameters import count as whole_number
from medai.training.data import DataList
from medai.training.parameters import TrainingParameters

TASKS = ("segment", "classify", "detect", "denoise", "encode", "synthesize", "translate", "forecast")
_LEAST = {"count": 0, "seed": 0, "utility_epochs": 1, "utility_cases": 0}
_NO_LICENCE = "Not stated. Ask whoever gave you the data before you share the model."


@dataclass(frozen=True, eq=False)
class TrainingRequest(TaskParameters):
    """One training.

    Parameters
    ----------
    data : DataList
        What to learn from.
    task : str
        One of `TASKS`.
    parameters : TrainingParameters
        How to learn.
    validation : float
        Share of the cases to validate with, where the data are not divided yet; 0 trains on all.
    skip_bad : bool
        Go on without the cases that the check says nobody should train with.
    overwrite : bool
        Begin anew where there is a model or another training.
    finish : bool
        Train no further: make a complete model of the best weights of a training that was stopped, or complete a
        finished model anew.
    positive : str
        Of a model that tells two classes apart: the name of the one that is the finding; the second by default.
    sensitivity : float or None
        Of a classifier: share of the positive validation cases that its operating point is to find; where Youden's J
        (sensitivity + specificity - 1) is highest by default.
    modality : str
        DICOM modality of the images (``"MR"``, ``"CT"``, ``"US"``...), where it is known.
    licence : str
        Of the model's weights.
    data_licence : str
        Of the data, for ``docs/data_license.txt``.
    synthetic : tuple of str
        Images of generators to train with besides, each ``"MODEL:COUNT"``, or ``"MODEL:COUNT:CLASS"`` for a classifier.
        Labels come with those of a generator that makes labels, classes take turns where it makes several.
    """

    data: DataList = field(default_factory=lambda: DataList(()))
    task: str = "segment"
    parameters: TrainingParameters = field(default_factory=TrainingParameters)
    validation: float = 0.2
    skip_bad: bool = False
    overwrite: bool = False
    finish: bool = False
    positive: str = ""
    sensitivity: float | None = None
    modality: str = ""
    licence: str = "Not stated"
    data_licence: str = _NO_LICENCE
    synthetic: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("task", self.task, TASKS)
        if self.synthetic:
            self._checked("synthetic", names("synthetic", self.synthetic, "text such as 'my_generator:200:benign'"))
        for name in ("skip_bad", "overwrite", "finish"):
            self._checked(name, yes_or_no(name, getattr(self, name)))
        for name in ("positive", "modality", "licence", "data_licence"):
            if not isinstance(getattr(self, name), str):
                raise wrong(name, getattr(self, name), "It is text")
        share = self.validation
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= share < 1:
            raise wrong("validation", share, "It is a share of the cases, from 0 to less than 1, such as 0.2")
        if self.finish and self.overwrite:
            raise wrong("finish", self.finish, "What is finished cannot begin anew")
        given = self.sensitivity
        if given is not None and (isinstance(given, bool) or not isinstance(given, Real) or not 0 < given <= 1):
            raise wrong("sensitivity", given, "It is a number above 0 and at most 1, such as 0.95")
        if not len(self.data):
            raise InputError("There is nothing to train on.", "The data list is empty.", "Choose other data.")

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name."""
        chosen = {"device": self.device, "task": self.task, "data": self.data.name}
        chosen |= {"synthetic": ", ".join(self.synthetic)} if self.synthetic else {}
        return chosen | {name: str(value) for name, value in self.parameters.changed().items()}


@dataclass(frozen=True, eq=False)
class EvaluationRequest(TaskParameters):
    """One evaluation.

    Parameters
    ----------
    data : DataList
        Cases with references.
    split : str
        Which part of them: ``"training"``, ``"validation"``, ``"test"``, or ``""`` for all.
    folder : Path
        Where the report goes.
    count : int
        Of a generator's images; 0 for as many as there are real images that it learned from.
    seed : int
        Of a generator's images.
    utility : bool
        Also train on a generator's images, and judge on real cases what came out; takes long.
    utility_epochs : int
        Of each of these trainings.
    utility_cases : int
        That each of them has; 0 for as many as there are real ones to learn from.
    """

    data: DataList = field(default_factory=lambda: DataList(()))
    split: str = ""
    folder: Path = Path("evaluation")
    count: int = 0
    seed: int = 0
    utility: bool = False
    utility_epochs: int = 20
    utility_cases: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in _LEAST.items():
            self._checked(name, whole_number(name, getattr(self, name), least))
        self._checked("utility", yes_or_no("utility", self.utility))

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name."""
        chosen = {"device": self.device, "data": self.data.name, "split": self.split or "all cases"}
        return chosen | {name: str(value) for name in ("utility", *_LEAST) if (value := getattr(self, name))}
