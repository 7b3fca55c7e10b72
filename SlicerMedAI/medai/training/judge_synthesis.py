"""A generator beside the images it learned from: what it makes is compared with real images on its own grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from medai.bundles import configs
from medai.errors import InputError
from medai.progress import Progress, Report
from medai.tasks.synthesize.sampling import samples
from medai.training.data import DataList
from medai.training.data.item import TEST, TRAINING, VALIDATION
from medai.training.data.splits import split
from medai.training.data.voxels import read_source
from medai.training.evaluation import About, Evaluation, SynthesisCase, evaluate
from medai.training.features import ABOUT, Features
from medai.training.framing import Frame
from medai.training.utility import Trials, with_utility
from medai.volume import Volume

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

Images = NDArray[np.float32]
Origin = Literal["synthetic", "training", "held back"]
Real = tuple[str, str, Volume]
"""Name, patient, image."""
STAGE = "Making images"
MOST = 1000
"""Real images that are looked at of each part: every image is compared with every other."""


def generated(
    root: Path,
    data: DataList,
    report: Report,
    loaded: LoadedModels,
    *,
    device: str,
    about: About,
    held: str = "",
    count: int = 0,
    seed: int = 0,
    trials: Trials | None = None,
) -> Evaluation:
    """Evaluate a model that makes images.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    data : DataList
        Real images. What is for training there is what the generator is taken to have learned from; undivided data are
        divided as `medai.train` divided them for this generator, if it was asked for the usual share to validate with.
    report : callable
        Hears of every image; may raise to stop.
    loaded : LoadedModels
        Runs the model.
    device : str
    about : About
    held : str
        The part of the data that the generator did not learn from; by default the one for validation, or for a test.
    count : int
        Of the synthetic images; 0 for as many as there are real ones to learn from.
    seed : int
        Of the synthetic images, the features, and all that is drawn.
    trials : Trials or None
        Also train with the images, to see what they are good for; takes long.
    """
    divided = data if data.is_split else split(data, seed=_seed(root))
    rest = divided.part(held) if held else divided.part(VALIDATION) or divided.part(TEST)
    learned = divided.part(TRAINING)
    wanted = count or max(min(len(learned), MOST), 4)
    made: list[Volume] = []
    for sample in samples(loaded.get(root, device), wanted, seed):
        report(Progress(STAGE, len(made), wanted))
        made.append(sample.image)
    found = compared(made, _read(learned, report), _read(rest, report), report, about=about, seed=seed, device=device)
    if trials is None:
        return found
    return with_utility(
        found, root, report, loaded, learned=learned, held=rest, trials=trials, device=device, seed=seed
    )


def _seed(root: Path) -> int:
    """Of the generator's own training, by which its data were divided."""
    kept = configs.all_named(root, "train")
    found = configs.read(kept[0]).get("seed") if kept else 0
    return found if isinstance(found, int) else 0


def compared(
    made: Iterable[Volume],
    learned: Iterable[Real],
    held: Iterable[Real],
    report: Report,
    *,
    about: About,
    seed: int = 0,
    device: str = "cpu",
) -> Evaluation:
    """Compare synthetic images with real ones.

    Parameters
    ----------
    made : iterable of Volume
        Synthetic images of one size.
    learned, held : iterable of Real
        Real images, those that the generator learned from and others.
    """
    synthetic = [(f"synthetic {n:04d}", "", image) for n, image in enumerate(made)]
    if not synthetic:
        raise InputError("The generator cannot be evaluated.", "It has made no image.", "Ask for some images.")
    frame = Frame.of(synthetic[0][2])
    parts: dict[Origin, list[Real]] = {"synthetic": synthetic, "training": [], "held back": []}
    for origin, some in (("training", learned), ("held back", held)):
        parts[origin] = list(some)  # type: ignore[index]
    framed = {
        origin: [(name, patient, frame(image)) for name, patient, image in some] for origin, some in parts.items()
    }
    if not framed["training"]:
        raise InputError(
            "The generator cannot be evaluated.",
            "There is no image that it may have learned from.",
            "Give the data that it was trained on, divided as they were then.",
        )
    features = Features(_stack([image for *_, image in framed["training"]]), report, seed=seed, device=device)
    told = replace(about, notes=(*about.notes, f"What FID and the classifier see of an image: {ABOUT}."))
    return evaluate("synthesize", _cases(framed, features), about=told)


def _cases(framed: dict[Origin, list[Real]], features: Features) -> Iterator[SynthesisCase]:
    for origin, some in framed.items():
        if not some:
            continue
        numbers, traits = features(_stack([image for *_, image in some]))
        for (name, patient, image), number, trait in zip(some, numbers, traits, strict=True):
            yield SynthesisCase(name=name, patient=patient, image=image, origin=origin, features=number, traits=trait)


def _stack(images: Iterable[Volume]) -> Images:
    stacked = np.stack([image.array for image in images]).astype(np.float32)
    return stacked[:, 0] if stacked.shape[1] == 1 else stacked


def _read(data: DataList, report: Report) -> Iterator[Real]:
    """Up to `MOST` cases, evenly taken."""
    items = data.items[:: -(-len(data) // MOST)] if len(data) else ()
    for number, item in enumerate(items):
        report(Progress("Reading real images", number, len(items)))
        yield item.name, item.patient, read_source(item.files["image"][0])
