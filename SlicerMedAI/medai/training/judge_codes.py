"""An autoencoder on cases: what its codes stand for, beside the images themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medai.jobs.job import Job
from medai.progress import Progress
from medai.tasks.encode.run import run as encode
from medai.training.data import DataList
from medai.training.data.voxels import read_source
from medai.training.evaluation import RestorationCase

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels


def encoded(
    root: Path, data: DataList, at: Callable[[int], None], loaded: LoadedModels, device: str
) -> Iterator[RestorationCase]:
    """Each image made anew of its code alone; the data range is from its 0.5 to its 99.5 percentile."""

    def tell(_: Progress) -> None:
        at(done)

    for done, item in enumerate(data):
        at(done)
        image = read_source(item.files["image"][0])
        made = encode(Job("encode", root, (image,), {"reconstruct": True, "device": device}), tell, loaded).volume
        low, high = np.percentile(image.array.astype(np.float64), (0.5, 99.5))
        yield RestorationCase(
            name=item.name,
            patient=item.patient,
            image=image,
            reference=image,
            restored=made,
            data_range=(float(low), float(high)) if low < high else None,
        )
    at(len(data))
