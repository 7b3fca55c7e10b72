"""Denoising of an image by another bundle, before it is used."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type

from medai.errors import BundleError, BundleFormatError
from medai.volume import Volume

if TYPE_CHECKING:
    from medai.bundles.pipeline import Pipeline


class DenoiseByBundled(MapTransform):  # type: ignore[misc]
    """Replaces images by what a denoising bundle makes of them, channel by channel.

    The bundle is loaded once, and only when its own configuration needs no trust or has been trusted.

    Parameters
    ----------
    keys : str or sequence of str
        Images of shape (C, i, j[, k]).
    bundle : str
        Folder of the denoising bundle.
    device : str or torch.device
        Where its network runs.
    allow_missing_keys : bool

    Raises
    ------
    BundleFormatError
        When it is used and the folder holds no bundle.
    UntrustedBundleError, MaliciousBundleError
        When it is used and the bundle would run code that nobody has trusted.
    BundleError
        When the bundle gives an image on another grid.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        bundle: str,
        device: str | torch.device = "cpu",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.bundle, self.device = str(bundle), str(device)
        self._pipeline: Pipeline | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Other processes load it themselves.
        return {**self.__dict__, "_pipeline": None}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same images on the same grids, as float32."""
        done = dict(data)
        for key in self.key_iterator(done):
            image = done[key]
            quiet = np.stack([self._denoised(channel, image) for channel in torch.as_tensor(image).cpu().numpy()])
            done[key] = convert_to_dst_type(quiet, image, dtype=np.float32)[0]
        return done

    def _denoised(self, channel: Any, image: Any) -> Any:
        affine = to_affine_nd(3, image.affine.cpu().numpy()) if isinstance(image, MetaTensor) else np.eye(4)
        spatial = channel if channel.ndim == 3 else channel[..., np.newaxis]
        noisy = Volume(np.ascontiguousarray(spatial.T), affine.astype(np.float64), "image")
        pipeline = self._loaded()
        quiet = pipeline.image(pipeline.infer(pipeline.preprocess((noisy,))), "image")
        if not quiet.same_grid(noisy, 1e-2 * min(noisy.spacing)) or quiet.channels != 1:
            raise BundleError(
                f"The model '{pipeline.root.name}' cannot denoise for another model.",
                "It gives an image on another grid than that of its input.",
                "Choose another denoising model, and train again.",
            )
        return quiet.array.T.astype(np.float32).reshape(channel.shape)

    def _loaded(self) -> Pipeline:
        if self._pipeline is None:
            root = Path(self.bundle)
            # A link could lead back to the model itself.
            if not (root / "configs").is_dir() or root.resolve() != root.parent.resolve() / root.name:
                raise BundleFormatError(
                    "The image cannot be denoised before it is used.",
                    f"The denoising model that belongs to the model is missing ('{root.name}').",
                    "Download or copy the model again, with all of its files.",
                )
            from medai.bundles.pipeline import Pipeline

            self._pipeline = Pipeline(root, self.device)
        return self._pipeline
