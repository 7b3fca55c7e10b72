"""What a detector finds, beside the boxes it should find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from medai.bundles.description import Description
from medai.bundles.detections import detections_of
from medai.result import Boxes
from medai.training.class_order import names_in
from medai.training.data import DataList
from medai.training.data.boxes import box_region
from medai.training.data.item import DataItem
from medai.training.data.voxels import read_source
from medai.training.evaluation import DetectionCase
from medai.training.evaluation.boxes import BoxArray
from medai.volume import Volume

if TYPE_CHECKING:
    from medai.bundles.pipeline import Pipeline


def detected(
    pipeline: Pipeline, data: DataList, at: Callable[[int], None], description: Description
) -> Iterator[DetectionCase]:
    """Cases of a detector, each with all boxes that it gives, however unsure of them.

    Boxes are compared in millimetres along the image's own axes. A model that knows one class only is not asked which
    class a box has.
    """
    only = description.classes[0] if len(description.classes) == 1 else ""
    called = {} if only else names_in(data, description)
    for number, item in enumerate(data):
        at(number)
        images = tuple(read_source(source) for source in item.files["image"])
        sample = pipeline.infer(pipeline.preprocess(images))
        found = detections_of(sample, pipeline.image_key(sample))
        names = tuple(_named(description.classes, int(label)) for label in found.labels)
        boxes = Boxes(found.regions(), tuple(float(score) for score in found.scores), names, item.name)
        axes = images[0].affine[:3, :3] / np.linalg.norm(images[0].affine[:3, :3], axis=0)
        yield DetectionCase(
            name=item.name,
            patient=item.patient,
            image=images[0],
            reference=BoxArray.of(_reference(item, images[0], called, only), axes),
            prediction=BoxArray.of(boxes, axes),
            axes=axes,
        )
    at(len(data))


def _reference(item: DataItem, image: Volume, called: Mapping[int, str], only: str) -> Boxes:
    boxes, labels = item.values["box"], item.label
    assert isinstance(boxes, tuple)
    assert isinstance(labels, tuple)
    regions = tuple(box_region(box, image.affine) for box in boxes)
    names = tuple(only or called[label] for label in labels)
    return Boxes(regions, (1.0,) * len(regions), names, item.name)


def _named(classes: tuple[str, ...], label: int) -> str:
    return classes[label] if 0 <= label < len(classes) else f"class {label}"
