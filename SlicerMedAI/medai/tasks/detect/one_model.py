"""One model's way from an image to boxes in the patient."""

from __future__ import annotations

from medai.bundles.description import Description
from medai.bundles.detections import Detections, detections_of
from medai.engine.inputs import check_contrast, fit_inputs, left_out
from medai.engine.ladder import Ladder
from medai.result import Boxes
from medai.tasks.life import Life, Part
from medai.volume import Volume, crop


class OneModel:
    """A loaded model at work for one job.

    Parameters
    ----------
    life : Life
        Of the job.
    description : Description
        Of the model, as it was checked.
    ladder : Ladder
        Runs it within the memory there is.
    """

    def __init__(self, life: Life, description: Description, ladder: Ladder) -> None:
        self.life = life
        self.description = description
        self.ladder = ladder

    def load(self) -> None:
        """Have the model in memory."""
        for note in self.ladder.pipeline.notes:
            self.life.tell(note)

    def boxes(self, images: tuple[Volume, ...], part: Part) -> Boxes:
        """All that the model gives for one image, however unsure of it, the most certain first in each slice.

        Parameters
        ----------
        images : tuple of Volume
            One per input of the model.
        part : Part
            Of the job.
        """
        images = fit_inputs(images, self.description.channels, self.life.tell)
        for image in images:
            check_contrast(image)
        depth, rows, columns = images[0].shape
        name = f"{images[0].name} findings"
        if not self.ladder.pipeline.planar or depth == 1:
            return self._named([self._found(images, part)], name)
        self.life.tell(f"This model works on single slices; the {depth} slices were looked through one by one.")
        found, empty = [], []
        for k in range(depth):
            block = slice(k, k + 1), slice(0, rows), slice(0, columns)
            slices = tuple(crop(image, block) for image in images)
            if all(one.array.min() < one.array.max() for one in slices):
                found.append(self._found(slices, part.of(k, depth)))
            else:
                empty.append(k)
        if empty:
            self.life.tell(left_out(empty))
        return self._named(found, name)

    def _found(self, images: tuple[Volume, ...], part: Part) -> Detections:
        life, ladder = self.life, self.ladder

        def on_window(done: int, total: int) -> None:
            life.at_window(part, done, max(total, done, 1))

        def compute() -> Detections:
            batch = ladder.preprocessed(images)
            # The detector calls its own network, whatever other one would be faster.
            sample = ladder.infer(batch, on_window, network=ladder.pipeline.network)
            return detections_of(sample, ladder.pipeline.image_key(sample))

        life.at("Preparing" if part.index == 0 else life.working, part.index, part.count)
        found = ladder.run(compute)
        life.at("Finishing" if part.index + 1 == part.count else life.working, part.index + 1, part.count)
        return found

    def _named(self, found: list[Detections], name: str) -> Boxes:
        regions = tuple(region for one in found for region in one.regions())
        scores = tuple(float(score) for one in found for score in one.scores)
        return Boxes(regions, scores, tuple(self._class(int(label)) for one in found for label in one.labels), name)

    def _class(self, number: int) -> str:
        known = self.description.classes
        return known[number] if 0 <= number < len(known) else f"class {number}"
