"""Small bundles whose labels are had both ways: as MONAI does it, and streamed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import AsDiscreted, Compose, apply_transform

import small_bundles
from medai.bundles.pipeline import Pipeline
from medai.bundles.prediction import Prediction
from medai.engine.streaming.predict import predict, why_not
from medai.volume import Volume
from small_bundles import Recipe

LOAD = small_bundles.LOAD
INVERT = small_bundles.INVERT
ARGMAX = small_bundles.ARGMAX
SAVE = small_bundles.SAVE
_TIE = 1e-4


@dataclass
class Case:
    """One bundle and one image."""

    pipeline: Pipeline
    volumes: tuple[Volume, ...]

    def by_monai(self, **options: Any) -> Prediction:
        """MONAI's own inferer, Invertd and AsDiscreted."""
        sample = self.pipeline.infer(self.pipeline.preprocess(self.volumes), **options)
        return self.pipeline.postprocess(sample, self.volumes[0])

    def streamed(self, **options: Any) -> Prediction:
        """The same, streamed."""
        return predict(self.pipeline, self.pipeline.preprocess(self.volumes), self.volumes[0], **options)

    def why_not(self) -> str:
        return why_not(self.pipeline, self.pipeline.preprocess(self.volumes))

    def values(self) -> np.ndarray:
        """What MONAI's AsDiscreted is given, (C, *image)."""
        steps: list[Any] = []
        for leaf in self.pipeline.postprocessing.transforms:
            if isinstance(leaf, AsDiscreted):
                break
            steps.append(leaf)
        sample = self.pipeline.infer(self.pipeline.preprocess(self.volumes))
        with torch.inference_mode():
            return np.asarray(apply_transform(Compose(steps), sample, map_items=False)["pred"])

    def assert_equal_but_for_ties(self, found: Prediction, threshold: float | None = None) -> None:
        """Labels are MONAI's, but where its two highest values (or value and threshold) are one but for rounding."""
        wanted = self.by_monai()
        assert found.array.shape == wanted.array.shape
        assert found.array.dtype == wanted.array.dtype
        np.testing.assert_allclose(found.affine, wanted.affine)
        differs = found.array != wanted.array
        if not differs.any():
            return
        assert differs.mean() <= 1e-4 or differs.sum() <= 2
        values = self.values()
        spread = np.ptp(values)
        if threshold is None:
            top = np.sort(values, axis=0)[-2:]
            apart = (top[1] - top[0]).T  # (I, J, K) to (K, J, I)
        else:
            apart = np.abs(values - threshold).transpose(0, 3, 2, 1)
        assert apart.reshape(differs.shape)[differs].max() < _TIE * spread


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Case]:
    """A bundle of these transforms, and an image for it."""

    def make(
        pre: Sequence[dict[str, Any]],
        post: Sequence[dict[str, Any]],
        inferer: dict[str, Any],
        *,
        shape: tuple[int, ...] = (14, 22, 18),
        affine: np.ndarray | None = None,
        outputs: int = 4,
        planar: bool = False,
        network: dict[str, Any] | None = None,
        seed: int = 7,
    ) -> Case:
        dimensions = 2 if planar else 3
        recipe = Recipe(
            network=network
            or {
                "_target_": "monai.networks.blocks.Convolution",
                "spatial_dims": dimensions,
                "in_channels": 1,
                "out_channels": outputs,
                "kernel_size": 3,
                "conv_only": True,
            },
            pre=[LOAD, *pre],
            post=[*post, SAVE],
            inferer={"_target_": "SlidingWindowInferer"} | inferer,
            labels={},
            shapes=(shape,),
            seed=seed,
        )
        recipe.labels = {f"{n}": f"label {n}" for n in range(outputs)}
        if "out_channels" not in recipe.network:
            recipe.network["out_channels"] = outputs
        root = small_bundles.write_bundle(tmp_path_factory.mktemp("bundle") / "bundle", recipe)
        volumes = tuple(
            replace(volume, affine=np.diag([1.1, 0.9, 2.3, 1.0]) if affine is None else affine)
            for volume in small_bundles.images_for(recipe)
        )
        return Case(Pipeline(Path(root), "cpu"), volumes)

    return make
