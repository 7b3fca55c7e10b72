"""A bundle's postprocessing, read: what is done to the network's values, and what is left to do with labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from monai.transforms import Activationsd, AsDiscreted, Compose, EnsureTyped, Invertd, SaveImaged, ToDeviced

from medai.engine.streaming.errors import NotStreamableError
from medai.engine.streaming.reduction import Activation, Argmax, Reduction, Threshold, sigmoid, softmax

PRED = "pred"


@dataclass(frozen=True)
class Inversion:
    """What Invertd is asked to do with the network's output.

    Parameters
    ----------
    transform : object
        The preprocessing that is undone.
    source : str
        Key of the image whose record of operations counts.
    nearest : bool
        Whether values are those of the nearest voxel; else they are interpolated as the preprocessing did.
    """

    transform: object
    source: str
    nearest: bool


@dataclass(frozen=True)
class Recipe:
    """What happens after the network, in this order.

    Parameters
    ----------
    before : tuple of Activation
        On the model's grid.
    invert : Inversion or None
        Brings values to the image's grid.
    after : tuple of Activation
        On the image's grid.
    reduction : Reduction
        Values to labels.
    labels_are_inverted : bool
        Whether `invert` comes after the reduction.
    dtype : torch.dtype
        What the labels are handed on in.
    rest : tuple
        MONAI's transforms that are left for the labels.
    """

    before: tuple[Activation, ...]
    invert: Inversion | None
    after: tuple[Activation, ...]
    reduction: Reduction
    labels_are_inverted: bool
    dtype: torch.dtype
    rest: tuple[Any, ...]

    @property
    def local(self) -> bool:
        """Whether each label depends on its own place only, so that a part of the image can be had alone."""
        return all(
            isinstance(leaf, (EnsureTyped, ToDeviced)) or (isinstance(leaf, SaveImaged) and _saves_labels(leaf))
            for leaf in self.rest
        )


def read(postprocessing: object, absent: Callable[[str], bool] = lambda _: False) -> Recipe:
    """Recognise a bundle's postprocessing.

    Parameters
    ----------
    postprocessing : Compose or None
        The bundle's own.
    absent : callable
        Whether there will be nothing under a key, such as that of a reference label.

    Raises
    ------
    NotStreamableError
        When labels come about in another way.
    """
    steps = _Steps(absent)
    for leaf in leaves(postprocessing):
        steps.take(leaf)
    return steps.recipe()


def leaves(transform: object) -> Iterable[object]:
    """Every transform inside plain Compose ones; those that choose among theirs are not taken apart."""
    if type(transform) is Compose:
        for part in transform.transforms:  # type: ignore[attr-defined]
            yield from leaves(part)
    elif transform is not None:
        yield transform


class _Steps:
    """The steps seen so far."""

    def __init__(self, absent: Callable[[str], bool]) -> None:
        self.absent = absent
        self.activations: tuple[list[Activation], list[Activation]] = ([], [])
        self.invert: Inversion | None = None
        self.reduction: Reduction | None = None
        self.dtype = torch.float32
        self.labels_are_inverted = False
        self.rest: list[Any] = []

    def take(self, leaf: object) -> None:
        if self.reduction is not None and not self._inverts_labels(leaf):
            self.rest.append(leaf)
            return
        reads = {
            Activationsd: self._activation,
            AsDiscreted: self._reduction,
            Invertd: self._inversion,
            EnsureTyped: self._conversion,
            ToDeviced: self._conversion,
        }
        read_it = reads.get(type(leaf))
        if read_it is None:
            raise NotStreamableError(f"{type(leaf).__name__} needs the whole output")
        read_it(leaf)

    def recipe(self) -> Recipe:
        if self.reduction is None:
            raise NotStreamableError("its postprocessing does not say how values become labels")
        before, after = (tuple(part) for part in self.activations)
        if self.invert is not None and softmax in after and isinstance(self.reduction, Threshold):
            # Between two voxels a softmax of averages may cross a threshold that neither of them crosses.
            raise NotStreamableError("its softmax and its threshold come after its Invertd")
        return Recipe(
            before, self.invert, after, self.reduction, self.labels_are_inverted, self.dtype, tuple(self.rest)
        )

    def _inverts_labels(self, leaf: Any) -> bool:
        if type(leaf) is not Invertd or self.invert is not None or self.rest or PRED not in leaf.keys:
            return False
        return bool(leaf.nearest_interp[self._number(leaf)])

    def _activation(self, leaf: Any) -> None:
        n = self._number(leaf)
        both = leaf.sigmoid[n] and leaf.softmax[n]
        if both or leaf.other[n] is not None or leaf.converter.kwargs.get("dim", 0) != 0:
            raise NotStreamableError("its activation is one of its own")
        stage = self.activations[0 if self.invert is None else 1]
        stage += [sigmoid] if leaf.sigmoid[n] else [softmax] if leaf.softmax[n] else []

    def _inversion(self, leaf: Any) -> None:
        n = self._number(leaf)
        if self.invert is not None or callable(leaf.post_func[n]):
            raise NotStreamableError("its Invertd is not the only step of its kind")
        self.invert = Inversion(leaf.transform, str(leaf.orig_keys[n]), bool(leaf.nearest_interp[n]))
        self.labels_are_inverted = self.reduction is not None

    def _reduction(self, leaf: Any) -> None:
        n, options = self._number(leaf), leaf.converter.kwargs
        if options.get("dim", 0) != 0 or not options.get("keepdim", True):
            raise NotStreamableError("its AsDiscreted drops the channel")
        self.dtype = options.get("dtype", torch.float32)
        onehot, threshold, rounding = leaf.to_onehot[n], leaf.threshold[n], leaf.rounding[n]
        if leaf.argmax[n]:
            self.reduction = Argmax()
        elif threshold is not None and onehot is None:
            self.reduction, threshold = Threshold(threshold), None
        else:
            raise NotStreamableError("its AsDiscreted neither takes a maximum nor a threshold")
        if onehot is not None or threshold is not None or rounding is not None:
            # What else it does, it does with labels.
            more = {"to_onehot": onehot, "threshold": threshold, "rounding": rounding}
            self.rest.append(AsDiscreted(PRED, **more, **options))

    def _conversion(self, leaf: Any) -> None:
        self._number(leaf)
        if isinstance(leaf, EnsureTyped):
            plain = leaf.converter.data_type == "tensor" and leaf.converter.track_meta
            if not plain or any(dtype not in (None, torch.float32) for dtype in leaf.dtype):
                raise NotStreamableError("its EnsureTyped changes what the values are kept in")

    def _number(self, leaf: Any) -> int:
        """Which of its keys is the network's output; no other may be there."""
        others = [key for key in leaf.keys if key != PRED]
        if PRED not in leaf.keys or not all(leaf.allow_missing_keys and self.absent(key) for key in others):
            raise NotStreamableError(f"{type(leaf).__name__} changes more than the output")
        return tuple(leaf.keys).index(PRED)


def _saves_labels(leaf: SaveImaged) -> bool:
    options = leaf.saver.meta_kwargs
    return not options["resample"] or str(getattr(options["mode"], "value", options["mode"])) == "nearest"
