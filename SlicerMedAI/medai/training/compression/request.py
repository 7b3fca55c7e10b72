"""What a person asks for when they compress or export a model. Picklable, and made without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medai.tasks.parameters import TaskParameters, count, fraction, one_of, wrong, yes_or_no
from medai.training.data import DataList
from medai.training.parameters import TrainingParameters

SUFFIXES = {"quantize": "int8", "prune": "pruned", "distill": "distilled", "decompose": "lowrank"}
"""What the name of the new model ends with, by method."""
METHODS = tuple(SUFFIXES)
_OWN = {"quantize": "calibration", "prune": "ratio", "distill": "ratio", "decompose": "energy"}
"""The choice that a method has to itself."""
FORMATS = {"torchscript": "model.ts", "onnx": "model.onnx", "openvino": "model.xml"}
"""What an export is called, by format."""
TASKS = ("segment", "classify", "detect", "denoise", "translate", "encode", "forecast", "synthesize")
"""Tasks whose models can be compressed: what they give can be judged."""
_USUAL: Mapping[str, object] = {"epochs": 20, "batch_size": 4, "learning_rate": 0.001, "ema": 0.005, "patches": 4}


def usual(method: str) -> dict[str, object]:
    """Hyper-parameters of the training that follows a method, where nothing else is said."""
    # A student begins with nothing, the others with most of what the original knows.
    return {**_USUAL, **({"epochs": 40, "learning_rate": 0.002} if method == "distill" else {})}


@dataclass(frozen=True, eq=False)
class CompressionRequest(TaskParameters):
    """One compression.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    data : DataList
        Images (or visits) to calibrate with or learn from, and cases with references to judge by. Undivided data are
        divided by patient. A generator of images needs none; where there are real images, its distance from them is
        judged, too.
    output : Path
        Folder of the new bundle.
    ratio : float
        Of ``"prune"`` and ``"distill"``: share of the channels of every layer that goes, above 0 and below 1.
    energy : float
        Of ``"decompose"``: share of the squared norm of a convolution's weights that its factors keep.
    calibration : int
        Of ``"quantize"``: images, series or codes to calibrate with.
    tolerance : float
        Largest fall of the task's metric, as a share of what it was, at which the model counts as good as before.
    replace : bool
        Put the new model in the place of the old one, unless the metric falls by more.
    overwrite : bool
        Remove what lies in `output`.
    parameters : TrainingParameters
        Of the training of a pruned, distilled or decomposed network: ``epochs``, ``batch_size``, ``patches``,
        ``learning_rate``, ``weight_decay``, ``ema`` and ``seed`` count.
    """

    method: str = "quantize"
    data: DataList = field(default_factory=lambda: DataList(()))
    output: Path = Path("compressed")
    ratio: float = 0.5
    energy: float = 0.8
    calibration: int = 64
    tolerance: float = 0.01
    replace: bool = False
    overwrite: bool = False
    parameters: TrainingParameters = field(default_factory=lambda: TrainingParameters.of(_USUAL))

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method", self.method, METHODS)
        self._checked("tolerance", fraction("tolerance", self.tolerance))
        self._checked("calibration", count("calibration", self.calibration))
        self._checked("replace", yes_or_no("replace", self.replace))
        self._checked("ratio", fraction("ratio", self.ratio))
        if not self.ratio:
            raise wrong("ratio", self.ratio, "It is a number above 0 and below 1, such as 0.5")
        energy = self.energy
        if isinstance(energy, bool) or not isinstance(energy, (int, float)) or not 0 < energy <= 1:
            raise wrong("energy", energy, "It is a number above 0 and at most 1, such as 0.8")

    def chosen(self) -> dict[str, object]:
        """What matters for the method, as JSON can hold it."""
        own = _OWN[self.method]
        return {own: getattr(self, own), **({} if self.method == "quantize" else self.parameters.changed())}

    def command(self, model: str) -> str:
        """What a person types to have the same done to a model again."""
        own = _OWN[self.method]
        given = {own: getattr(self, own)} if getattr(self, own) != getattr(type(self), own) else {}
        usually = TrainingParameters.of(usual(self.method)).plain()
        trained = {} if self.method == "quantize" else self.parameters.plain()
        return " ".join(
            (
                f"medai models compress {model} --method {self.method}",
                *(["--data DATA"] if len(self.data) else []),
                *(f"--{name} {value}" for name, value in given.items()),
                *(f"--set {name}={value}" for name, value in trained.items() if usually[name] != value),
            )
        )

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name."""
        chosen = {"method": self.method, "data": self.data.name, "tolerance": self.tolerance, **self.chosen()}
        return {"device": self.device, **{name: str(value) for name, value in chosen.items()}}


@dataclass(frozen=True, eq=False)
class ExportRequest(TaskParameters):
    """One export.

    Parameters
    ----------
    to : str
        One of `FORMATS`.
    folder : Path
        Where the files go.
    overwrite : bool
        Replace files of the same names.
    """

    to: str = "onnx"
    folder: Path = Path("export")
    overwrite: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("to", self.to, tuple(FORMATS))
        self._checked("overwrite", yes_or_no("overwrite", self.overwrite))

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name."""
        return {"device": "cpu", "to": self.to}
