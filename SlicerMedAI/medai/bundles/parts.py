"""The parts of a bundle that make a result out of an image, as its own configuration describes them.

Datasets, data loaders, handlers and ``initialize`` of the bundle are never evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.engines.utils import default_prepare_batch
from monai.inferers import SimpleInferer
from monai.transforms import Compose
from monai.utils import pytorch_after

from medai.bundles import trust
from medai.bundles.adaptation import adapted
from medai.bundles.explained import UNFIT_MODEL, explained
from medai.bundles.latents import Latents, latents_of
from medai.bundles.memory_io import without_unpickling
from medai.bundles.network import with_weights
from medai.bundles.own_modules import own_modules
from medai.bundles.pyramids import pyramids_without_torchvision
from medai.errors import BundleFormatError


@dataclass(frozen=True, eq=False)
class Parts:
    """What runs, in this order.

    Parameters
    ----------
    preprocessing : Compose or None
        From the names of files to what the network sees; None for a network that starts from random numbers.
    prepare_batch : callable
        From a batch to the arguments of the inferer.
    network : torch.nn.Module
        With its weights, on the device.
    inferer : monai.inferers.Inferer
        How the network goes over an image.
    postprocessing : Compose or None
        From the network's values to what a person wants.
    finishes_parts : bool
        Whether `postprocessing` is not the evaluator's own: a handler then uses it on the parts of each prediction.
    latents : Latents or None
        What a network that makes images from numbers starts with.
    amp : bool
        Whether the bundle asks for mixed precision.
    amp_kwargs : dict
        For ``torch.autocast``.
    """

    preprocessing: Compose | None
    prepare_batch: Callable[..., Any]
    network: torch.nn.Module
    inferer: Any
    postprocessing: Compose | None
    finishes_parts: bool = False
    latents: Latents | None = None
    amp: bool = False
    amp_kwargs: dict[str, Any] = field(default_factory=dict)


def parts_of(root: Path, device: str, stem: str = "inference") -> Parts:
    """Evaluate those settings of a bundle that an inference needs.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    device : str
        A PyTorch device that exists on this computer.
    stem : str
        Which of its configurations.

    Raises
    ------
    UntrustedBundleError, MaliciousBundleError
        Before anything of the bundle is evaluated.
    BundleFormatError
        When the configuration or the weights cannot be used.
    DependencyError
        When the bundle needs a Python package that is not installed.
    """
    content, metadata = trust.checked(root, stem=stem)
    pyramids_without_torchvision(content)
    parser = ConfigParser()
    if metadata:
        parser.read_meta(metadata)
    parser.read_config(adapted(content, device))
    parser["bundle_root"] = str(root)
    parser["device"] = f"$torch.device('{device}')"

    def resolve(*ids: str) -> Any:
        """The first of these parts that the configuration has; None when it has none of them."""
        for name in ids:
            if name in parser and parser[name] is not None:
                return parser.get_parsed_content(name)
        return None

    what = "The model cannot be loaded."
    with (
        own_modules(root),
        without_unpickling(),
        _arrays_of_numbers(),
        explained(what, root.name, device, kind=BundleFormatError, remedy=UNFIT_MODEL),
    ):
        network = with_weights(resolve("evaluator::network", "network", "network_def", "net"), root, device, stem=stem)
        # Calls that set up the parts, which MONAI makes before it makes the evaluator.
        resolve("evaluator::_requires_")
        own = resolve("evaluator::postprocessing")
        return Parts(
            preprocessing=_composed(resolve("preprocessing", "dataset::transform", "evaluator::preprocessing")),
            prepare_batch=resolve("evaluator::prepare_batch") or default_prepare_batch,
            network=network,
            inferer=resolve("evaluator::inferer", "inferer") or SimpleInferer(),
            postprocessing=_composed(own if own is not None else resolve("postprocessing")),
            finishes_parts=own is None,
            latents=latents_of(network, metadata, content),
            amp=bool(resolve("evaluator::amp")),
            amp_kwargs=resolve("evaluator::amp_kwargs") or {},
        )


def _composed(transforms: Any) -> Any:
    # A bare list of transforms is allowed where MONAI's Dataset takes it.
    return Compose(transforms) if isinstance(transforms, (list, tuple)) else transforms


def _arrays_of_numbers() -> AbstractContextManager[None]:
    """Let a trusted configuration read NumPy arrays of numbers with torch.load, as results of a network search are.

    Since version 2.6, torch.load refuses whatever is not listed, and has no arrays in its list.
    """
    if not pytorch_after(2, 6):
        return nullcontext()
    from _codecs import encode

    make = np.empty(0).__reduce__()[0]  # a private function of NumPy, whose module was renamed with version 2
    kinds = [getattr(np.dtypes, f"{name}DType") for name in ("Bool", "Int8", "UInt8", "Int32", "Int64")]
    kinds += [np.dtypes.Float32DType, np.dtypes.Float64DType, np.dtype, np.ndarray, encode]
    makers = [(make, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    allowed: AbstractContextManager[None] = torch.serialization.safe_globals([*kinds, *makers])
    return allowed
