"""Images that a generator makes, as more cases to train with; never to judge by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medai.bundles import library
from medai.bundles.description import Description, describe
from medai.errors import InputError
from medai.files import write
from medai.progress import Progress, Report
from medai.result import Labelmap
from medai.training import folder
from medai.training.data import DataList, DataReport
from medai.training.data.item import TRAINING, DataItem, Source
from medai.volume import Volume

KEY = "synthetic"
"""Of the value that marks a case in a data list."""
FITTING = ("classify", "denoise", "encode", "segment")
_SPELLED = re.compile(r"(?P<bundle>.+?):(?P<count>[0-9]{1,7})(:(?P<label>.+))?")


@dataclass(frozen=True)
class Synthesis:
    """Some images of one generator.

    Parameters
    ----------
    bundle : str
        Name or folder of a model that makes images from random numbers.
    count : int
    label : str
        For a classifier, what the images show: the name or number of a class. ``""`` where the generator makes images
        of several classes, which then take turns.
    """

    bundle: str
    count: int
    label: str = ""

    @staticmethod
    def of(text: str) -> Synthesis:
        """From ``BUNDLE:COUNT`` or ``BUNDLE:COUNT:LABEL``.

        Raises
        ------
        InputError
            When it is not spelled so.
        """
        found = _SPELLED.fullmatch(text)
        if found is None or int(found["count"]) < 1:
            raise InputError(
                f"'{text}' does not say which synthetic images to train with.",
                "It is the name or folder of a model, the number of images, and for a classifier the class they show.",
                "Write it as MODEL:COUNT or MODEL:COUNT:CLASS, such as my_generator:200:benign.",
            )
        return Synthesis(found["bundle"], int(found["count"]), found["label"] or "")

    def __str__(self) -> str:
        return ":".join(filter(None, (self.bundle, str(self.count), self.label)))


def with_synthetic(data: DataList, wanted: Sequence[Synthesis], root: Path, report: DataReport, task: str) -> DataList:
    """The same cases, and as training cases those that are yet to be made.

    Parameters
    ----------
    data : DataList
        Divided. Synthetic cases that it has already are moved to its training part.
    wanted : sequence of Synthesis
    root : Path
        The folder of the bundle to be trained, whose ``runs`` keeps the images.
    report : DataReport
        Of the check of the real cases.
    task : str
        That is trained.

    Raises
    ------
    BundleNotFoundError
        When there is no such generator.
    InputError
        When it generates nothing, or its images cannot be used for the task.
    """
    items = [replace(item, split=TRAINING) if item.values.get(KEY) else item for item in data]
    if not wanted:
        return data.with_items(items)
    if task not in FITTING:
        raise InputError(
            f"Synthetic images cannot be used for the task '{task}'.",
            "They come without the boxes that it learns from.",
            f"Leave them out, or train for: {', '.join(FITTING)}.",
        )
    ending = "mha" if report.images["image"].size[2].high == 1 else "nii.gz"
    notes = []
    for number, some in enumerate(wanted):
        about = _generator(some.bundle)
        name = about.name
        if task == "segment" and not about.segments:
            raise InputError(
                f"The synthetic images of '{some.bundle}' cannot be used for a segmentation.",
                "They come without the label maps that it learns from.",
                "Choose a generator that was trained on images with label maps.",
            )
        labels = _labels(data, some, about) if task == "classify" else []
        for n in range(some.count):
            called = f"{number}_{name}_{n:05d}"
            files = {"image": (root / folder.RUNS / KEY / f"{called}.{ending}",)}
            if task == "segment":
                files["label"] = (root / folder.RUNS / KEY / f"{called}_seg.{ending}",)
            values: dict[str, object] = {KEY: True} | ({"label": labels[n % len(labels)]} if labels else {})
            items.append(DataItem(f"{KEY} {called}", files, values, split=TRAINING))
        shown = f" of '{some.label}'" if some.label else ""
        notes.append(f"{some.count} of the training cases are synthetic images{shown}, made by '{name}'.")
    return data.with_items(items, *notes)


def synthesize(
    data: DataList, wanted: Sequence[Synthesis], real: DataReport, *, seed: int, device: str, report: Report
) -> None:
    """Make the images that are missing; the same for the same seed.

    Parameters
    ----------
    data : DataList
        From `with_synthetic`.
    wanted : sequence of Synthesis
        The same as there.
    real : DataReport
        Tells the size of a voxel, which generators do not know, and the number of channels.
    seed : int
    device : str
        A PyTorch device that exists on this computer.
    report : callable
        Hears of every image; may raise `medai.errors.JobCancelled`.

    Raises
    ------
    InputError
        When the generator's images are not like the real ones.
    MedAIError
        As `medai.bundles.pipeline.Pipeline`, and when the disk is full.
    """
    total, done = sum(some.count for some in wanted), 0
    made = iter(data.items[len(data) - total :])
    for number, some in enumerate(wanted):
        files = [item.files for item in islice(made, some.count)]
        # The label map is written first: where there is an image, there is all of its case.
        todo = [(n, file) for n, file in enumerate(files) if not _path(file, "image").is_file()]
        done += some.count - len(todo)
        if not todo:
            continue
        from medai.bundles.pipeline import Pipeline
        from medai.tasks.synthesize.sampling import samples

        about = _generator(some.bundle)
        pipeline = Pipeline(about.root, device)
        asked = next((name for name in about.conditions if name.casefold() == some.label.casefold()), None)
        own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
        for n, file in todo:
            report(Progress("Making synthetic images", done, total))
            (sample,) = samples(pipeline, 1, own, first=n, condition=asked)
            image = _placed(sample.image, real, some.bundle)
            path = _path(file, "image")
            path.parent.mkdir(parents=True, exist_ok=True)
            if "label" in file and sample.labelmap is not None:
                write(Volume(_renumbered(sample.labelmap, data), image.affine), _path(file, "label"))
            write(image, path)
            done += 1


def _generator(name: str) -> Description:
    root = library.find(name)
    about = describe(root)
    if about.task != "synthesize":
        raise InputError(
            f"The model '{name}' makes no synthetic images.",
            f"It is made for another task ({about.task}).",
            "Choose a model that makes images from random numbers.",
        )
    return about


def _path(files: Mapping[str, Sequence[Source]], key: str) -> Path:
    return Path(str(files[key][0]))


def _renumbered(labelmap: Labelmap, data: DataList) -> NDArray[np.unsignedinteger]:
    """Its structures with the values that those of the same names have in the data."""
    names = {name.casefold(): value for value, name in data.label_names.items()}
    found = np.zeros(labelmap.layers.shape[1:], np.uint16)
    for segment in labelmap.segments:
        # Without a name in the data, a model calls a structure after its value there.
        word = segment.name.removeprefix("label ")
        value = names.get(segment.name.casefold(), int(word) if word.isdecimal() else segment.value)
        found[labelmap.mask(segment)] = value
    return found


def _labels(data: DataList, some: Synthesis, about: Description) -> list[int]:
    """Of the first images; those that follow show the same again."""
    if some.label or not about.conditions:
        return [_label(data, some)]
    return [_label(data, replace(some, label=name)) for name in about.conditions]


def _label(data: DataList, some: Synthesis) -> int:
    names = {name.casefold(): value for value, name in data.label_names.items()}
    values = {item.label for item in data if isinstance(item.label, int)} | set(data.label_names)
    label = names.get(some.label.casefold(), int(some.label) if some.label.isdecimal() else None)
    if data.multi_label or label is None or label not in values:
        known = ", ".join(data.label_names.get(value, str(value)) for value in sorted(values))
        raise InputError(
            f"'{some.label}' is not what the synthetic images of '{some.bundle}' can be said to show.",
            "They are for a classifier whose classes exclude each other, and all show one of them.",
            f"Write MODEL:COUNT:CLASS with one of: {known}.",
        )
    return label


def _placed(image: Volume, real: DataReport, bundle: str) -> Volume:
    """With voxels of the real images' size along R, A and S, where the generator does not know its own."""
    facts = real.images["image"]
    planar = facts.size[2].high == 1
    if image.channels != facts.channels[0] or (image.shape[0] == 1) != planar:
        kind = "pictures" if planar else "volumes"
        raise InputError(
            f"The synthetic images of '{bundle}' cannot be used together with the data.",
            f"They have {' x '.join(map(str, image.shape[::-1]))} voxels and {image.channels} channel(s); the data are "
            f"{kind} with {facts.channels[0]}.",
            "Choose a generator that was trained on such images.",
        )
    if not np.array_equal(image.affine, np.eye(4)):
        return image
    return replace(image, affine=np.diag([*(axis.median for axis in facts.spacing), 1.0]))
