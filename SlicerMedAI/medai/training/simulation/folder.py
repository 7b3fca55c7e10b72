"""A folder of simulated series, which a training reads."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from medai.errors import InputError, WriteError
from medai.files import write
from medai.progress import Progress, Report, ignore
from medai.training.data import DataList
from medai.training.data.item import TEST, TRAINING, VALIDATION, DataItem
from medai.training.data.longitudinal import DATE, GROUP, IMAGE, LABEL, SIMULATED, SPLIT, SUBJECT, VISIT
from medai.training.data.voxels import read_source
from medai.training.simulation.subjects import SimulatedVisit, Simulation, simulated
from medai.volume import Volume

TABLE = "visits.csv"
STAGE = "Simulating"
_LEVELS = 4000
_SAID = """The series in this folder are SIMULATED. No patient was seen at these visits.

Each was made by medai from one real image and its label map: the labelled structure shrinks by a smooth deformation at
a rate drawn at random, the patient lies otherwise at every visit, and contrast, sensitivity, noise and the error of
measuring are drawn anew. Dates are drawn too. Use them to train and to test programs, never to say anything about
patients.

Seed: {seed}. {how}
"""


def simulate(
    data: DataList,
    target: str | os.PathLike[str],
    *,
    measurement: str = "Volume (mL)",
    how: Simulation | None = None,
    seed: int = 0,
    parts: tuple[float, float] = (0.15, 0.15),
    report: Report = ignore,
) -> Path:
    """Make one series of every case, and the table of their visits.

    Parameters
    ----------
    data : DataList
        Images with label maps.
    target : path
        Folder to make; must not hold anything.
    measurement : str
        Title of the column of measured volumes (mL).
    how : Simulation, optional
        From where everything is drawn.
    seed : int
        The same seed and the same case give the same series, whichever cases there are besides.
    parts : (float, float)
        Shares of the series for validation and for test.
    report : callable
        Hears of progress; may raise to stop.

    Returns
    -------
    Path
        The table, which `medai train --task forecast` takes.

    Raises
    ------
    InputError
        When no case has a label map, or the folder is not empty.
    WriteError
        When it cannot be written.
    """
    folder, how = Path(target), how or Simulation()
    usable = data.where(lambda item: "image" in item.files and "label" in item.files)
    if not len(usable):
        raise InputError("Nothing can be simulated.", "No case has an image and a label map.", "Choose data with both.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"'{folder}' is not empty.", "Something would be replaced.", "Choose another folder.")
        (folder / SIMULATED).write_text(_SAID.format(seed=seed, how=how), encoding="utf-8")
    except OSError as error:
        raise WriteError(
            f"'{folder}' cannot be written.", f"The computer reports: {error}.", "Choose another."
        ) from error
    rows = []
    order = sorted(range(len(usable)), key=lambda n: _number(seed, usable[n].name, "part"))
    ranks = {place: rank / len(usable) for rank, place in enumerate(order)}
    for done, item in enumerate(usable):
        report(Progress(STAGE, done, len(usable)))
        part = VALIDATION if ranks[done] < parts[0] else TEST if ranks[done] < sum(parts) else TRAINING
        rows += list(_subject(folder, item, how, seed, measurement, part))
    report(Progress(STAGE, len(usable), len(usable)))
    table = folder / TABLE
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


def _subject(  # noqa: PLR0917 - one call, above
    folder: Path, item: DataItem, how: Simulation, seed: int, measurement: str, part: str
) -> Iterable[dict[str, object]]:
    image, label = (read_source(item.files[key][0]) for key in ("image", "label"))
    series = simulated(image, label, how, _number(seed, item.name, "series"))
    name = f"simulated_{item.name}"
    for number, visit in enumerate(series.visits, 1):
        files = _written(folder, f"{name}_{visit.day.isoformat()}", visit)
        yield {
            SUBJECT: name,
            VISIT: number,
            DATE: visit.day.isoformat(),
            GROUP: series.group,
            SPLIT: part,
            measurement: "" if visit.measured_ml is None else f"{visit.measured_ml:.5f}",
            IMAGE: files[0],
            LABEL: files[1],
            # Of use to whoever checks a model, and no number that one could learn from.
            "Simulated": f"{visit.true_ml:.5f} mL, {series.rate:.5f} per year",
        }


def _written(folder: Path, stem: str, visit: SimulatedVisit) -> tuple[str, str]:
    if visit.image is None or visit.label is None:
        return "", ""
    # Thousands of levels are more than the noise leaves to be seen.
    values = np.asarray(visit.image.array, dtype=np.float64)
    array = np.clip(np.round(values * _LEVELS / max(values.max(), 1e-6)), 0, _LEVELS).astype(np.uint16)
    names = (f"{stem}.nii.gz", f"{stem}_label.nii.gz")
    write(Volume(array, visit.image.affine, stem, "MR"), folder / names[0])
    write(visit.label, folder / names[1])
    return names


def _number(seed: int, name: str, what: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {what} {name}".encode()).digest()[:8], "little")
