"""Weights of a hundred bytes that would keep Python busy for ever, or crash it, are refused at once.

Each is loaded by ``torch.load(weights_only=True)`` without complaint, if it ever ends.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from medai.bundles.weights import load_state_dict
from medai.errors import BundleFormatError

BEGIN, END = b"\x80\x02}(", b"K\x01u."  # {key: 1}


def doubled(times: int) -> bytes:
    """A tuple that holds a tuple twice, which holds a tuple twice, and so on: 2**times steps to hash it."""
    return b"K\x01K\x02\x86q\x00" + b"h\x00h\x00\x86q\x00" * times


def deep(times: int) -> bytes:
    """A tuple in a tuple in a tuple: hashing it overflows the stack, which ends the process."""
    return b"K\x01\x85" + b"\x85" * times


def wide(times: int, width: int) -> bytes:
    """Few levels, each with many copies of the one before."""
    return b"K\x01\x85q\x00" + (b"(" + b"h\x00" * width + b"tq\x00") * times


ATTACKS = {"doubled": doubled(70), "deep": deep(300_000), "wide": wide(6, 200)}


def _store(content: bytes, path: Path, *, zipped: bool) -> None:
    if not zipped:
        path.write_bytes(content)
        return
    whole = io.BytesIO()
    torch.save({"weight": torch.ones(2)}, whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            own = info.filename.endswith("data.pkl")
            new.writestr(info.filename, content if own else old.read(info))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", [pytest.param(value, id=name) for name, value in ATTACKS.items()])
def test_tuples_within_tuples_are_refused_at_once(a_bundle, key, zipped):
    _store(BEGIN + key + END, a_bundle / "models" / "model.pt", zipped=zipped)
    with pytest.raises(BundleFormatError) as caught:
        load_state_dict(a_bundle)
    assert "tuples within tuples" in caught.value.details


@pytest.mark.timeout(60)
def test_they_are_found_behind_the_first_parts_of_the_older_format(a_bundle):
    path = a_bundle / "models" / "model.pt"
    torch.save({"weight": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    magic_and_version = b"".join(pickle.dumps(item, 2) for item in (0x1950A86A20F9469CFC6C, 1001))
    assert path.read_bytes().startswith(magic_and_version)
    path.write_bytes(magic_and_version + pickle.dumps({}, 2) + BEGIN + doubled(70) + END)
    with pytest.raises(BundleFormatError) as caught:
        load_state_dict(a_bundle)
    assert "tuples within tuples" in caught.value.details


def test_the_attack_would_work(tmp_path):
    # Proof that torch takes such a tuple for a key: ten levels are soon hashed, each further one takes twice as long.
    path = tmp_path / "weights.pt"
    _store(BEGIN + doubled(10) + END, path, zipped=True)
    deepest = list(torch.load(path, weights_only=True))[-1]
    for _ in range(9):
        assert deepest[0] is deepest[1]
        deepest = deepest[0]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_checkpoint_of_a_training_passes(a_bundle, some_weights, zipped):
    layers = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(50))
    optimizer = torch.optim.Adam(layers.parameters())
    sum(parameter.sum() for parameter in layers.parameters()).backward()
    optimizer.step()
    content = {"model": some_weights, "optimizer": optimizer.state_dict(), "shape": ((96, 96, 96), ("a", (1, 2)))}
    torch.save(content, a_bundle / "models" / "model.pt", _use_new_zipfile_serialization=zipped)
    assert set(load_state_dict(a_bundle)) == set(some_weights)


def test_a_description_far_too_long_is_refused(a_bundle):
    padding = b"X" + (2**25).to_bytes(4, "little") + bytes(2**25) + b"0"  # a text of 32 MB that is thrown away
    _store(b"\x80\x02" + padding + b"}.", a_bundle / "models" / "model.pt", zipped=True)
    with pytest.raises(BundleFormatError) as caught:
        load_state_dict(a_bundle)
    assert "far longer" in caught.value.details
