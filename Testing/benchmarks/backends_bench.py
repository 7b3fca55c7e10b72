"""One window through a network's forms: eager PyTorch against channels last, OpenVINO and ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.timing import Row
from medai.engine.backends import eager, kinds, probe

THREADS = 2


def _unet() -> torch.nn.Module:
    from monai.networks.nets import UNet

    return UNet(3, 1, 3, [16, 32, 64, 128, 256], [2, 2, 2, 2], num_res_units=2)


def _segresnet() -> torch.nn.Module:
    from monai.networks.nets import SegResNet

    return SegResNet(3, 16, 1, 3, blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1))


def _dynunet() -> torch.nn.Module:
    from monai.networks.nets import DynUNet

    return DynUNet(3, 1, 3, [3] * 5, [1, 2, 2, 2, 2], [2] * 4, norm_name=("INSTANCE", {"affine": True}))


def _densenet() -> torch.nn.Module:
    from monai.networks.nets import DenseNet121

    return DenseNet121(spatial_dims=3, in_channels=1, out_channels=4)


# The goals are those of a whole warm job, which has little beside its forward passes.
NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module], float]] = {
    "UNet": (_unet, 4.0),
    "SegResNet": (_segresnet, 1.8),
    "DynUNet": (_dynunet, 1.8),
    "DenseNet121-3D": (_densenet, 5.0),
}


def forward_pass(name: str, size: int = 96, repeats: int = 5) -> Row:
    """One network: how many times faster than eager PyTorch each other form is, all taking turns in one run."""
    build, goal = NETWORKS[name]
    torch.manual_seed(0)
    with _threads(THREADS), torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        network = build().eval().requires_grad_(False)
        image = probe.inputs(1, (size, size, size))[0]
        expected = network(image)
        forms = _forms(name, network, image, Path(folder))
        agreements = {form: probe.compare(expected, call(image)) for form, call in forms.items()}
        ratios = probe.speed_ratios(network, forms, image, repeats=repeats)
    parts = [
        f"{kinds.title(form)} {ratios[form]:.2f} (labels {agreement.labels:.3%}, deviation {agreement.deviation:.0e})"
        for form, agreement in agreements.items()
    ]
    sound = [ratios[form] for form, agreement in agreements.items() if agreement.suffices()]
    what = f"{name}, {size} cubed, {THREADS} threads: eager PyTorch over"
    return Row(what, "; ".join(parts), f"fastest >= {goal}", max(sound, default=0.0) >= goal)


def _forms(name: str, network: torch.nn.Module, image: torch.Tensor, folder: Path) -> dict[str, probe.Network]:
    forms: dict[str, probe.Network] = {}
    for kind, converter in kinds.for_request("auto").items():
        place = folder / kind
        place.mkdir()
        converter.convert(network, image, place, fixed=False)
        files = {path.name: path.read_bytes() for path in place.iterdir()}
        forms[kind] = converter.load(files, THREADS, tuple(image.shape[1:]))
    twin = NETWORKS[name][0]().eval().requires_grad_(False)  # the form changes the order of its weights
    twin.load_state_dict(network.state_dict())
    return {"torch:channels_last": eager.in_form(twin, "torch:channels_last"), **forms}


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
