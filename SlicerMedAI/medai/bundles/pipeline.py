"""Run a MONAI bundle on images in memory, the way its own ``configs/inference.json`` says.

What `monai.engines.SupervisedEvaluator` would do with one image is done here step by step, with MONAI's own functions:
preprocessing, collate, prepare_batch, inferer, decollate, postprocessing. Datasets, data loaders, handlers and
``initialize`` of the bundle are never evaluated.
"""

from __future__ import annotations

import copy
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, list_data_collate
from monai.data.utils import to_affine_nd
from monai.engines.utils import default_prepare_batch
from monai.inferers import SimpleInferer, SliceInferer
from monai.transforms import Compose, Decollated, SqueezeDim, SqueezeDimd, apply_transform

from medai.bundles import memory_io
from medai.bundles.memory_io import Saved
from medai.bundles.prediction import Prediction, to_prediction
from medai.engine.memory import is_out_of_memory, out_of_memory
from medai.engine.windows import OnWindow, count_windows, watched
from medai.errors import BundleError, BundleFormatError, DependencyError, InputError, MedAIError
from medai.volume import Volume

Data = dict[Any, Any]
_PRED = "pred"
_UNFIT_IMAGE = "Check that the image is of the kind this model expects; if it is, tell the model's authors."
_UNFIT_MODEL = "Import or download the model again; if that does not help, it was made for another version of MONAI."
_NOT_AN_INPUT = {"label", "labels", "seg", "mask", "gt"}


