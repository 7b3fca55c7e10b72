from __future__ import annotations

import copy
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks import nets

from medai.bundles.integrity import digest
from medai.engine.backends.cache import Cache
from medai.engine.backends.task import Task
from small_bundles import RECIPES, write_bundle

NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[int, ...]]] = {
    "UNet": (lambda: nets.UNet(3, 1, 3, [4, 8, 8], [2, 2], num_res_units=1), (1, 16, 16, 16)),
    "UNet of four channels": (lambda: nets.UNet(3, 4, 3, [4, 8], [2]), (4, 16, 24, 16)),
    "UNet of one output": (lambda: nets.UNet(3, 1, 1, [4, 8], [2]), (1, 16, 16, 16)),
    "plane UNet": (lambda: nets.UNet(2, 1, 2, [4, 8], [2]), (1, 32, 48)),
    "SegResNet": (lambda: nets.SegResNet(3, 8, 1, 2, blocks_down=(1, 1), blocks_up=(1,)), (1, 16, 16, 16)),
    "DynUNet": (
        lambda: nets.DynUNet(
            3,
            2,
            3,
            [3] * 3,
            [1, 2, 2],
            [2] * 2,
            filters=[4, 8, 8],
            norm_name=("INSTANCE", {"affine": True}),
            res_block=True,
        ),
        (2, 16, 16, 16),
    ),
    "DenseNet": (lambda: nets.DenseNet(3, 1, 4, init_features=8, growth_rate=4, block_config=(2, 2)), (1, 24, 24, 24)),
}


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """For every test here."""


@pytest.fixture(scope="session")
def a_network() -> Callable[..., torch.nn.Module]:
    """A network of `NETWORKS` with seeded random weights."""

    def make(name: str = "UNet") -> torch.nn.Module:
        torch.manual_seed(3)
        return NETWORKS[name][0]().eval().requires_grad_(False)

    return make


@pytest.fixture(scope="session")
def a_network_and_window(
    a_network: Callable[..., torch.nn.Module],
) -> Callable[[str], tuple[torch.nn.Module, tuple[int, ...]]]:
    """The same, and (C, spatial) of its windows."""
    return lambda name: (a_network(name), NETWORKS[name][1])


@pytest.fixture
def an_image() -> Callable[..., torch.Tensor]:
    """Noise of a given shape."""
    return lambda *shape, seed=0: torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def a_cache(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path / "cache" / "converted")
    assert cache.usable()
    return cache


@pytest.fixture
def a_bundle(tmp_path: Path) -> Callable[..., Path]:
    """A bundle made from a recipe."""

    def write(recipe: str = "threshold", **changes: Any) -> Path:
        chosen = copy.deepcopy(RECIPES[recipe])
        for name, value in changes.items():
            setattr(chosen, name, value)
        return write_bundle(tmp_path / recipe, chosen)

    return write


@pytest.fixture
def a_task(a_bundle: Callable[..., Path], a_cache: Cache) -> Task:
    """To convert a bundle that is one convolution."""
    root = a_bundle()
    return Task(str(root), digest(root), 1, (8, 8, 8), "auto", str(a_cache.folder), 1)


@pytest.fixture(scope="session")
def openvino_that_is_rewritten() -> None:
    """OpenVINO on a processor for which its convolutions are rewritten."""
    from medai.engine.backends import openvino

    if not openvino.version():
        pytest.skip("OpenVINO is not installed")
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("for these processors only")


@pytest.fixture(scope="session")
def alike_rewritten() -> Callable[..., Any]:
    """Rewrites the convolutions of a network in OpenVINO's form and compares the outputs; gives the model."""
    from medai.engine.backends import openvino

    def check(
        rewrite: Callable[[Any], int], network: torch.nn.Module, *size: int, channels: int = 32, expected: int = 1
    ) -> Any:
        torch.manual_seed(5)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        x = torch.randn(1, channels, *size)
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        with torch.no_grad():
            wanted = network.eval()(x)
            model = openvino.converted(network, x, fixed=True)
            assert rewrite(model) == expected
            compiled = openvino.package().Core().compile_model(model, "CPU", settings)
            found = torch.from_numpy(compiled([x.numpy()])[0])
        assert found.shape == wanted.shape
        assert float((found - wanted).abs().max() / wanted.abs().max()) < 3e-5
        return model

    return check
