"""One model's way from images to a labelmap."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from medai.bundles.prediction import Prediction, to_labelmap
from medai.engine.inputs import check_contrast, fit_inputs
from medai.engine.ladder import Ladder
from medai.engine.locate import locate
from medai.engine.mirrors import Mirrors, left_right_axis, mirrors, tells_sides_apart
from medai.engine.regions import Block, Canvas, keep, prefixes
from medai.errors import GeometryError, NothingToSeeError
from medai.result import Labelmap
from medai.tasks.life import Life, Part
from medai.tasks.parameters import numbers
from medai.tasks.segment.choice import Choice
from medai.tasks.segment.parameters import SegmentParameters
from medai.volume import Region, Volume, crop


@dataclass(frozen=True)
class _Pass:
    """One run of the network over one image: which part of the job it is, and in which mirrors."""

    part: Part
    seen: Mirrors = ((),)


class OneModel:
    """A loaded model at work for one job.

    Parameters
    ----------
    life : Life
        Of the job.
    parameters : SegmentParameters
        What was asked.
    choice : Choice
        The model, as it was checked.
    ladder : Ladder
        Runs it within the memory there is.
    """

    def __init__(self, life: Life, parameters: SegmentParameters, choice: Choice, ladder: Ladder) -> None:
        self.life = life
        self.parameters = parameters
        self.description = choice.description
        self.template = choice.template
        self.mirror_axes = choice.mirror_axes
        self.ladder = ladder
        self._in_regions: tuple[Region, ...] = ()

    def load(self) -> None:
        """Have the model in memory."""
        self.pipeline = self.ladder.pipeline
        for note in self.pipeline.notes:
            self.life.tell(note)

    def prepare_ahead(self, volumes: tuple[Volume, ...]) -> None:
        """Begin to preprocess the next image in the background, where it will be used as a whole."""
        if not self.pipeline.planar and self.template is None and not self.parameters.regions:
            with suppress(NothingToSeeError):  # told when its turn comes
                self.ladder.prepare_ahead(fit_inputs(volumes, self.description.channels, lambda _: None))

    def labelmaps(self, volumes: tuple[Volume, ...], part: Part) -> tuple[list[Labelmap], Labelmap | None]:
        """The structures found in one image: once, or once for every mirror.

        Parameters
        ----------
        volumes : tuple of Volume
            One per input of the model.
        part : Part
            Of the job.

        Returns
        -------
        voters : list of Labelmap
            One, or one for every mirror.
        casting : Labelmap or None
            Of two voters: what the mean of their outputs gives, which decides where they disagree.
        """
        volumes = fit_inputs(volumes, self.description.channels, self.life.tell)
        regions = self._in_regions = self._regions(volumes)
        chosen = self._mirrors(volumes)
        passes = [(axes,) for axes in chosen] + ([chosen] if len(chosen) == 2 else [])
        found = [
            self._labelmap(volumes, regions, _Pass(part.of(n, len(passes)), seen)) for n, seen in enumerate(passes)
        ]
        return found[: len(chosen)], found[len(chosen)] if len(found) > len(chosen) else None

    def _regions(self, volumes: tuple[Volume, ...]) -> tuple[Region, ...]:
        if self.template is None:
            return self.parameters.regions
        self.life.at("Finding the region")
        regions = locate(volumes[0], self.template)
        for region in regions:
            # Said aloud, so that a person can check them.
            self.life.tell(f"{region.name or 'The'} region found at {numbers(region.center.round(1))} mm (RAS).")
        self.warn(volumes[:1], regions)
        return regions

    def warn(self, images: tuple[Volume, ...], regions: tuple[Region, ...]) -> None:
        """Say where what the model will see does not look like what it was made for."""
        parts = [images]
        if regions and self._is_made_for_parts(images[0]):
            parts = [tuple(_part(image, region) for image in images) for region in regions]
        for part in parts:
            for warning in self.description.warnings(part):
                self.life.tell(warning)

    def _mirrors(self, volumes: tuple[Volume, ...]) -> Mirrors:
        if not self.parameters.tta:
            return ((),)
        axes = set(self.mirror_axes)
        if tells_sides_apart(self.description.segments):
            seen = tuple(_first_slice(volume) for volume in volumes) if self.pipeline.planar else volumes
            axes -= {left_right_axis(self.ladder.model_affine(seen))}
            self.life.tell("The model tells left from right, so the image was not mirrored from left to right.")
        return mirrors(sorted(axes))

    def _labelmap(self, volumes: tuple[Volume, ...], regions: tuple[Region, ...], this: _Pass) -> Labelmap:
        name = f"{volumes[0].name} segmentation"
        if not regions:
            return replace(self._labels(volumes, this), name=name)
        canvas = Canvas(volumes[0], regions)
        for number, region in enumerate(regions):
            block = region.slices(volumes[0])
            one = replace(this, part=this.part.of(number, len(regions)))
            canvas.paste(self._inside(volumes, block, one), region, number)
        return replace(canvas.labelmap(name), name=name)

    def _inside(self, volumes: tuple[Volume, ...], block: Block, this: _Pass) -> Labelmap:
        """Labels on the block's grid: of the block alone, or of the whole image computed no further than needed."""
        cropped = tuple(crop(volume, block) for volume in volumes)
        if self.pipeline.planar or self._is_made_for_parts(volumes[0]):
            return self._labels(cropped, this)
        for volume in cropped:
            check_contrast(volume)
        labels = self._labels(volumes, this, block)
        return replace(labels, array=labels.array[..., block[0], block[1], block[2]], affine=cropped[0].affine)

    def _is_made_for_parts(self, volume: Volume) -> bool:
        """Whether the model was trained on crops such as the region, and not on whole images such as this one."""
        if self.template is not None:
            return True
        extent = self.description.expects.extent_mm
        return extent is not None and max(volume.extent_mm) > extent[1]

    def _labels(self, volumes: tuple[Volume, ...], this: _Pass, block: Block | None = None) -> Labelmap:
        for volume in volumes:
            check_contrast(volume)
        depth = volumes[0].shape[0]
        if not self.pipeline.planar or depth == 1:
            prediction = self._predict(volumes, this, block)
        else:
            self.life.tell(f"This model works on single slices; the {depth} slices were segmented one by one.")
            slices = []
            for k in range(depth):
                whole = slice(0, volumes[0].shape[1]), slice(0, volumes[0].shape[2])
                one = tuple(crop(volume, (slice(k, k + 1), *whole)) for volume in volumes)
                slices.append(self._predict(one, replace(this, part=this.part.of(k, depth)), None))
            array = np.concatenate([found.array for found in slices], axis=-3)
            prediction = Prediction(array, volumes[0].affine, any(found.resampled for found in slices))
        if prediction.resampled:
            self.life.tell("The model gives its result on a grid of its own; it was brought back to the image's grid.")
        return to_labelmap(prediction, self.description.segments, "")

    def _predict(self, volumes: tuple[Volume, ...], this: _Pass, block: Block | None) -> Prediction:
        life, part = self.life, this.part
        life.at("Preparing" if part.index == 0 else life.working, part.index, part.count)
        prediction = self.ladder.predict(volumes, this.seen, block, self._on_window(part))
        life.at("Finishing" if part.index + 1 == part.count else life.working, part.index + 1, part.count)
        return prediction

    def _on_window(self, part: Part) -> Callable[[int, int], None]:
        return lambda done, total: self.life.at_window(part, done, total)

    def kept(self, labelmap: Labelmap) -> Labelmap:
        """Of a labelmap only the segments that were chosen, by their own name or that of their region."""
        wanted = self.parameters.segments
        if wanted is None:
            return labelmap
        sides = ("", *prefixes(self._in_regions))
        names = {f"{side} {name}".strip().casefold() for side in sides for name in wanted}
        return keep(labelmap, {segment.name for segment in labelmap.segments if segment.name.casefold() in names})


def _first_slice(volume: Volume) -> Volume:
    return crop(volume, (slice(0, 1), slice(0, volume.shape[1]), slice(0, volume.shape[2])))


def _part(image: Volume, region: Region) -> Volume:
    """What the model sees of an image; all of it where the region misses it, which the job itself will say."""
    try:
        return crop(image, region.slices(image))
    except GeometryError:
        return image