class Pipeline:
    """One bundle, loaded onto one device.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    device : str
        A PyTorch device that exists on this computer.

    Raises
    ------
    UntrustedBundleError, MaliciousBundleError
        Before anything of the bundle is evaluated.
    BundleFormatError
        When the bundle's inference configuration or weights cannot be used.
    DependencyError
        When the bundle needs a Python package that is not installed.
    """

    def __init__(self, root: Path, device: str) -> None:
        from medai.bundles import trust

        self.root = root
        self.device = device
        content, metadata = trust.checked(root)
        self._parser = ConfigParser()
        if metadata:
            self._parser.read_meta(metadata)
        self._parser.read_config(memory_io.without_file_formats(content))
        self._parser["bundle_root"] = str(root)
        self._parser["device"] = f"$torch.device('{device}')"
        self._shelf: dict[str, Volume] = {}
        self._saved: list[Saved] = []
        explained = self._explained("The model cannot be loaded.", BundleFormatError, _UNFIT_MODEL)
        with _own_modules(root), memory_io.without_unpickling(), explained:
            self._build()

    def _build(self) -> None:
        self.network = self._network()
        self.inferer = self._resolve("evaluator::inferer", "inferer") or SimpleInferer()
        preprocessing = self._resolve("preprocessing", "dataset::transform", "evaluator::preprocessing")
        if preprocessing is None:
            raise self._unusable("It has no 'preprocessing', so it cannot be known how to read an image for it")
        # A bare list of transforms is allowed where MONAI's Dataset takes it.
        self._pre = Compose(preprocessing) if isinstance(preprocessing, (list, tuple)) else preprocessing
        post = self._resolve("evaluator::postprocessing", "postprocessing")
        self._post = Compose(post) if isinstance(post, (list, tuple)) else post
        self.planar = self._is_planar()
        loaded = memory_io.read_from_memory(self._pre, self._shelf, planar=self.planar)
        self.keys = tuple(key for key in loaded if key.lower() not in _NOT_AN_INPUT) or loaded
        if not self.keys:
            raise self._unusable("Its preprocessing loads no image through MONAI's LoadImaged")
        self._saves = memory_io.write_to_memory(self._post, self._saved) if self._post is not None else False
        self._prepare_batch = self._resolve("evaluator::prepare_batch") or default_prepare_batch
        self._amp = bool(self._resolve("evaluator::amp")) and self.device.startswith("cuda")
        self._amp_kwargs = self._resolve("evaluator::amp_kwargs") or {}

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
            When the number of images does not fit.
        BundleError
            When a transform of the bundle fails on the images.
        """
        names = [f"image{number}.nii" for number in range(len(volumes))]
        self._shelf.update(zip(names, volumes, strict=True))
        try:
            with self._explained("The model could not prepare the image."), _evaluating():
                data = apply_transform(self._pre, self._placed(names), map_items=False)
                if not isinstance(data, Mapping):
                    raise self._unusable("Its preprocessing gives several samples for one image")
                return dict(list_data_collate([data]))
        finally:
            self._shelf.clear()

    def image_of(self, data: Data) -> Any:
        """The network's input image in a preprocessed batch, (1, C, *spatial)."""
        return data[self._image_key(data)]

    def count_windows(self, data: Data, *, overlap: float | None = None) -> int:
        """Number of windows `infer` will run on a preprocessed batch; 0 when it cannot be told."""
        image = data.get(self._image_key(data))
        if not isinstance(image, torch.Tensor):
            return 0
        try:
            return count_windows(self._inferer(overlap, None), image.shape[2:]) * int(image.shape[0])
        except (ValueError, TypeError, AttributeError):
            return 0  # an inferer that would fail says so itself, with its own message, when it runs

    def infer(
        self,
        data: Data,
        network: torch.nn.Module | None = None,
        *,
        overlap: float | None = None,
        sw_batch_size: int | None = None,
        on_window: OnWindow | None = None,
    ) -> Data:
        """The bundle's own inferer on a preprocessed batch.

        Parameters
        ----------
        data : dict
            From `preprocess`.
        network : torch.nn.Module, optional
            In place of the bundle's own.
        overlap : float, optional
            In place of the inferer's own, 0 to below 1.
        sw_batch_size : int, optional
            Windows per forward pass, in place of the inferer's own.
        on_window : callable, optional
            Called around every forward pass with the number of windows done; may raise to stop.

        Returns
        -------
        dict
            One decollated sample that also holds the network's output under ``"pred"``.

        Raises
        ------
        InputError
            When `overlap` or `sw_batch_size` is given but this model does not work in windows.
        OutOfMemoryError
            When the computer or its GPU has too little memory.
        """
        inferer = self._inferer(overlap, sw_batch_size)
        network = network if network is not None else self.network
        key = self._image_key(data)
        watching = watched(network, on_window) if on_window is not None else nullcontext()
        amp = torch.autocast("cuda", **self._amp_kwargs) if self._amp else nullcontext()
        with self._explained("The model could not process the image."), _evaluating():
            batch = {**data, "image": data[key]} if "image" not in data else data
            prepared = self._prepare_batch(batch, torch.device(self.device), False)
            inputs, label, args, kwargs = prepared if len(prepared) == 4 else (*prepared, (), {})
            with watching, amp:
                pred = inferer(inputs, network, *args, **kwargs)
            decollate = Decollated(keys=None, detach=True)
            sample: Data = decollate(dict(data))[0]
            output = {key: inputs, _PRED: pred} | ({} if label is None else {"label": label})
            sample.update(decollate(output)[0])
            return sample

    def postprocess(self, data: Data, reference: Volume) -> Prediction:
        """The bundle's own postprocessing, and its result brought onto the grid of `reference`.

        Parameters
        ----------
        data : dict
            From `infer`.
        reference : Volume
            The first input image.
        """
        self._saved.clear()
        try:
            with self._explained("The model could not finish its result."), _evaluating():
                if self._post is not None:
                    data = apply_transform(self._post, data, map_items=False)
                saved = self._last_saved(data)
                return to_prediction(saved, reference)
        finally:
            self._saved.clear()

    def _last_saved(self, data: Data) -> Saved:
        if self._saves and self._saved:
            return next((item for item in reversed(self._saved) if item.key == _PRED), self._saved[-1])
        pred = data[_PRED]
        if not isinstance(pred, torch.Tensor):
            raise self._unusable("Its result is not one image")
        affine = pred.affine if isinstance(pred, MetaTensor) else data[self._image_key(data)].affine
        channel_last = memory_io.MemoryWriter.convert_to_channel_last(pred.cpu().numpy(), squeeze_end_dims=False)
        return Saved(_PRED, channel_last, to_affine_nd(3, affine.cpu().numpy()))

    def _placed(self, names: list[str]) -> Data:
        if len(self.keys) == 1:
            return {self.keys[0]: names if len(names) > 1 else names[0]}
        if len(self.keys) == len(names):
            return dict(zip(self.keys, names, strict=True))
        raise InputError(
            f"This model needs {len(self.keys)} images at once, but got {len(names)}.",
            f"Its inputs are called {', '.join(self.keys)}.",
            "Choose one image for each of them, in that order.",
        )

    def _image_key(self, data: Data) -> str:
        return "image" if "image" in data else self.keys[0]

    def _inferer(self, overlap: float | None, sw_batch_size: int | None) -> Any:
        changes = {"overlap": overlap, "sw_batch_size": sw_batch_size}
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

    def _network(self) -> torch.nn.Module:
        from medai.bundles.weights import load_state_dict

        network = self._resolve("evaluator::network", "network", "network_def", "net")
        if not isinstance(network, torch.nn.Module):
            raise self._unusable("It has no 'network_def' that describes its network")
        target = getattr(network, "module", network) if isinstance(network, torch.nn.DataParallel) else network
        state = load_state_dict(self.root)
        try:
            target.load_state_dict(state, strict=True)
        except RuntimeError as error:
            raise BundleFormatError(
                f"The weights of the model '{self.root.name}' do not belong to its network.",
                "Their names or sizes differ from those its configuration asks for.",
                "Import or download the model again, or ask its authors for a matching pair.",
                details=str(error),
            ) from error
        return network.to(self.device).eval().requires_grad_(requires_grad=False)

    def _is_planar(self) -> bool:
        """Whether the network works on two-dimensional images."""
        if isinstance(self.inferer, SliceInferer):
            return False
        # A bundle that drops the slice axis itself expects to find it.
        if any(isinstance(leaf, (SqueezeDim, SqueezeDimd)) for leaf in memory_io.leaves(self._pre)):
            return False
        kinds = {type(module).__name__ for module in self.network.modules()}
        return any("Conv" in kind and kind.endswith("2d") for kind in kinds) and not any(
            "Conv" in kind and kind.endswith("3d") for kind in kinds
        )

    def _resolve(self, *ids: str) -> Any:
        """The first of these parts that the configuration has, instantiated; None when it has none of them."""
        for name in ids:
            if name in self._parser and self._parser[name] is not None:
                return self._parser.get_parsed_content(name)
        return None

    def _unusable(self, why: str) -> BundleFormatError:
        return BundleFormatError(
            f"The model '{self.root.name}' cannot be used here.",
            f"{why}.",
            "Ask its authors for a bundle that follows the MONAI bundle specification.",
        )

    @contextmanager
    def _explained(
        self, what: str, kind: type[BundleError] = BundleError, remedy: str = _UNFIT_IMAGE
    ) -> Iterator[None]:
        """Turn whatever MONAI, PyTorch or the bundle's transforms raise into an error a person understands."""
        try:
            yield
        except MedAIError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise out_of_memory(error, self.device) from error
            package = _missing_package(error)
            details = "".join(traceback.format_exception(error))
            if package:
                raise DependencyError(
                    f"The model '{self.root.name}' needs a part that is not installed.",
                    f"The Python package '{package}' is missing.",
                    f"Install '{package}' into the same Python, then try again.",
                    details=details,
                ) from error
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            message = str(cause).strip().splitlines() or [type(cause).__name__]
            raise kind(
                what,
                f"The model '{self.root.name}' says: {message[0][:300]}.",
                remedy,
                details=details,
            ) from error


@contextmanager
def _evaluating() -> Iterator[None]:
    """No gradients, and no unpickling by a loader that hides in a transform."""
    with torch.inference_mode(), memory_io.without_unpickling():
        yield


def _missing_package(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return cause.name.partition(".")[0]
        # MONAI's own two ways to say so.
        named = re.search(r"^required package `([\w-]+)|^(\w+)(?:\.\w+)* required\.?$", str(cause))
        if named:
            name = (named[1] or named[2]).lower()
            return "scikit-image" if name == "skimage" else name
        cause = cause.__cause__ or cause.__context__
    return ""


@contextmanager
def _own_modules(root: Path) -> Iterator[None]:
    """Let a trusted bundle import its own ``scripts``, without leaving them in the way of another bundle's."""
    from medai.bundles import trust

    if not trust.is_trusted(root):
        # Otherwise its files could take the place of packages that MONAI imports when it needs them.
        yield
        return
    before = set(sys.modules)
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(root):
                del sys.modules[name]
