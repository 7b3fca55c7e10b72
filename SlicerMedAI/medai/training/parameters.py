"""What a person may choose of a training: one typed dataclass with ranges, read from and written to YAML."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from medai.errors import InputError, WriteError
from medai.tasks.parameters import made_of, wrong
from medai.training.ranges import checked, in_range, names_among

NETWORKS = (
    "auto",
    "unet",
    "dynunet",
    "segresnet",
    "wavelet_segresnet",
    "densenet121",
    "resnet10",
    "resnet18",
    "autoencoder",
    "retinanet",
    "generator",
    "gru",
    "lstm",
)
LOSSES = (
    "auto",
    "cross_entropy",
    "focal",
    "dice",
    "dice_ce",
    "mse",
    "l1",
    "ssim",
    "rms",
    "psnr",
    "hinge",
    "least_squares",
    "nll",
)
OPTIMIZERS = ("sgd", "adam", "adamw", "muon")
SCHEDULES = ("auto", "constant", "cosine", "one_cycle", "poly")
NORMALIZATIONS = ("auto", "none", "zscore", "percentile", "peak", "ct_window")
NOISES = ("auto", "rician", "gaussian", "low_dose_ct")
STEMS = (0, 1, 2, 4, 8)
VIEWS = (1, 2, 4, 8)
STEPS = ("denoise", "bias_field", "align", "crop_foreground")
AUGMENTATIONS = (
    "flip",
    "turn",
    "affine",
    "elastic",
    "intensity",
    "noise",
    "blur",
    "bias_field",
    "low_resolution",
    "zero_filling",
    "coarser",
    "cutout",
)


def _number(default: float, low: float, high: float, *, above: bool = False) -> Any:
    return field(default=default, metadata={"range": (low, high), "above": above})


def _choice(default: str, known: tuple[str, ...]) -> Any:
    return field(default=default, metadata={"known": known})


def _numbers(low: float, high: float, counts: tuple[int, ...], default: Any = None) -> Any:
    return field(default=default, metadata={"each": (low, high), "counts": counts})


def _own(default: Any, check: Callable[[str, object], object]) -> Any:
    return field(default=default, metadata={"check": check})


def _model(name: str, value: object) -> str:
    if not isinstance(value, (str, Path)):
        raise wrong(name, value, "It is the name of a model, or its folder")
    return str(value)


def _class_weights(value: object) -> str | tuple[float, ...]:
    if value in ("none", "balanced"):
        return str(value)
    if not isinstance(value, (list, tuple)) or not value:
        raise wrong("class_weights", value, "It is 'none', 'balanced', or a list with a weight for every class")
    return tuple(in_range("class_weights", one, (0, 1e6), whole=False) for one in value)


def _texts(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) and one for one in value):
        raise wrong(name, value, "It is a list of titles of columns")
    return tuple(value)


@dataclass(frozen=True)
class TrainingParameters:
    """Hyper-parameters.

    Parameters
    ----------
    epochs : int
        Times every training case is seen.
    batch_size : int
        Cases per step, of all processes together.
    network : str
        One of `NETWORKS`; ``"auto"`` takes what suits the task.
    width : int
        Channels of the first layer; 0 takes what suits the network.
    levels : int
        Resolutions that a U-Net, an autoencoder or a generator works at, each half as fine as the one before; 0 for 4.
        Fewer where a patch cannot be halved so often.
    widening : float
        How many times as many channels each resolution of a U-Net or an autoencoder has as the one before.
    patches : int
        Patches cut out of an image every time it is seen; a step sees as many of each of its cases.
    stem : int
        Of a ResNet or a detector: how much smaller its first layers make the image along each axis, 1, 2, 4 or 8
        times. More makes it faster and blind to what is smaller. 0 takes what suits the size, or the smallest boxes.
    code : int
        Of an autoencoder: numbers of its code for each cell of voxels that its halvings make one of. Of a generator:
        random numbers that an image is made of. 0 takes what suits the task.
    patch_size : tuple of int, or None
        Voxels along each axis that the network sees at once; the windows of the trained model are as large. The size
        that every image to classify is brought to, and synthetic ones have. None takes it from the data.
    spacing : tuple of float, or None
        mm along each axis that volumes are resampled to; None takes the median of the data. Not for 2D pictures.
    normalization : str
        One of `NORMALIZATIONS`; ``"auto"`` is a window for CT, percentiles and z-score for MR, percentiles otherwise.
        Of a denoiser it is ``"peak"`` instead of percentiles: 1 is the 99.5 percentile and 0 stays 0, where Rician
        noise differs from other noise.
    window : (float, float)
        Lowest and highest Hounsfield unit of ``"ct_window"``.
    preprocessing : tuple of str
        Which of `STEPS` come before all others, in training and in use: noise taken out by the model `denoiser`; the
        bias field of MR corrected (N4); volumes aligned with a template, which is made of the data and becomes a part
        of the model; what surrounds the object cut off.
    denoiser : str
        Name or folder of the denoising model for ``"denoise"``; a copy of it becomes a part of the model.
    augmentation : tuple of str, or None
        Which of `AUGMENTATIONS`; None takes what suits the task, an empty tuple none. ``"turn"`` is for images that
        have no upright: right angles and mirroring along all axes. A classifier that learned so, or from images that
        were mirrored (``"flip"``), takes the mean over such positions of an image. ``"zero_filling"`` leaves out the
        outer part of a magnetic resonance image's k-space, as scanners do that interpolate. ``"coarser"`` makes voxels
        of a denoiser's image twice as long along every axis, with a mean of eight each: less of the image's own noise.
        ``"cutout"`` fills boxes of the image, few large and many small ones, with one value: what lies there cannot be
        seen, and edges are as hard as those of a field of view or of metal.
    rotation : float
        Degrees, of ``"affine"``: largest turn about each axis; 180 where images have no upright.
    scaling : float
        Of ``"affine"``: largest change of size, as a share of it.
    lowest_resolution : float
        Of ``"low_resolution"``: smallest share of the image's own resolution that is left.
    views : int
        Of a denoiser that learned from mirrored images (``"flip"``): in how many mirrors, 1, 2, 4 or 8, it looks at
        every window; the mean is better than any, and takes as many times as long.
    noise : float
        Of a denoiser or autoencoder: strongest noise in its training, as a share of the image's range (from 0 to its
        99.5 percentile, or the whole `window`). Down to a thirtieth of it, every doubling is as likely.
    threshold : float
        Of a detector: score from which on its boxes are shown. 0 takes where F1 is highest on the validation cases.
    noise_model : str
        One of `NOISES`: ``"rician"`` of magnitude images, ``"low_dose_ct"`` as `medai.training.components.noise` has
        it, white ``"gaussian"``; ``"auto"`` is that of a low dose for CT, Rician otherwise.
    loss : str
        One of `LOSSES`; ``"auto"`` is Dice with cross entropy, cross entropy, or L1, after the task. ``"rms"`` is
        the root of each patch's mean squared error, with which weak noise weighs more than with ``"mse"``; with
        ``"psnr"``, its decibels, as much as strong noise. ``"hinge"`` and
        ``"least_squares"`` are a generator's, see `medai.training.components.adversarial`.
    adversarial : float
        Of a translation: weight of the discriminator's opinion beside the difference to the target, which has 1.
    ignore_label : int or None
        Of a segmentation: the value of voxels of which nobody knows what they are. They count neither in the loss nor
        in a score.
    class_weights : str or tuple of float
        ``"none"``, ``"balanced"`` (by the inverse frequency of each class), or a weight per class.
    mask_guidance : float
        Of a classifier (a ResNet) whose cases have masks of what tells the class: weight of marking it, class by class,
        in an inner stage of the network. It teaches where to look when cases are few, and is no part of the model.
    label_smoothing : float
        Of cross entropy between classes: share of the truth that is spread over all classes, which keeps a classifier
        of few cases from being too sure (Szegedy et al., CVPR 2016).
    weighted_sampling : bool
        Draw cases of rare classes, or with rare structures, more often.
    start_from : str
        Name or folder of a model whose weights are begun with, where shapes agree or its DynUNet is narrower; or empty.
    optimizer : str
        One of `OPTIMIZERS`; ``"muon"`` turns the step of every matrix of weights into one that is as long in every
        direction (Jordan et al., Muon, 2024), with which convolutional networks learn in fewer steps.
    learning_rate : float, or None
        Highest of the schedule; None takes 0.001, for a generator and its discriminator 0.0004.
    momentum : float
        Of SGD (Nesterov's when above 0).
    weight_decay : float
        L2 regularisation (decoupled with AdamW and Muon).
    l1 : float
        Weight of the sum of the absolute weights in the loss.
    schedule : str
        One of `SCHEDULES`; ``"auto"`` is one cycle, and constant for a generator.
    dropout : float
        Share of activations left out.
    gradient_clip : float
        Largest norm of the gradient; 0 for no limit.
    patience : int
        Validations without a better score until the training ends early; 0 for never.
    validate_every : int
        Epochs from one validation to the next.
    ema : float
        Momentum of the moving average of the weights that is validated and kept; 0 for none, of a generator for 0.005.
    amp : bool
        Mixed precision on a GPU.
    bf16 : bool
        Mixed precision on a processor that computes in bfloat16; elsewhere it changes nothing. Two to four times as
        fast, but not to the last digit the same on every computer.
    measurements, targets : tuple of str
        Of a forecaster: columns that it learns from (all that hold numbers that differ), and those that it forecasts.
    members : int
        Of a classifier or a forecaster: networks that it is made of, each of which learns for itself, from its own
        beginning and in its own order; their mean is nearer to the truth than most of them, and less sure where they
        disagree. As many times the time and the size; 0 is 5 for a forecaster, 1 for a classifier.
    missing : float
        Of a forecaster: chance of each visit, and of each measurement of a visit, to be left out while it learns.
    measured_by : str
        Of a forecaster: name of the model whose segments' volumes (mL) stand for values that images come without.
    seed : int
    workers : int
        Processes that prepare cases; their number does not change the result.
    cache : float
        Share of the cases kept in memory, prepared up to the first random step.

    Raises
    ------
    InputError
        Names the value that cannot be used, and what can.
    """

    epochs: int = _number(100, 1, 100_000)
    batch_size: int = _number(2, 1, 4096)
    network: str = _choice("auto", NETWORKS)
    width: int = _number(0, 0, 512)
    levels: int = _number(0, 0, 8)
    widening: float = _number(2.0, 1, 4)
    patches: int = _number(1, 1, 64)
    stem: int = _number(0, 0, 8)
    code: int = _number(0, 0, 512)
    patch_size: tuple[int, ...] | None = _numbers(8, 1024, (2, 3))
    spacing: tuple[float, ...] | None = _numbers(0.01, 100, (3,))
    normalization: str = _choice("auto", NORMALIZATIONS)
    window: tuple[float, ...] = _numbers(-10_000, 100_000, (2,), (-1000.0, 1000.0))
    preprocessing: tuple[str, ...] = _own((), lambda name, value: names_among(name, value, STEPS))
    denoiser: str = _own("", _model)
    augmentation: tuple[str, ...] | None = _own(
        None, lambda name, value: None if value is None else names_among(name, value, AUGMENTATIONS)
    )
    rotation: float = _number(15.0, 0, 180)
    scaling: float = _number(0.15, 0, 0.9)
    lowest_resolution: float = _number(0.5, 0, 1, above=True)
    views: int = _number(1, 1, 8)
    noise: float = _number(0.15, 0, 1, above=True)
    threshold: float = _number(0.0, 0, 1)
    noise_model: str = _choice("auto", NOISES)
    loss: str = _choice("auto", LOSSES)
    adversarial: float = _number(0.01, 0, 100)
    ignore_label: int | None = _own(
        None, lambda name, value: None if value is None else in_range(name, value, (1, 65_535), whole=True)
    )
    class_weights: str | tuple[float, ...] = _own("none", lambda _, value: _class_weights(value))
    mask_guidance: float = _number(0.0, 0, 100)
    label_smoothing: float = _number(0.0, 0, 0.5)
    weighted_sampling: bool = False
    start_from: str = _own("", _model)
    optimizer: str = _choice("adamw", OPTIMIZERS)
    learning_rate: float | None = _own(
        None, lambda name, value: None if value is None else in_range(name, value, (0, 10), whole=False, above=True)
    )
    momentum: float = _number(0.9, 0, 0.999)
    weight_decay: float = _number(0.01, 0, 1)
    l1: float = _number(0.0, 0, 1)
    schedule: str = _choice("auto", SCHEDULES)
    dropout: float = _number(0.0, 0, 0.95)
    gradient_clip: float = _number(0.0, 0, 1e6)
    patience: int = _number(0, 0, 100_000)
    validate_every: int = _number(1, 1, 100_000)
    ema: float = _number(0.0, 0, 0.999)
    amp: bool = True
    bf16: bool = False
    measurements: tuple[str, ...] = _own((), _texts)
    targets: tuple[str, ...] = _own((), _texts)
    measured_by: str = _own("", _model)
    members: int = _number(0, 0, 64)
    missing: float = _number(0.1, 0, 0.9)
    seed: int = _number(0, 0, 2**31 - 1)
    workers: int = _number(0, 0, 64)
    cache: float = _number(1.0, 0, 1)

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, checked(each, getattr(self, each.name)))
        if self.stem not in STEMS:
            raise wrong("stem", self.stem, f"It is one of: {', '.join(map(str, STEMS))}")
        if self.views not in VIEWS:
            raise wrong("views", self.views, f"It is one of: {', '.join(map(str, VIEWS))}")
        if self.window[0] >= self.window[1]:
            raise wrong("window", self.window, "It is the lowest and the highest value, in this order")
        if ("denoise" in self.preprocessing) != bool(self.denoiser):
            raise wrong("denoiser", self.denoiser, "It is given together with the step 'denoise' of 'preprocessing'")
        if self.patch_size and self.spacing and len(self.patch_size) != len(self.spacing):
            raise wrong("spacing", self.spacing, "Pictures with a patch size of two numbers have no spacing")

    @classmethod
    def of(cls, given: Mapping[str, object]) -> TrainingParameters:
        """From names and values; what is left out keeps its default.

        Raises
        ------
        InputError
            When a name is unknown or a value cannot be used.
        """
        return made_of(cls, given, "a training")

    @classmethod
    def read(cls, path: Path) -> TrainingParameters:
        """From a YAML (or JSON) file of names and values.

        Raises
        ------
        InputError
            When the file cannot be read, or a name or value in it cannot be used.
        """
        import yaml

        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(
                f"The parameters in '{path.name}' cannot be read.",
                "There is no such file, or it is not written in YAML.",
                "Check its name and content; every line is 'name: value'.",
                details=repr(error),
            ) from error
        if not isinstance(content, Mapping):
            raise InputError(
                f"The parameters in '{path.name}' cannot be read.",
                "The file does not hold names with values.",
                "Write every line as 'name: value'.",
            )
        return cls.of({str(name): value for name, value in content.items()})

    def write(self, path: Path) -> None:
        """To a YAML file that `read` reads.

        Raises
        ------
        WriteError
            When it cannot be written.
        """
        import yaml

        try:
            path.write_text(yaml.safe_dump(self.plain(), sort_keys=False), encoding="utf-8")
        except OSError as error:
            raise WriteError(
                f"The parameters cannot be written to '{path}'.",
                f"The computer reports: {error.strerror or error}.",
                "Choose another place.",
            ) from error

    def plain(self) -> dict[str, object]:
        """Names and values as JSON and YAML can hold them."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def changed(self) -> dict[str, object]:
        """Those that are not the default."""
        default = TrainingParameters().plain()
        return {name: value for name, value in self.plain().items() if value != default[name]}
