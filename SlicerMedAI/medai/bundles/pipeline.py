"""Run a MONAI bundle on images in memory, the way its own ``configs/inference.json`` says.

What `monai.engines.SupervisedEvaluator` would do with one image is done here step by step, with MONAI's own functions:
preprocessing, collate, prepare_batch, inferer, decollate, postprocessing.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor, list_data_collate
from monai.data.utils import to_affine_nd
from monai.engines.utils import default_prepare_batch
from monai.transforms import Decollated, apply_transform
from numpy.typing import NDArray

from medai.bundles import memory_io, quantized
from medai.bundles.explained import explained, unusable
from medai.bundles.memory_io import Saved
from medai.bundles.network import check_slices, is_planar
from medai.bundles.parts import parts_of
from medai.bundles.postprocessing import (
    PRED,
    activates,
    is_reference,
    keep_labels_whole,
    undecided,
    values_of_channels,
    without_references,
)
from medai.bundles.prediction import Prediction, to_prediction, to_volume
from medai.engine.windows import OnWindow, check_output, count_windows, watched
from medai.errors import InputError, UnfitImageError
from medai.volume import Volume

Data = dict[Any, Any]


class Pipeline:
    """One bundle, loaded onto one device.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    device : str
        A PyTorch device that exists on this computer.
    stem : str
        Which of the bundle's configurations: ``"inference"``, or that of a second network, see
        `medai.bundles.encoders`.

    Attributes
    ----------
    network : torch.nn.Module
        With its weights, on `device`.
    inferer : monai.inferers.Inferer
        The bundle's own.
    preprocessing, postprocessing : Compose or None
        The bundle's own, which read and write memory.
    latents : Latents or None
        What a network that makes images from random numbers starts with.
    keys : tuple of str
        Names of the images that `preprocess` takes.
    planar : bool
        Whether the network works on two-dimensional images.
    notes : tuple of str
        What is done otherwise than the bundle says, for a person to know.

    Raises
    ------
    UntrustedBundleError, MaliciousBundleError
        Before anything of the bundle is evaluated.
    BundleFormatError
        When the bundle's inference configuration or weights cannot be used.
    DependencyError
        When the bundle needs a Python package that is not installed.
    """

    def __init__(self, root: Path, device: str, stem: str = "inference") -> None:
        self.root = root
        self.device = device
        parts = parts_of(root, device, stem)
        self.network, self.inferer, self.latents = parts.network, parts.inferer, parts.latents
        self.preprocessing, self.postprocessing = parts.preprocessing, parts.postprocessing
        self._prepare_batch, self._finishes_parts = parts.prepare_batch, parts.finishes_parts
        self._amp_kwargs = parts.amp_kwargs if parts.amp and device.startswith("cuda") else None
        self._shelf: dict[str, Volume] = {}
        self._saved: list[Saved] = []
        self._channel_values: dict[int, tuple[int, ...]] = {}
        if self.preprocessing is None and self.latents is None:
            raise unusable(root.name, "It has no 'preprocessing', so it cannot be known how to read an image for it")
        if parts.prepare_batch is default_prepare_batch and _asks_for_more(self.inferer):
            raise unusable(root.name, "It waits for points or other hints from a person with every image")
        self.planar = is_planar(self.network, self.inferer, self.preprocessing)
        loaded = memory_io.read_from_memory(self.preprocessing, self._shelf, planar=self.planar)
        self.keys = tuple(key for key in loaded if not is_reference(key, self.preprocessing)) or loaded
        if not self.keys and self.latents is None:
            raise unusable(root.name, "Its preprocessing loads no image through MONAI's LoadImaged")
        self._saves = memory_io.write_to_memory(self.postprocessing, self._saved)
        for transform in (self.preprocessing, self.postprocessing):
            without_references(transform)
        self.notes: tuple[str, ...] = (
            ("Labels were brought back to the image's grid by nearest neighbour, since the model would mix them.",)
            if keep_labels_whole(self.postprocessing)
            else ()
        )
        if stem == "inference":
            self.notes += quantized.attach(self.network, root, device)

    def preprocess(self, volumes: Sequence[Volume]) -> Data:
        """The bundle's own preprocessing, up to a batch of one image.

        Parameters
        ----------
        volumes : sequence of Volume
            One per input of the model, on one grid. Several go into the bundle's one loader as a list, as a list of
            files would, or one each into its several loaders.

        Raises
        ------
        InputError
            When the number of images, or of their slices, does not fit.
        BundleError
            When a transform of the bundle fails on the images.
        """
        if self.planar and self.keys:
            check_slices(self.root.name, volumes)
        names = [f"image{number}.nii" for number in range(len(volumes))]
        self._shelf.update(zip(names, volumes, strict=True))
        try:
            with self._explained("The model could not prepare the image."), _evaluating():
                data = apply_transform(self.preprocessing, self._placed(names), map_items=False)
                if not isinstance(data, Mapping):
                    raise unusable(self.root.name, "Its preprocessing gives several samples for one image")
                return dict(list_data_collate([data]))
        finally:
            self._shelf.clear()

    def count_windows(self, data: Data, *, inferer: Any = None) -> int:
        """Number of windows `infer` will run on a preprocessed batch; 0 when it cannot be told."""
        image = data.get(self.image_key(data))
        if not isinstance(image, torch.Tensor):
            return 0
        try:
            return count_windows(inferer or self.inferer, image.shape[2:]) * int(image.shape[0])
        except (ValueError, TypeError, AttributeError):
            return 0  # an inferer that would fail says so itself, with its own message, when it runs

    def infer(
        self,
        data: Data | torch.Tensor,
        network: torch.nn.Module | None = None,
        *,
        inferer: Any = None,
        on_window: OnWindow | None = None,
    ) -> Data:
        """The bundle's own inferer on a preprocessed batch.

        Parameters
        ----------
        data : dict or torch.Tensor
            From `preprocess`; or one latent code, shape (1, \\*shape), for a network that makes images from them.
        network : torch.nn.Module, optional
            In place of the bundle's own.
        inferer : callable, optional
            In place of the bundle's own, see `inferer_for`.
        on_window : callable, optional
            Called around every forward pass with the number of windows done; may raise to stop.

        Returns
        -------
        dict
            One decollated sample that also holds the network's output under ``"pred"``: a tensor, or a dictionary of
            tensors for networks with several outputs.

        Raises
        ------
        OutOfMemoryError
            When the computer or its GPU has too little memory.
        """
        inferer = inferer or self.inferer
        network = network if network is not None else self.network
        watching = watched(network, on_window) if on_window is not None else nullcontext()
        amp = torch.autocast("cuda", **self._amp_kwargs) if self._amp_kwargs is not None else nullcontext()
        with self._explained("The model could not process the image."), _evaluating():
            key = self.image_key(data) if isinstance(data, Mapping) else "image"
            batch = {"image": data[key], **data} if isinstance(data, Mapping) else data
            prepared = self._prepare_batch(batch, torch.device(self.device), False)
            inputs, label, args, kwargs = prepared if len(prepared) == 4 else (*prepared, (), {})
            with watching, amp:
                pred = inferer(inputs, network, *args, **kwargs)
            if isinstance(pred, torch.Tensor):
                check_output(pred)
            decollate = Decollated(keys=None, detach=True)
            sample: Data = decollate(dict(data))[0] if isinstance(data, Mapping) else {}
            output = {key: inputs} | ({} if label is None else {"label": label})
            if isinstance(pred, (list, tuple)) and isinstance(pred[0], Mapping):
                # One dictionary for each image, as detectors give them, is not a batch of anything.
                sample.update({**decollate(output)[0], PRED: dict(pred[0])})
            else:
                sample.update(decollate(output | {PRED: pred})[0])
            return sample

    def run(self, data: Data | torch.Tensor, network: torch.nn.Module | None = None, **options: Any) -> Data:
        """`infer`, then the bundle's own postprocessing, for a result that is no segmentation.

        Parameters
        ----------
        data, network, options
            As for `infer`.

        Returns
        -------
        dict
            One sample as the bundle's postprocessing leaves it: class scores or an image under ``"pred"``; boxes with
            labels and scores under the names the bundle gives them.
        """
        finished = self._finished(self.infer(data, network, **options))
        self._saved.clear()
        return finished

    def probabilities(self, data: Data) -> NDArray[np.float64]:
        """Scores of a classification before the bundle decides for a class.

        Parameters
        ----------
        data : dict
            From `infer`.

        Returns
        -------
        ndarray, shape (C,)
            As the bundle's own activation gives them; softmax (one class: sigmoid) where it has none.
        """
        with self._explained("The model could not finish its result."), _evaluating():
            left = apply_transform(undecided(self.postprocessing), data, map_items=False)[PRED]
            scores = torch.as_tensor(left).detach().cpu().double().flatten()
            if not activates(self.postprocessing):
                scores = scores.softmax(0) if len(scores) > 1 else scores.sigmoid()
        return np.asarray(scores)

    def postprocess(self, data: Data, reference: Volume, *, steps: Any = None) -> Prediction:
        """The bundle's own postprocessing, and its result brought onto the grid of `reference`, as labels.

        Parameters
        ----------
        data : dict
            From `infer`.
        reference : Volume
            The first input image.
        steps : Compose, optional
            What is left of it to do, in place of all of it.
        """
        values = data[PRED]
        try:
            finished = self._finished(data, steps)
            with self._explained("The model could not finish its result."):
                prediction = to_prediction(self._last_saved(finished), reference)
        finally:
            self._saved.clear()
        if prediction.multilabel or not isinstance(values, torch.Tensor):
            return prediction
        return replace(prediction, channel_values=self._values_of(values))

    def image(self, data: Data, name: str) -> Volume:
        """The bundle's own postprocessing, and its result as an image of its own.

        Parameters
        ----------
        data : dict
            From `infer`.
        name : str
            What a person calls it.
        """
        try:
            return to_volume(self._last_saved(self._finished(data)), name)
        finally:
            self._saved.clear()

    def images(self, data: Data, name: str) -> dict[str, Volume]:
        """As `image`, and all else that the bundle would have saved, by the keys it has there; the image's is "pred".

        Parameters
        ----------
        data, name
            As for `image`.
        """
        try:
            main = self._last_saved(self._finished(data))
            others = {saved.key: saved for saved in self._saved if saved is not main}
            return {key: to_volume(saved, name) for key, saved in ({PRED: main} | others).items()}
        finally:
            self._saved.clear()

    def image_key(self, data: Mapping[Any, Any]) -> str:
        """Key of the network's input in a preprocessed batch or sample."""
        return "image" if "image" in data or not self.keys else self.keys[0]

    def _finished(self, data: Data, steps: Any = None) -> Data:
        self._saved.clear()
        steps = self.postprocessing if steps is None else steps
        if steps is None:
            return data
        if self._finishes_parts and isinstance(data[PRED], Mapping):
            data = {**data, **data[PRED]}
        with self._explained("The model could not finish its result."), _evaluating():
            finished: Data = apply_transform(steps, data, map_items=False)
            return finished

    def _last_saved(self, data: Data) -> Saved:
        if self._saves and self._saved:
            return next((item for item in reversed(self._saved) if item.key == PRED), self._saved[-1])
        pred = data[PRED]
        if not isinstance(pred, torch.Tensor):
            raise unusable(self.root.name, "Its result is not one image")
        placed = next((x for x in (pred, data.get(self.image_key(data))) if isinstance(x, MetaTensor)), None)
        affine = np.eye(4) if placed is None else placed.affine.cpu().numpy()
        channel_last = memory_io.MemoryWriter.convert_to_channel_last(pred.cpu().numpy(), squeeze_end_dims=False)
        return Saved(PRED, channel_last, to_affine_nd(3, affine))

    def _values_of(self, values: torch.Tensor) -> tuple[int, ...]:
        channels = int(values.shape[0])
        if channels not in self._channel_values:
            with _evaluating():
                found = values_of_channels(self.postprocessing, channels, values.ndim - 1)
            self._channel_values[channels] = found
        return self._channel_values[channels]

    def _placed(self, names: list[str]) -> Data:
        if len(self.keys) == 1:
            return {self.keys[0]: names if len(names) > 1 else names[0]}
        if len(self.keys) == len(names) > 0:
            return dict(zip(self.keys, names, strict=True))
        if not self.keys:
            raise InputError(
                "This model takes no image.",
                "It makes images from random numbers.",
                "Use a model for the task you have in mind.",
            )
        raise InputError(
            f"This model needs {len(self.keys)} images at once, but got {len(names)}.",
            f"Its inputs are called {', '.join(self.keys)}.",
            "Choose one image for each of them, in that order.",
        )

    def inferer_for(self, **changes: Any) -> Any:
        """The bundle's own inferer, changed where asked for.

        Parameters
        ----------
        **changes
            In place of the inferer's own, None to leave it: ``overlap`` (0 to below 1), ``sw_batch_size`` (windows per
            forward pass), ``roi_size``, ``device`` (where results are put together).

        Raises
        ------
        InputError
            When something is to be changed, but this model does not work in windows.
        """
        changes = {name: value for name, value in changes.items() if value is not None}
        if not changes:
            return self.inferer
        missing = [name for name in changes if not hasattr(self.inferer, name)]
        if missing:
            raise InputError(
                f"'{missing[0]}' cannot be changed for this model.",
                "It processes the image in one piece instead of in overlapping windows.",
                f"Leave '{missing[0]}' empty.",
            )
        inferer = copy.copy(self.inferer)
        for name, value in changes.items():
            setattr(inferer, name, value)
        return inferer

    def _explained(self, what: str) -> AbstractContextManager[None]:
        return explained(what, self.root.name, self.device, kind=UnfitImageError)


def _asks_for_more(inferer: Any) -> bool:
    """Whether an inferer cannot do with an image and a network."""
    given = list(inspect.signature(inferer).parameters.values())[2:]
    return any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in given)


@contextmanager
def _evaluating() -> Iterator[None]:
    """No gradients, and no unpickling by a loader that hides in a transform."""
    with torch.inference_mode(), memory_io.without_unpickling():
        yield
