"""Segment an image with a MONAI bundle."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from medai.bundles import integrity
from medai.bundles.description import Description, describe
from medai.engine.devices import Device, choose_device
from medai.engine.inputs import check_contrast, fit_inputs
from medai.engine.loaded import LoadedModels
from medai.engine.locate import locate
from medai.engine.region_template import RegionTemplate, read_template
from medai.engine.regions import Canvas, keep, prefixes
from medai.errors import BundleError, GeometryError, InputError, OutOfMemoryError
from medai.jobs.job import Job
from medai.progress import Progress, Report
from medai.result import Labelmap, Provenance, Result, Table
from medai.volume import Region, Series, Volume, crop

if TYPE_CHECKING:
    from medai.bundles.pipeline import Data, Pipeline

_STAGE = "Segmenting"


@dataclass(frozen=True, eq=False)
class SegmentParameters:
    """What a person may choose.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    region : Region, tuple of Region, "auto", or None
        Boxes to segment in, RAS mm; the whole image by default. Several boxes give each its own segments, named after
        the box. With ``"auto"`` the boxes are found in the image (see `medai.engine.locate`), by a model that can.
    segments : tuple of str, or None
        Names of the segments to keep; all by default.
    overlap : float, or None
        Overlap of neighbouring windows, 0 to below 1; the model's own by default.
    sw_batch_size : int, or None
        Windows per forward pass, 1 or more; the model's own by default.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    device: str = "auto"
    region: Region | tuple[Region, ...] | Literal["auto"] | None = None
    segments: tuple[str, ...] | None = None
    overlap: float | None = None
    sw_batch_size: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.device, str):
            raise _wrong("device", self.device, "It is a text such as 'auto', 'cpu' or 'cuda'")
        if not all(isinstance(region, Region) for region in self.regions):
            raise _wrong("region", self.region, "It is a Region, several of them, 'auto', or nothing")
        if isinstance(self.segments, str):
            object.__setattr__(self, "segments", (self.segments,))
        if self.segments is not None:
            names = tuple(self.segments) if isinstance(self.segments, Iterable) else ()
            if not names or not all(isinstance(name, str) for name in names):
                raise _wrong("segments", self.segments, "It is at least one segment's name, or nothing")
            object.__setattr__(self, "segments", tuple(str(name) for name in names))
        # numpy's numbers count as numbers: parameters often come out of an array or a table.
        number = isinstance(self.overlap, Real) and not isinstance(self.overlap, bool)
        if self.overlap is not None and not (number and 0 <= self.overlap < 1):
            raise _wrong("overlap", self.overlap, "It is a number from 0 to less than 1, such as 0.5")
        if self.overlap is not None:
            object.__setattr__(self, "overlap", float(self.overlap))
        whole = isinstance(self.sw_batch_size, Integral) and not isinstance(self.sw_batch_size, bool)
        if self.sw_batch_size is not None and not (whole and self.sw_batch_size >= 1):
            raise _wrong("sw_batch_size", self.sw_batch_size, "It is a whole number, 1 or more")
        if self.sw_batch_size is not None:
            object.__setattr__(self, "sw_batch_size", int(self.sw_batch_size))

    @classmethod
    def of(cls, given: Mapping[str, object]) -> SegmentParameters:
        """From a job's keyword arguments.

        Raises
        ------
        InputError
            When a name is unknown or a value cannot be used.
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in given if name not in known]
        if unknown:
            raise InputError(
                f"'{unknown[0]}' cannot be chosen for a segmentation.",
                f"What can be chosen is: {', '.join(known)}.",
                "Correct the name, or leave it out.",
            )
        return cls(**given)  # type: ignore[arg-type]  # checked in __post_init__

    @property
    def finds_region(self) -> bool:
        """Whether the regions are to be found in the image."""
        return isinstance(self.region, str) and self.region == "auto"

    @property
    def regions(self) -> tuple[Region, ...]:
        """The boxes given, always a tuple; empty when they are to be found."""
        if isinstance(self.region, Region):
            return (self.region,)
        return () if self.region is None or self.region == "auto" else tuple(self.region)

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = {"device": self.device}
        if self.finds_region:
            text["region"] = "auto"
        if self.regions:
            text["region"] = "; ".join(
                f"{region.name} center {_numbers(region.center)} size {_numbers(region.size)} mm RAS, "
                f"axes {_numbers(region.axes.ravel())}".strip()
                for region in self.regions
            )
        if self.segments:
            text["segments"] = ", ".join(self.segments)
        if self.overlap is not None:
            text["overlap"] = f"{self.overlap:g}"
        if self.sw_batch_size is not None:
            text["sw_batch_size"] = str(self.sw_batch_size)
        return text


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Segment the job's image, or every frame of its series.

    Parameters
    ----------
    job : Job
        Parameters as in `SegmentParameters`.
    report : callable
        Hears of every window; may raise to cancel.
    loaded : LoadedModels
        Where the model is found or kept.

    Returns
    -------
    Result
        A `Labelmap` on the input's own grid and a `Table` "volumes"; for a Series, one Result per frame and a table of
        all frames.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    return _Segmentation(job, report, loaded).result()


def check_choice(bundle: Path, parameters: SegmentParameters) -> tuple[Description, RegionTemplate | None]:
    """The model's description and, when regions are to be found, its template; without torch, so at once.

    Raises
    ------
    BundleError
        When the model cannot be used, or cannot find its regions.
    InputError
        When it does not know a segment that was chosen.
    """
    description = describe(bundle)
    if description.problem:
        raise BundleError(
            f"The model '{description.title}' cannot be used.", description.problem, "Choose another model."
        )
    template = read_template(bundle) if parameters.finds_region else None
    _check_names(parameters, description, template)
    return description, template


class _Segmentation:
    """One job under way."""

    def __init__(self, job: Job, report: Report, loaded: LoadedModels) -> None:
        self.started = datetime.now(timezone.utc)
        self.clock = time.monotonic()
        self.segmenting_since = 0.0
        self.job = job
        self.report = report
        self.loaded = loaded
        self.notes: list[str] = []
        self.parameters = SegmentParameters.of(job.parameters)
        self.description, self.template = check_choice(job.bundle, self.parameters)

    def result(self) -> Result:
        self._report("Preparing")
        inputs = self.job.inputs
        images = inputs.frames[:1] if isinstance(inputs, Series) else tuple(inputs)
        if self.template is None:
            # Said before anything slow happens, so that a person can still change their mind.
            self._warn(images, self.parameters.regions)
        device = choose_device(self.parameters.device)
        self.tell(device.reason)
        self._report("Loading model")
        self.pipeline = self.loaded.get(self.job.bundle, device.name)
        self.segmenting_since = time.monotonic()
        if not isinstance(inputs, Series):
            return Result(self._one(images, 0, 1), self._provenance(device))
        frames = [self._one((frame,), n, len(inputs.frames)) for n, frame in enumerate(inputs.frames)]
        provenance = self._provenance(device)
        summary = _over_frames(inputs, [items[0] for items in frames])
        return Result((summary,), provenance, tuple(Result(items, provenance) for items in frames))

    def _one(self, volumes: tuple[Volume, ...], part: int, parts: int) -> tuple[Labelmap, Table]:
        """Labels and their volumes for one image; it is `part` of `parts` of the job."""
        volumes = fit_inputs(volumes, self.description.channels, self.tell)
        regions = self.parameters.regions if self.template is None else self._found(volumes[0], self.template)
        name = f"{volumes[0].name} segmentation"
        if not regions:
            labelmap = self._keep(self._labels(volumes, part, parts), "")
        else:
            canvas = Canvas(volumes[0], regions)
            for number, region in enumerate(regions):
                block = region.slices(volumes[0])
                cropped = tuple(crop(volume, block) for volume in volumes)
                labels = self._labels(cropped, part * len(regions) + number, parts * len(regions))
                canvas.paste(self._keep(labels, canvas.prefixes[number]), region, number)
            labelmap = canvas.labelmap(name)
        labelmap = replace(labelmap, name=name)
        return labelmap, _volumes(labelmap)

    def _found(self, volume: Volume, template: RegionTemplate) -> tuple[Region, ...]:
        """The template's regions in this image, said aloud so that a person can check them."""
        self._report("Finding the region")
        regions = locate(volume, template)
        for region in regions:
            self.tell(f"{region.name or 'The'} region found at {_numbers(region.center.round(1))} mm (RAS).")
        self._warn((volume,), regions)
        return regions

    def _warn(self, images: tuple[Volume, ...], regions: tuple[Region, ...]) -> None:
        """Say where what the model will see does not look like what it was made for."""
        parts = [tuple(_part(image, region) for image in images) for region in regions] or [images]
        for part in parts:
            for warning in self.description.warnings(part):
                self.tell(warning)

    def _labels(self, volumes: tuple[Volume, ...], part: int, parts: int) -> Labelmap:
        from medai.bundles.prediction import Prediction, to_labelmap

        for volume in volumes:
            check_contrast(volume)
        depth = volumes[0].shape[0]
        if not self.pipeline.planar or depth == 1:
            prediction = self._predict(volumes, part, parts)
        else:
            self.tell(f"This model works on single slices; the {depth} slices were segmented one by one.")
            slices = []
            for k in range(depth):
                whole = slice(0, volumes[0].shape[1]), slice(0, volumes[0].shape[2])
                one = tuple(crop(volume, (slice(k, k + 1), *whole)) for volume in volumes)
                slices.append(self._predict(one, part * depth + k, parts * depth))
            array = np.concatenate([found.array for found in slices], axis=-3)
            prediction = Prediction(array, volumes[0].affine, any(found.resampled for found in slices))
        if prediction.resampled:
            self.tell("The model gives its result on a grid of its own; it was brought back to the image's grid.")
        return to_labelmap(prediction, self.description.segments, "")

    def _predict(self, volumes: tuple[Volume, ...], part: int, parts: int):  # type: ignore[no-untyped-def]
        self._report("Preparing" if part == 0 else _STAGE, part, parts)
        batch = self.pipeline.preprocess(volumes)
        self._report(_STAGE, part, parts)
        sample = self._infer(self.pipeline, batch, part, parts)
        self._report("Finishing" if part + 1 == parts else _STAGE, part + 1, parts)
        return self.pipeline.postprocess(sample, volumes[0])

    def _infer(self, pipeline: Pipeline, batch: Data, part: int, parts: int) -> Data:
        chosen = self.parameters
        total = pipeline.count_windows(batch, overlap=chosen.overlap)

        def on_window(done: int) -> None:
            # Every part has about as many windows as this one.
            self._report(_STAGE, part * total + min(done, total), parts * total)

        try:
            return pipeline.infer(
                batch, overlap=chosen.overlap, sw_batch_size=chosen.sw_batch_size, on_window=on_window
            )
        except OutOfMemoryError:
            if chosen.sw_batch_size is not None or getattr(pipeline.inferer, "sw_batch_size", 1) <= 1:
                raise
            self.tell("Memory ran out; the image was processed one window at a time instead.")
        return pipeline.infer(batch, overlap=chosen.overlap, sw_batch_size=1, on_window=on_window)

    def _keep(self, labelmap: Labelmap, prefix: str) -> Labelmap:
        wanted = self.parameters.segments
        if wanted is None:
            return labelmap
        names = {name.casefold() for name in wanted}
        kept = {
            segment.name
            for segment in labelmap.segments
            if {segment.name.casefold(), f"{prefix} {segment.name}".casefold()} & names
        }
        return keep(labelmap, kept)

    def tell(self, note: str) -> None:
        """Say something aloud: to the log now, and in the result's provenance."""
        if note not in self.notes:
            self.notes.append(note)
            self.report(Progress("Preparing", elapsed_s=time.monotonic() - self.clock, note=note))

    def _report(self, stage: str, done: float = 0.0, total: float = 0.0) -> None:
        now = time.monotonic()
        fraction = done / total if total else 0.0
        eta = (now - self.segmenting_since) * (1 - fraction) / fraction if stage == _STAGE and fraction else None
        self.report(Progress(stage, done, total, now - self.clock, eta))

    def _provenance(self, device: Device) -> Provenance:
        inputs = self.job.inputs
        volumes: tuple[Volume | Series, ...] = (inputs,) if isinstance(inputs, Series) else tuple(inputs)
        return Provenance(
            task="segment",
            bundle=self.description.name,
            version=self.description.version,
            digest=integrity.digest(self.job.bundle),
            parameters=self.parameters.as_text(),
            device=device.name,
            device_reason=device.reason,
            duration_s=time.monotonic() - self.clock,
            started=self.started.isoformat(timespec="seconds"),
            inputs=tuple(f"{volume.name} ({volume.id})" if volume.id else volume.name for volume in volumes),
            citation=self.description.citation,
            licence=self.description.licence,
            notes=tuple(self.notes),
            software=", ".join(f"{name} {import_module(name).__version__}" for name in ("medai", "monai", "torch")),
        )


