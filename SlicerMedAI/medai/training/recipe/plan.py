"""What follows from the data: how large, how many channels and classes, which steps suit them."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from medai.errors import InputError
from medai.training.data import DataList, DataReport
from medai.training.data.item import TRAINING, ArrayReference
from medai.training.parameters import TrainingParameters
from medai.training.recipe.anchors import anchor_shapes, fitting_stem
from medai.training.recipe.changes import changes
from medai.training.recipe.chosen_steps import check_steps
from medai.training.recipe.guidance import check_guidance
from medai.training.recipe.learning import how_to_learn
from medai.training.recipe.made_images import Scene, scene_of
from medai.training.recipe.networks import FITTING, default_network, smallest_edge, stride_of, too_shallow
from medai.training.recipe.target import Target, check_target, target_of

TASKS = ("segment", "classify", "detect", "denoise", "encode", "synthesize", "translate")
RESTORING = ("denoise", "encode")
"""Tasks whose result is the image itself, made better, or anew of its code."""
_MOST_CLASSES = 1000
_LARGEST_PATCH = {2: 256, 3: 96}
_LARGEST_MADE = 64
_LARGEST_PICTURE = {2: 224, 3: 64}
_CONCERN_BYTES = 4  # a cached voxel


@dataclass(frozen=True)
class Plan:
    """A training, decided in every part.

    Parameters
    ----------
    task : str
        One of `TASKS`.
    name : str
        Of the model.
    dimensions : int
        2 for pictures, 3 for volumes.
    channels : int
        Of the image.
    classes : mapping of int to str
        Label values of the data with their names; for a segmentation without the background.
    multi_label : bool
        Whether the classes do not exclude each other.
    modality : str
        DICOM modality, ``""`` when unknown.
    parameters : TrainingParameters
        With nothing left to ``"auto"`` or None, but `spacing` of what is not resampled.
    plain_files : bool
        Whether MONAI's own reader reads all of the data.
    counts : mapping of int to int
        Voxels, cases or boxes per label value in the training part, where known.
    maps : bool
        Whether every case has a label map, which is learned from.
    scene : Scene or None
        Of a generator: where its images are, and on which scale.
    anchors : tuple of tuple of int
        Of a detector: the boxes its guesses begin with, edges in voxels, the smallest first.
    target : Target or None
        Of a translation: what images are made into.
    """

    task: str
    name: str
    dimensions: int
    channels: int
    classes: Mapping[int, str]
    multi_label: bool
    modality: str
    parameters: TrainingParameters
    plain_files: bool
    counts: Mapping[int, int] = field(default_factory=dict)
    anchors: tuple[tuple[int, ...], ...] = ()
    maps: bool = False
    scene: Scene | None = None
    target: Target | None = None

    @property
    def restores(self) -> bool:
        """Whether the task is one of `RESTORING`."""
        return self.task in RESTORING

    @property
    def synthesizes(self) -> bool:
        """Whether images are made of random numbers."""
        return self.task == "synthesize"

    @property
    def conditions(self) -> tuple[str, ...]:
        """What a generator can be asked to show: the classes of the data."""
        return tuple(self.classes.values()) if self.synthesizes and not self.maps else ()

    @property
    def code_length(self) -> int:
        """Numbers that a generator starts with, those for its conditions included."""
        return self.parameters.code + len(self.conditions)

    @property
    def gives_image(self) -> bool:
        """Whether the result is an image: the same made better, or another."""
        return self.restores or self.target is not None

    @property
    def guided(self) -> bool:
        """Whether masks guide the training."""
        return self.task == "classify" and self.parameters.mask_guidance > 0

    @property
    def members(self) -> int:
        """Networks that learn side by side, and answer together."""
        return self.parameters.members if self.task == "classify" else 1

    @property
    def keeps_grid(self) -> bool:
        """Whether the network sees the image's own voxels, in their own order."""
        return self.dimensions == 2 or (self.task == "denoise" and self.parameters.spacing is None)

    @property
    def outputs(self) -> int:
        """Channels of the network's output."""
        if self.target is not None:
            return self.target.channels
        if self.restores:
            return self.channels
        if self.synthesizes:
            return self.channels + (len(self.classes) + 1 if self.maps else 0)
        return len(self.classes) + (1 if self.task == "segment" else 0)

    @property
    def patch(self) -> tuple[int, ...]:
        """What the network sees at once."""
        assert self.parameters.patch_size is not None
        return self.parameters.patch_size

    @property
    def weights(self) -> tuple[float, ...] | None:
        """Weight of each output in the loss, mean 1; None for equal ones."""
        wanted = self.parameters.class_weights
        if wanted == "none" or self.gives_image:
            return None
        values = [0, *self.classes] if self.task == "segment" else list(self.classes)
        if not isinstance(wanted, str):
            if len(wanted) != len(values):
                raise InputError(
                    "The class weights do not fit the data.",
                    f"There are {len(wanted)} weights and {len(values)} classes.",
                    "Give one weight per class (for a segmentation, the background's first).",
                )
            return wanted
        counts = [max(self.counts.get(value, 0), 1) for value in values]
        raw = [sum(counts) / count for count in counts]
        if self.task == "segment":  # voxels of the background outnumber all others by far more than they matter
            raw = [math.sqrt(weight) for weight in raw]
        return tuple(round(weight * len(raw) / sum(raw), 6) for weight in raw)


