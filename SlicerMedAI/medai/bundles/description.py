"""What a model is for, what it needs, what it gives and under which terms: read from ``metadata.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from medai.bundles import configs
from medai.bundles.labels import classes_of, conditions_of, input_specs, plain_text, segments_of
from medai.bundles.licence import licence_of
from medai.bundles.operating_points import OperatingPoint, operating_points_of
from medai.bundles.purpose import task_of, tasks_of
from medai.result import Segment
from medai.volume import PIXELS_UNKNOWN, Volume

_MODALITIES = {
    "mri": "MR",
    "mr": "MR",
    "t1": "MR",
    "t2": "MR",
    "flair": "MR",
    "ct": "CT",
    "cect": "CT",
    "us": "US",
    "ultrasound": "US",
    "pet": "PT",
    "pt": "PT",
    "mammogram": "MG",
    "mg": "MG",
    "xray": "DX",
    "radiograph": "DX",
    # One kind of image, whatever device took it: PS3.3 C.7.3.1.1.1 tells them apart.
    "dx": "DX",
    "cr": "DX",
    "x-ray": "DX",
}
_FINDS_NOTHING = ("denoise", "encode", "translate", "synthesize", "forecast")
_LONGEST_TEXT = 4000
_MOST_ITEMS = 64
_MOST_CHANNELS = 10_000
_SPOKEN = {
    "MR": "magnetic resonance (MR)",
    "CT": "computed tomography (CT)",
    "US": "ultrasound (US)",
    "PT": "PET",
    "DX": "X-ray",
}


@dataclass(frozen=True)
class Input:
    """One input tensor of a network.

    Parameters
    ----------
    name : str
        Key in the metadata (``"image"``).
    channels : int
        Number of channels; 0 when unknown.
    channel_names : tuple of str
        What each channel shows, when the metadata says so.
    modality : str
        DICOM modality or ``""``.
    spatial_shape : tuple of str
        Sizes or expressions per axis, as written (``"96"``, ``"16*n"``, ``"*"``).
    kind : str
        Type and format, as written (``"image magnitude"``).
    """

    name: str
    channels: int = 1
    channel_names: tuple[str, ...] = ()
    modality: str = ""
    spatial_shape: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Expectation:
    """Images the model was made for.

    Parameters
    ----------
    spacing_mm : tuple of float or None
        Smallest and largest voxel edge in mm.
    extent_mm : tuple of float or None
        Smallest and largest edge length of the field of view in mm.
    note : str
        What such an image shows, half a sentence ("the region around one hippocampus").
    """

    spacing_mm: tuple[float, float] | None = None
    extent_mm: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True)
class Description:
    """A model, as a person chooses it. Picklable, and made without importing torch.

    Parameters
    ----------
    name : str
        Name of the bundle's folder, which every command takes.
    root : Path
        The bundle's folder.
    title : str
        What people call it.
    task : str
        Name of a task of medai (`medai.bundles.purpose.TASKS`), or ``"other"`` when medai has none for it.
    tasks : tuple of str
        All tasks of medai that it serves: a denoiser may bring an autoencoder that also encodes.
    task_text, text, intended_use : str
        The metadata's own words: task, description, intended use.
    version, modality : str
        Of the bundle; DICOM modality, ``""`` when it takes any or says none.
    inputs : tuple of Input
        Input tensors.
    segments : tuple of Segment
        What it finds.
    classes : tuple of str
        What a model for classification or detection tells apart, in the order of its scores.
    operating_points : tuple of OperatingPoint
        From which probability on a finding counts; empty when the metadata does not say.
    conditions : tuple of str
        What the images that a generator makes can be asked to show.
    licence, citation, authors, copyright : str
        Terms of use and credit.
    size_bytes : int
        Of its weights on disk.
    expects : Expectation
        Images it was made for.
    region_hint : str
        Where to draw a region of interest, when one is needed.
    finds_region : bool
        Whether it brings a region template, so that ``region="auto"`` finds its structure in a larger image.
    caution : str
        What every result of it must be told with, such as that it learned from simulated data.
    problem : str
        Why it cannot be used, ``""`` when it can.
    """

    name: str
    root: Path
    title: str = ""
    task: str = "segment"
    tasks: tuple[str, ...] = ()
    task_text: str = ""
    version: str = ""
    text: str = ""
    intended_use: str = ""
    modality: str = ""
    inputs: tuple[Input, ...] = ()
    segments: tuple[Segment, ...] = ()
    classes: tuple[str, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()
    conditions: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""
    authors: str = ""
    copyright: str = ""
    size_bytes: int = 0
    expects: Expectation = field(default_factory=Expectation)
    region_hint: str = ""
    finds_region: bool = False
    caution: str = ""
    problem: str = ""

    @property
    def labels(self) -> tuple[Segment, ...]:
        """Same as `segments`."""
        return self.segments

    @property
    def channels(self) -> int:
        """Channels of the first input; 0 when the metadata does not say."""
        return self.inputs[0].channels if self.inputs else 0

    @property
    def channel_names(self) -> tuple[str, ...]:
        """What each channel of the first input shows."""
        return self.inputs[0].channel_names if self.inputs else ()

    @property
    def dimensions(self) -> int:
        """2 for a model of slices, 3 for one of volumes; 0 when the metadata does not say."""
        return len(self.inputs[0].spatial_shape) if self.inputs else 0

    @property
    def description(self) -> str:
        """Same as `text`."""
        return self.text

    def warnings(self, volumes: Sequence[Volume]) -> tuple[str, ...]:
        """Say where images do not look like what the model was made for. Nothing is refused.

        Parameters
        ----------
        volumes : sequence of Volume
            The input images, in the order of the model's channels.

        Returns
        -------
        tuple of str
            Plain sentences; empty when nothing is unusual.
        """
        found = [self.caution] if self.caution else []
        measures = self.task not in ("classify", *_FINDS_NOTHING)
        found += [note for volume in volumes for note in volume.notes if measures or note != PIXELS_UNKNOWN]
        found += self._channel_warnings(volumes)
        for volume in volumes:
            found += self._modality_warnings(volume)
            found += self._geometry_warnings(volume)
        return tuple(dict.fromkeys(found))

    def _channel_warnings(self, volumes: Sequence[Volume]) -> list[str]:
        given = sum(1 if volume.in_colour else volume.channels for volume in volumes)
        if not self.channels or self.channels in (given, sum(volume.channels for volume in volumes)):
            return []
        names = f" ({', '.join(self.channel_names)})" if len(self.channel_names) == self.channels > 1 else ""
        needs = "1 image channel" if self.channels == 1 else f"{self.channels} image channels"
        return [f"This model needs {needs}{names}, but the input has {given}."]

    def _modality_warnings(self, volume: Volume) -> list[str]:
        told = dicom_modality(volume.modality) or volume.modality
        given = told or _guessed_modality(volume)
        if not self.modality or not given or given == self.modality:
            return []
        return [
            (
                f"This model was made for {_SPOKEN.get(self.modality, self.modality)} images, but '{volume.name}' "
                f"{'is' if told else 'looks like'} {_SPOKEN.get(given, given)}. Results are likely to be wrong."
            )
        ]

    def _geometry_warnings(self, volume: Volume) -> list[str]:
        found = []
        if self.dimensions == 3 and min(volume.shape) == 1:
            found.append(
                f"This model was made for volumes, but '{volume.name}' is a single slice. Results are likely to be "
                "wrong."
            )
        # One slice has no third direction to compare.
        axes = [n for n in range(3) if volume.shape[::-1][n] > 1]
        spacing = [volume.spacing[n] for n in axes]
        extent = [volume.extent_mm[n] for n in axes]
        if self.expects.spacing_mm and spacing:
            low, high = self.expects.spacing_mm
            if min(spacing) < low * 0.999 or max(spacing) > high * 1.001:
                found.append(
                    f"The voxels of '{volume.name}' measure {_by(volume.spacing)} mm; the model was made for voxels of "
                    f"{low:g} to {high:g} mm. Fine detail may be missed."
                )
        if self.expects.extent_mm and extent:
            low, high = self.expects.extent_mm
            if max(extent) > high * 1.001:
                made_for = f" ({self.expects.note.rstrip('.')})" if self.expects.note else ""
                advice = self.region_hint or "Draw a region around the structure of interest"
                found.append(
                    f"'{volume.name}' covers {_by(volume.extent_mm)} mm; the model expects at most {high:g} mm in each "
                    f"direction{made_for}. {_sentence(advice)}"
                )
            elif min(extent) < low * 0.999:
                found.append(
                    f"'{volume.name}' covers only {_by(volume.extent_mm)} mm; the model expects at least {low:g} mm in "
                    "each direction, so part of the structure may be cut off."
                )
        return found


def describe(root: Path | str) -> Description:
    """Read what a bundle says about itself.

    Parameters
    ----------
    root : Path
        The bundle's folder.

    Raises
    ------
    BundleFormatError
        When ``configs/metadata.json`` is missing or damaged.
    """
    root = Path(root).resolve()
    meta = configs.metadata(root)
    own: Mapping[str, Any] = meta["medai"] if isinstance(meta.get("medai"), Mapping) else {}
    inputs = tuple(_input(_text(name), spec) for name, spec in list(input_specs(meta).items())[:_MOST_ITEMS])
    modality = dicom_modality(_text(own.get("modality"))) or (inputs[0].modality if inputs else "")
    return Description(
        name=root.name,
        root=root,
        title=_text(own.get("title")) or _text(meta.get("name")) or root.name.replace("_", " "),
        task=task_of(meta),
        tasks=tasks_of(root, meta),
        task_text=_text(meta.get("task")),
        version=_text(meta.get("version")),
        text=_text(meta.get("description")),
        intended_use=_text(meta.get("intended_use")),
        modality=modality,
        inputs=inputs,
        # The channels of an image or a forecast are no structures.
        segments=segments_of(meta) if "segments" in own or task_of(meta) not in _FINDS_NOTHING else (),
        classes=classes_of(meta),
        operating_points=operating_points_of(meta, classes_of(meta)),
        conditions=conditions_of(meta),
        licence=licence_of(root, meta),
        citation=_text(own.get("citation")) or _text(meta.get("references")) or _text(meta.get("citation")),
        authors=_text(meta.get("authors")),
        copyright=_text(meta.get("copyright")),
        size_bytes=_size(root),
        expects=_expectation(own.get("expects")),
        region_hint=_text(own.get("region_hint")),
        caution=_text(own.get("caution")),
        finds_region=isinstance(own.get("region"), Mapping) and bool(own["region"].get("template")),
    )


def dicom_modality(text: str) -> str:
    """DICOM modality for the words that metadata files use; ``""`` when they name none."""
    words = text.lower().replace("(", " ").replace(")", " ").replace(",", " ").replace("-weighted", "").split()
    return next((_MODALITIES[word] for word in words if word in _MODALITIES), "")


def _input(name: str, spec: Mapping[str, Any]) -> Input:
    number = spec.get("num_channels")
    shape = spec.get("spatial_shape")
    names = spec.get("channel_def")
    kind = " ".join(_text(spec.get(key)) for key in ("type", "format")).strip()
    modality = dicom_modality(_text(spec.get("modality")))
    return Input(
        name=name,
        channels=number if isinstance(number, int) and 0 < number < _MOST_CHANNELS else 0,
        channel_names=tuple(map(_text, list(names.values())[:_MOST_ITEMS])) if isinstance(names, Mapping) else (),
        modality=modality or ("CT" if "hounsfield" in kind.lower() else ""),
        spatial_shape=tuple(_text(size) for size in shape[:_MOST_ITEMS]) if isinstance(shape, list) else (),
        kind=kind,
    )


def _expectation(given: object) -> Expectation:
    if not isinstance(given, Mapping):
        return Expectation()
    return Expectation(_range(given.get("spacing_mm")), _range(given.get("extent_mm")), _text(given.get("note")))


def _range(pair: object) -> tuple[float, float] | None:
    if isinstance(pair, list) and len(pair) == 2 and all(isinstance(v, (int, float)) and 0 <= v < 1e6 for v in pair):
        low, high = sorted(float(v) for v in pair)
        return low, high
    return None


def _text(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value[:_MOST_ITEMS] if item)
    if isinstance(value, Mapping):
        return "; ".join(f"{_text(key)}: {_text(item)}" for key, item in list(value.items())[:_MOST_ITEMS])
    return plain_text(value, _LONGEST_TEXT)


def _size(root: Path) -> int:
    folder = root / "models"
    if not folder.is_dir() or not folder.resolve().is_relative_to(root):
        return 0  # a link to elsewhere, whose weights are refused, could lead through the whole disk
    return sum(path.stat().st_size for path in islice(folder.rglob("*"), 10_000) if path.is_file())


def _by(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _guessed_modality(volume: Volume) -> str:
    """``"CT"`` for an image in Hounsfield units whose file does not say what it is: only there is air about -1000."""
    sample = volume.array[:: max(volume.shape[0] // 16, 1)]
    if sample.dtype.kind not in "if":
        return ""
    lowest = sample.min(where=np.isfinite(sample), initial=0)  # an infinite voxel says nothing of the image
    return "CT" if lowest <= -900 else ""
