"""One model's probabilities for one view."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from medai.bundles.description import Description
from medai.bundles.postprocessing import excludes
from medai.engine.inputs import fit_inputs
from medai.engine.ladder import Ladder
from medai.engine.mirrors import Axes, left_right_axis, mirrors, tells_sides_apart
from medai.errors import BundleError
from medai.result import Segment
from medai.tasks.classify.choice import Choice
from medai.tasks.classify.parameters import ViewParameters
from medai.tasks.classify.views import View, views_of
from medai.tasks.life import Life, Part
from medai.volume import Volume

Scores = NDArray[np.float64]

_MOST_CLASSES = 4096  # more numbers than this are an image


class OneModel:
    """A loaded model at work for one job.

    Parameters
    ----------
    life : Life
        Of the job.
    choice : Choice
        The model, as it was checked.
    ladder : Ladder
        Runs it within the memory there is.
    """

    def __init__(self, life: Life, choice: Choice, ladder: Ladder) -> None:
        self.life = life
        self.description: Description = choice.description
        self.mirror_axes = choice.mirror_axes
        self.ladder = ladder

    def warn(self, images: Sequence[Volume]) -> None:
        """Say where images do not look like what the model was made for."""
        for warning in self.description.warnings(images):
            self.life.tell(warning)

    def load(self) -> None:
        """Have the model in memory."""
        for note in self.ladder.pipeline.notes:
            self.life.tell(note)

    @property
    def exclusive(self) -> bool:
        """Whether just one of the classes is true of an image, rather than any number of findings."""
        return excludes(self.ladder.pipeline.postprocessing)

    def views(self, images: tuple[Volume, ...], parameters: ViewParameters) -> list[View]:
        """The parts of an image to look at; see `views_of`."""
        tell = self.life.tell
        fitting = fit_inputs(images, self.description.channels, tell)
        return views_of(fitting, parameters, self.description, planar=self.ladder.pipeline.planar, tell=tell)

    def scores(self, view: View, part: Part) -> list[Scores]:
        """Probabilities of all classes, once or once for every mirror, each of shape (C,).

        Raises
        ------
        BundleError
            When the model gives something else than scores.
        """
        life = self.life
        seen = self._mirrors(view)
        life.at("Preparing" if part.index == 0 else life.working, part.index, part.count)
        found = [self._scores(view, axes, self._on_window(part.of(n, len(seen)))) for n, axes in enumerate(seen)]
        life.at("Finishing" if part.index + 1 == part.count else life.working, part.index + 1, part.count)
        return found

    def _mirrors(self, view: View) -> tuple[Axes, ...]:
        axes = set(self.mirror_axes)
        if axes and tells_sides_apart(Segment(name, 1) for name in self.description.classes):
            axes -= {left_right_axis(self.ladder.model_affine(view.images))}
            self.life.tell("The model tells left from right, so the image was not mirrored from left to right.")
        return mirrors(sorted(axes))

    def _scores(self, view: View, mirror: Axes, on_window: Callable[[int, int], None]) -> Scores:
        def compute() -> Scores:
            pipeline = self.ladder.pipeline
            batch = self.ladder.preprocessed(view.images)
            if mirror:
                key = pipeline.image_key(batch)
                batch = {**batch, key: batch[key].flip([axis + 2 for axis in mirror])}
            return pipeline.probabilities(self.ladder.infer(batch, on_window))

        found = self.ladder.run(compute)
        if not 0 < len(found) <= _MOST_CLASSES:
            raise BundleError(
                f"The model '{self.description.title}' does not classify.",
                f"It gives {len(found)} numbers for an image.",
                "Choose a model for classification.",
            )
        return found

    def _on_window(self, part: Part) -> Callable[[int, int], None]:
        return lambda done, total: self.life.at_window(part, done, max(total, 1))
