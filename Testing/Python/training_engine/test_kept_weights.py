"""What a validation keeps of a network's weights."""

from __future__ import annotations

import torch
from ignite.engine import Engine
from monai.networks.nets import DynUNet

from medai.training.components.precision import Bfloat16Inferer
from medai.training.components.validation import Validation


def kept(network, folder):
    engine = Engine(lambda *_: None)
    engine.state.epoch = engine.state.max_epochs = 1
    Validation(None, network, str(folder / "model.pt"))(engine)
    return folder / "model.pt"


def test_weights_are_kept_in_the_usual_order_and_once_each(monkeypatch, tmp_path):
    """A DynUNet has two names for most of its weights; a training in bfloat16 puts them in an order of its own."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    network = DynUNet(3, 1, 1, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 8, 16])
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    plain = kept(network, tmp_path).stat().st_size
    Bfloat16Inferer()(torch.rand(1, 1, 16, 16, 16), network)
    path = kept(network, tmp_path)
    state = torch.load(path, weights_only=True)
    assert path.stat().st_size == plain
    assert all(torch.equal(state[name], weight) and state[name].is_contiguous() for name, weight in before.items())