def _volumes(labelmap: Labelmap) -> Table:
    """Voxels and millilitres of every segment."""
    voxels = labelmap.voxel_counts()
    columns = {
        "Segment": tuple(segment.name for segment in labelmap.segments),
        "Voxels": voxels,
        "Volume (mL)": tuple(round(count * labelmap.voxel_volume_ml, 9) for count in voxels),
    }
    return Table(columns, "volumes")


def _over_frames(series: Series, labelmaps: list[Labelmap]) -> Table:
    """One row per frame, one column of millilitres per segment."""
    rows = [labelmap.volumes_ml() for labelmap in labelmaps]
    names = list(dict.fromkeys(name for row in rows for name in row))
    title = f"Frame ({series.unit})" if series.unit else "Frame"
    columns: dict[str, tuple[object, ...]] = {title: series.index}
    columns |= {f"{name} (mL)": tuple(row.get(name, 0.0) for row in rows) for name in names}
    return Table(columns, "volumes")


def _check_names(parameters: SegmentParameters, description: Description, template: RegionTemplate | None) -> None:
    """Refuse names of segments that the model does not know, before anything slow happens."""
    own = [segment.name for segment in description.segments]
    if parameters.segments is None or not own:
        return
    found = tuple(side.name for side in template.sides) if template else ()
    sides = [prefix for prefix in found or prefixes(parameters.regions) if prefix]
    known = own + [f"{side} {name}" for side in sides for name in own]
    unknown = [name for name in parameters.segments if name.casefold() not in {k.casefold() for k in known}]
    if unknown:
        raise InputError(
            f"The model '{description.title}' has no segment called '{unknown[0]}'.",
            f"It knows: {', '.join(known)}.",
            "Choose among these, or leave the choice empty to keep all.",
        )


def _part(image: Volume, region: Region) -> Volume:
    """What the model sees of an image; all of it where the region misses it, which the job itself will say."""
    try:
        return crop(image, region.slices(image))
    except GeometryError:
        return image


def _wrong(name: str, value: object, rule: str) -> InputError:
    return InputError(f"'{value}' cannot be used for '{name}'.", f"{rule}.", "Correct it, or leave it out.")


def _numbers(values: object) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in np.asarray(values)) + ")"