def plan(
    data: DataList, report: DataReport, task: str, parameters: TrainingParameters, *, name: str, modality: str = ""
) -> Plan:
    """Decide what parameters leave open, by what the check has found in the data.

    Raises
    ------
    InputError
        When the data do not fit the task, or the parameters the data.
    """
    if task not in TASKS:
        raise InputError(f"There is no training for '{task}'.", "", f"Choose one of: {', '.join(TASKS)}.")
    training = data.part(TRAINING)
    if "image" not in report.images or not len(training):
        raise InputError("There is nothing to train on.", "No case of the data is for training.", "Choose other data.")
    image = report.images["image"]
    if len(image.channels) != 1:
        raise InputError(
            "The images cannot be learned from together.",
            f"Some have {image.channels[0]} channels, others {image.channels[-1]}.",
            "Convert them all to grey or all to colour.",
        )
    check_guidance(parameters, task, data)
    if task == "translate":
        check_target(parameters, report)
    dimensions = 2 if image.size[2].high == 1 else 3
    modality = modality or ("CT" if image.minimum.median <= -900 else "")
    maps = task == "segment" or (task == "synthesize" and all("label" in item.files for item in training))
    counts = _counts(training, report, task, maps=maps)
    if parameters.ignore_label is not None:
        counts.pop(parameters.ignore_label, None)
    classes = _classes(data, task, counts, maps=maps)
    check_steps(parameters, task, dimensions)
    decided = _decided(parameters, task, dimensions, report, modality)
    anchors: tuple[tuple[int, ...], ...] = ()
    if task == "detect":
        assert decided.patch_size is not None
        anchors = anchor_shapes(training, report, decided.patch_size, decided.spacing)
        decided = dataclasses.replace(decided, stem=decided.stem or fitting_stem(anchors))
    return Plan(
        task=task,
        name=name,
        dimensions=dimensions,
        channels=image.channels[0],
        classes={n: name for n, name in classes.items() if n != parameters.ignore_label},
        multi_label=task == "classify" and data.multi_label,
        modality=modality,
        parameters=decided,
        plain_files=_is_plain(data),
        counts=counts,
        anchors=anchors,
        maps=maps,
        scene=scene_of(image, decided) if task == "synthesize" else None,
        target=target_of(training, report) if task == "translate" else None,
    )


def _decided(
    given: TrainingParameters, task: str, dimensions: int, report: DataReport, modality: str
) -> TrainingParameters:
    image = report.images["image"]
    network = default_network(task) if given.network == "auto" else given.network
    if network not in FITTING[task]:
        raise InputError(
            f"'{network}' cannot be used for 'network'.",
            f"It is not made for the task '{task}'.",
            f"Use one of: {', '.join(FITTING[task])}.",
        )
    spacing = given.spacing
    if dimensions == 2:
        spacing = None
    # Resampling would take noise and detail away.
    elif spacing is None and (task not in ("classify", "denoise") or "align" in given.preprocessing):
        spacing = tuple(round(axis.median, 4) for axis in image.spacing)
    patch = given.patch_size or _patch(task, dimensions, report, spacing, network)
    _check_patch(patch, network, given, task, dimensions)
    norm = given.normalization
    if norm == "auto":
        centred = dimensions == 3 and task not in (*RESTORING, "synthesize", "translate")
        usual = "peak" if task == "denoise" else "zscore" if centred else "percentile"
        norm = "ct_window" if modality == "CT" else usual
    if task == "synthesize" and norm not in ("percentile", "ct_window"):
        raise InputError(
            f"'{norm}' cannot be used for 'normalization'.",
            "A generator makes images from a lowest to a highest value.",
            "Use one of: percentile, ct_window.",
        )
    noise = given.noise_model
    if noise == "auto":
        noise = "low_dose_ct" if modality == "CT" else "rician"
    voxels = math.prod(axis.median for axis in image.size) * image.channels[0] * _CONCERN_BYTES
    room = psutil.virtual_memory().total / 4
    cache = min(given.cache, round(room / max(voxels * sum(report.cases.values()), 1), 3))
    return dataclasses.replace(
        given,
        network=network,
        patch_size=patch,
        spacing=spacing,
        normalization=norm,
        noise_model=noise,
        augmentation=changes(given, task, dimensions, modality),
        members=given.members or 1,
        cache=cache,
        **how_to_learn(given, task),
    )


