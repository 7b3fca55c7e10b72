"""How well two visits are aligned and compared: ``python -m benchmarks.followup_bench FOLDER [PICTURES]``.

FOLDER holds patients as the longitudinal MS lesion set of Ljubljana does (Lesjak et al., Neuroinformatics 2016, doi
10.1007/s12021-016-9301-1): two FLAIR images in native space, the transforms of each to a common space, a brain mask and
a mask of the lesions that have changed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from medai.engine.resample import resample_whole
from medai.files import read
from medai.tasks.change import ChangeParameters
from medai.tasks.change import change as comparing
from medai.tasks.change.alignment import Aligned
from medai.tasks.change.change import Change, change
from medai.tasks.change.difference import Difference, difference
from medai.tasks.change.morphology import Mask, pieces
from medai.volume import Affine, Volume, apply_affine

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_LEAST_MM3 = 20.0


@dataclass(frozen=True, eq=False)
class Patient:
    """One patient of the set; `truth` leads from the second visit to the first, RAS mm."""

    name: str
    before: Volume
    after: Volume
    brain: Volume
    changed: Volume
    truth: Affine

    @classmethod
    def of(cls, folder: Path) -> Patient:
        to_first, to_second = (itk_affine(folder / f"study{n}_FLAIR_to_common_space.txt") for n in (1, 2))

        def of_second_visit(name: str) -> Volume:
            mask = read(folder / name)
            assert isinstance(mask, Volume)
            return replace(mask, affine=to_second @ mask.affine)

        before, after = (read(folder / f"study{n}_FLAIR.nii.gz") for n in (1, 2))
        assert isinstance(before, Volume)
        assert isinstance(after, Volume)
        masks = of_second_visit("brainmask.nii.gz"), of_second_visit("gt.nii.gz")
        return cls(folder.name, before, after, *masks, to_first @ np.linalg.inv(to_second))

    @property
    def places(self) -> NDArray[np.float64]:
        """Every fiftieth voxel of the brain at the second visit, RAS mm."""
        k, j, i = np.nonzero(self.brain.array)
        return apply_affine(self.brain.affine, np.stack([i, j, k], axis=1)[::50].astype(float))

    def error_mm(self, motion: Affine) -> NDArray[np.float64]:
        """How far a motion is from the given one, over the brain."""
        return np.linalg.norm(apply_affine(motion, self.places) - apply_affine(self.truth, self.places), axis=1)

    @property
    def nearest_rigid(self) -> Affine:
        """The given transforms are affine: no rigid motion can be nearer to them than this."""
        one = self.places
        other = apply_affine(self.truth, one)
        left, _, right = np.linalg.svd((one - one.mean(axis=0)).T @ (other - other.mean(axis=0)))
        turned = (left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right).T
        motion = np.eye(4)
        motion[:3, :3], motion[:3, 3] = turned, other.mean(axis=0) - turned @ one.mean(axis=0)
        return motion


@dataclass(frozen=True)
class Agreement:
    """With the mask of changed lesions: Dice, lesions found of all (20 mm3 or more), and true ones of those found."""

    dice: float
    found: int
    lesions: int
    true: int
    claimed: int


def itk_affine(path: Path) -> Affine:
    """The matrix of an ITK transform file, in RAS mm."""
    lines = dict(line.split(": ", 1) for line in path.read_text().splitlines() if line.startswith(("Para", "Fixed")))
    values, centre = (np.array(lines[key].split(), float) for key in ("Parameters", "FixedParameters"))
    matrix = np.eye(4)
    matrix[:3, :3] = values[:9].reshape(3, 3)
    matrix[:3, 3] = values[9:] + centre - matrix[:3, :3] @ centre
    return np.asarray(_LPS @ matrix @ _LPS)


def truth_on(patient: Patient, grid: Volume) -> Mask:
    """The changed lesions on a grid at the second visit's place."""
    mask = replace(patient.changed, array=np.asarray(patient.changed.array, np.float32))
    return resample_whole(mask, grid.affine, grid.shape)[0] > 0.5