def _check_patch(patch: tuple[int, ...], network: str, given: TrainingParameters, task: str, dimensions: int) -> None:
    if len(patch) != dimensions:
        raise InputError(
            f"'{given.patch_size}' cannot be used for 'patch_size'.",
            f"The images have {dimensions} dimensions.",
            f"Give {dimensions} numbers, or leave it out.",
        )
    if min(patch) < smallest_edge(network):
        raise InputError(
            f"'{network}' cannot be used for images of {' x '.join(map(str, patch))} voxels.",
            f"It needs at least {smallest_edge(network)} along every edge.",
            "Give a larger patch_size, or choose another network.",
        )
    if too_shallow(network, patch, given.levels):
        raise InputError(
            f"'{network}' cannot be used for windows of {' x '.join(map(str, patch))} voxels.",
            "It halves them at least twice, down to 4 voxels, so one edge needs 16 and 'levels' is 3 or more.",
            f"Give a larger patch_size, or choose another network: {', '.join(FITTING[task][1:])}.",
        )
    step = stride_of(network, patch, given.levels)
    if task != "classify" and any(size % s for size, s in zip(patch, step, strict=True)):
        raise InputError(
            f"'{given.patch_size}' cannot be used for 'patch_size'.",
            "The network halves it several times.",
            f"Give multiples of {', '.join(map(str, step))}.",
        )


def _patch(
    task: str, dimensions: int, report: DataReport, spacing: tuple[float, ...] | None, network: str
) -> tuple[int, ...]:
    """About the median image, in multiples of what the network needs, and no larger than memory allows."""
    image = report.images["image"]
    sizes = []
    for axis in range(dimensions):
        size = image.size[axis].median
        sizes.append(size if spacing is None else size * image.spacing[axis].median / spacing[axis])
    if task == "classify":
        return (min(max(round(max(sizes)), 16), _LARGEST_PICTURE[dimensions]),) * dimensions
    largest = _LARGEST_MADE if task == "synthesize" else _LARGEST_PATCH[dimensions]
    if task == "synthesize" and dimensions == 2:
        sizes = [max(sizes)] * 2  # every picture keeps its proportions
    if task == "detect" and dimensions == 2:
        sizes = [max(sizes)] * 2  # every picture is brought to this longest edge
    patch = tuple(max(8, min(largest, int(size) // 8 * 8)) for size in sizes)
    step = stride_of(network, patch)
    return tuple(max(s, size // s * s) for size, s in zip(patch, step, strict=True))


def _classes(data: DataList, task: str, counts: Mapping[int, int], *, maps: bool) -> dict[int, str]:
    if task in (*RESTORING, "translate") or (task == "synthesize" and not counts):
        return {}
    if maps or task == "segment":
        values = {value for value in (*counts, *data.label_names) if value > 0}
        if not values or not any("label" in item.files for item in data):
            raise InputError(
                "A segmentation cannot be learned from these data.",
                "They have no label maps.",
                "Choose a folder with images and labels, or another task.",
            )
        return {value: data.label_names.get(value, f"label {value}") for value in sorted(values)}
    if task == "detect":
        return _named(data, max(counts, default=0) + 1)
    if data.multi_label:
        width = max((len(item.label) for item in data if isinstance(item.label, tuple)), default=0)
        return _named(data, width, "finding")
    values = {item.label for item in data if isinstance(item.label, int)} | set(data.label_names)
    if len(values) < 2:
        raise InputError(
            "A classification cannot be learned from these data.",
            "They have fewer than two classes.",
            "Choose data with a class for every image, or another task.",
        )
    return _named(data, max(values) + 1)


def _named(data: DataList, count: int, word: str = "class") -> dict[int, str]:
    """Names of so many classes, which are numbered from 0; a network has an output for every number."""
    if count > _MOST_CLASSES:
        raise InputError(
            "The labels of the data are no numbers of classes.",
            f"The largest is {count - 1}; classes are numbered from 0, and at most {_MOST_CLASSES} can be told apart.",
            "Number the classes from 0 on, or give their names as labels.",
        )
    return {n: data.label_names.get(n, f"{word} {n}") for n in range(count)}


def _counts(training: DataList, report: DataReport, task: str, *, maps: bool) -> dict[int, int]:
    if maps or task == "segment":
        names = {name: value for value, name in training.label_names.items()}
        return {names.get(name, int(name) if name.isdecimal() else 0): n for name, n in report.voxels.items()}
    labels = [item.label for item in training]
    if task == "detect":
        return dict(Counter(n for label in labels if isinstance(label, tuple) for n in label if isinstance(n, int)))
    found = [place for label in labels if isinstance(label, tuple) for place, value in enumerate(label) if value == 1]
    return dict(Counter(found + [label for label in labels if isinstance(label, int)]))


def _is_plain(data: DataList) -> bool:
    sources = [source for item in data for files in item.files.values() for source in files]
    return all(
        not isinstance(source, ArrayReference) and Path(source).name.endswith((".nii", ".nii.gz")) for source in sources
    )