def agreement(patient: Patient, found: Change) -> Agreement:
    """Of what was found with what was drawn."""
    truth, claimed = truth_on(patient, found.difference), found.lesions.array > 0
    least = _LEAST_MM3 / (found.difference.voxel_volume_ml * 1000)

    def met(mask: Mask, by: Mask) -> tuple[int, int]:
        numbers = pieces(mask, corners=True)
        sizes = np.bincount(numbers.ravel())[1:]
        hits = np.bincount(numbers.ravel(), by.ravel(), len(sizes) + 1)[1:]
        return int((hits[sizes >= least] > 0).sum()), int((sizes >= least).sum())

    dice = 2 * (truth & claimed).sum() / max((truth.sum() + claimed.sum()), 1)
    return Agreement(float(dice), *met(truth, claimed), *met(claimed, truth))


def without_normalisation(before: Volume, after: Volume, tissue: Mask) -> Difference:
    """The plain difference of images with equal medians, in standard deviations of all of the tissue."""
    usual = difference(before, after, tissue)
    ratio = np.median(after.array[tissue]) / np.median(before.array[tissue])
    raw = after.array - before.array * ratio
    spread = 1.4826 * np.median(np.abs(raw[tissue] - np.median(raw[tissue])))
    return replace(usual, deviations=np.where(tissue, raw / spread, 0).astype(np.float32))


def ways(patient: Patient) -> dict[str, Change]:
    """The comparison as it is, and with one of its parts left out."""
    usual = change(patient.before, patient.after)
    aligned: Aligned = usual.aligned
    kept = comparing.align, comparing.difference
    found = {"as it is": usual}
    try:
        comparing.align = lambda *_: aligned
        found["with the given brain mask"] = change(patient.before, patient.after, ChangeParameters(mask=patient.brain))
        found["every change, not bright lesions only"] = change(
            patient.before, patient.after, ChangeParameters(appearance="any")
        )
        comparing.difference = without_normalisation
        found["without normalisation"] = change(patient.before, patient.after)
    finally:
        comparing.align, comparing.difference = kept
    found["without alignment"] = change(patient.before, patient.after, ChangeParameters(align=False))
    return found


def draw(patient: Patient, found: Change, path: Path) -> None:
    """Slices with most change: before, after, difference, and lesions (found red and blue, drawn green)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    truth, labels = truth_on(patient, found.difference), found.lesions.array
    before, after = (frame.array for frame in found.aligned.series.frames)
    slices = np.sort(np.argsort(-(truth | (labels > 0)).sum(axis=(1, 2)))[:6])
    figure, axes = plt.subplots(4, len(slices), figsize=(18, 13))
    for column, k in enumerate(slices):
        for row, image in enumerate((before, after, found.difference.array, after)):
            limits = (-10, 10) if row == 2 else (0, float(np.percentile(image, 99.8)))
            colors = "seismic" if row == 2 else "gray"
            axes[row, column].imshow(image[k, ::-1], cmap=colors, vmin=limits[0], vmax=limits[1])
            axes[row, column].axis("off")
        for mask, color in ((truth, "lime"), (np.isin(labels, (1, 2)), "red"), (np.isin(labels, (3, 4)), "blue")):
            if mask[k].any():
                axes[3, column].contour(mask[k, ::-1], [0.5], colors=color, linewidths=0.8)
    figure.tight_layout()
    figure.savefig(path, dpi=60)


def main(folder: str, pictures: str = "") -> None:
    console = Console()
    for home in sorted(path for path in Path(folder).iterdir() if path.is_dir()):
        patient = Patient.of(home)
        found = ways(patient)
        motion = found["as it is"].aligned.motions[0].matrix
        table = Table("Alignment error over the brain (mm)", "mean", "largest", title=patient.name)
        for name, matrix in (
            ("as the headers say", np.eye(4)),
            ("aligned", motion),
            ("nearest rigid motion", patient.nearest_rigid),
        ):
            error = patient.error_mm(matrix)
            table.add_row(name, f"{error.mean():.2f}", f"{error.max():.2f}")
        console.print(table)
        table = Table("Changed lesions", "Dice", "found", "true of those claimed")
        for name, one in found.items():
            score = agreement(patient, one)
            counts = f"{score.found} of {score.lesions}", f"{score.true} of {score.claimed}"
            table.add_row(name, f"{score.dice:.3f}", *counts)
        console.print(table)
        if pictures:
            draw(patient, found["as it is"], Path(pictures) / f"{patient.name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:3])
