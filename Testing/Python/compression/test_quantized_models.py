"""A model in 8 bits: it runs, its float weights stay, and nobody can slip another network in."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import medai
from medai.bundles import integrity, library, quantized
from medai.bundles.intermediate import LARGEST_BYTES
from medai.bundles.verify import verify
from medai.errors import BundleFormatError, BundleTamperedError, MaliciousBundleError

GRAPH, NUMBERS = quantized.files_of("")


@pytest.fixture
def a_copy(compressed, tmp_path) -> Path:
    root, _ = compressed("quantize")
    return Path(shutil.copytree(root, tmp_path / "copy"))


def change_xml(root: Path, old: str, new: str) -> None:
    """Change the compiled network as its maker could: hashes and pins fit."""
    path = root / GRAPH
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    assert old in text
    path.write_bytes(gzip.compress(text.replace(old, new, 1).encode("utf-8")))
    change_metadata(root, sha256=hashes(root))


def change_metadata(root: Path, **said: object) -> None:
    """Change what is said of the compiled network."""
    about = root / "configs" / "metadata.json"
    metadata = json.loads(about.read_text(encoding="utf-8"))
    metadata["medai"]["int8"]["parts"][0].update(said)
    about.write_text(json.dumps(metadata), encoding="utf-8")
    integrity.write_pins(root)


def hashes(root: Path) -> dict[str, str]:
    """Of the files as they are now."""
    return {name: integrity.file_hash(root / name) for name in (GRAPH, NUMBERS)}


def test_a_quantized_model_is_a_sound_bundle_that_says_what_it_was_made_of(a_model, compressed):
    root, result = compressed("quantize")
    metadata = json.loads((root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert verify(root).ok
    assert metadata["medai"]["compressed"]["sha256"] == integrity.digest(a_model)
    assert "Made of `tiny`" in (root / "docs" / "README.md").read_text(encoding="utf-8")
    rows = dict(zip(result.table.columns["Quantity"], result.table.columns["After / before"], strict=True))
    assert rows["Parameters"] == 1
    assert rows["dice"] > 0.8
    assert (root / "docs" / "compression.csv").is_file()


def test_its_labels_come_from_8_bit_integers_and_are_nearly_those_of_the_original(a_model, an_image, compressed):
    root, _ = compressed("quantize")
    before = medai.segment(an_image, a_model, in_process=True, backend="torch").labelmap.array
    found = medai.segment(an_image, root, in_process=True)
    assert any("8-bit" in note for note in found.provenance.notes)
    same = (found.labelmap.array == before).mean()
    assert same > 0.9
    assert same < 1 or not np.array_equal(found.labelmap.array, before * 0)


def test_asked_for_pytorch_it_gives_the_labels_of_the_original(a_model, an_image, compressed):
    root, _ = compressed("quantize")
    before = medai.segment(an_image, a_model, in_process=True, backend="torch").labelmap.array
    found = medai.segment(an_image, root, in_process=True, backend="torch").labelmap.array
    assert (found == before).mean() > 0.995  # its weights are rounded to half precision


def test_monai_runs_it_with_the_float_weights(an_image, compressed, bundle_run):
    root, _ = compressed("quantize")
    expected = medai.segment(an_image, root, in_process=True, backend="torch").labelmap.array
    np.testing.assert_array_equal(bundle_run(root, an_image), expected)


def test_it_takes_less_of_the_disk_than_the_original(a_model, compressed):
    root, _ = compressed("quantize")
    before, after = (sum(p.stat().st_size for p in (r / "models").iterdir()) for r in (a_model, root))
    assert after < before


def test_without_openvino_it_runs_with_the_float_weights_and_says_so(compressed, monkeypatch):
    from medai.bundles.pipeline import Pipeline

    root, _ = compressed("quantize")
    real = quantized.importlib.util.find_spec
    monkeypatch.setattr(quantized.importlib.util, "find_spec", lambda name: None if name == "openvino" else real(name))
    pipeline = Pipeline(root, "cpu")
    assert not quantized.in_int8(pipeline.network)
    assert any("OpenVINO is not installed" in note for note in pipeline.notes)


def test_gradients_come_from_the_float_weights(compressed):
    import torch

    from medai.bundles.pipeline import Pipeline

    network = Pipeline(compressed("quantize")[0], "cpu").network
    x = torch.randn(1, 1, 16, 16, 16, requires_grad=True)
    network(x).sum().backward()
    assert float(x.grad.abs().sum()) > 0


def test_a_quantized_model_that_was_changed_is_not_run(a_copy, an_image):
    with (a_copy / NUMBERS).open("ab") as file:
        file.write(b"\0" * 8)
    with pytest.raises(BundleTamperedError):
        medai.segment(an_image, a_copy, in_process=True)


ATTACKS = {
    "an operation of an extension": ('version="opset1"', 'version="extension"'),
    "entities": ("<net ", '<!DOCTYPE net [<!ENTITY a "aaaa">]><net '),
    "an endless loop": ('type="Convolution"', 'type="Loop"'),
    "numbers from elsewhere": ('offset="0"', 'offset="99999999"'),
    "negative places": ('offset="0"', 'offset="-8"'),
    "two inputs": ('type="Result"', 'type="Parameter"'),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_compiled_network_with_anything_else_in_it_is_refused(attack, a_copy, an_image):
    change_xml(a_copy, *ATTACKS[attack])
    with pytest.raises(MaliciousBundleError):
        medai.segment(an_image, a_copy, in_process=True)
    assert not verify(a_copy).ok
    with pytest.raises(MaliciousBundleError):
        library.import_bundle(a_copy, "smuggled")


@pytest.mark.parametrize("damaged", [b"", b"no graph", gzip.compress(b"<net", mtime=0)])
def test_a_damaged_graph_is_refused(damaged, a_copy):
    (a_copy / GRAPH).write_bytes(damaged)
    change_metadata(a_copy, sha256=hashes(a_copy))
    with pytest.raises(MaliciousBundleError, match="damaged"):
        quantized.int8_of(a_copy)


def test_a_graph_that_unfolds_is_refused_before_it_has_unfolded(a_copy):
    (a_copy / GRAPH).write_bytes(gzip.compress(b" " * (LARGEST_BYTES + 2**20)))
    change_metadata(a_copy, sha256=hashes(a_copy))
    with pytest.raises(MaliciousBundleError, match="larger than any network"):
        quantized.int8_of(a_copy)


@pytest.mark.parametrize("said", [{"part": "../../elsewhere"}, {"inputs": 0}, {"inputs": True}, {"outputs": "all"}])
def test_metadata_that_do_not_describe_the_form_are_refused(said, a_copy):
    change_metadata(a_copy, **said)
    with pytest.raises(BundleFormatError, match="do not describe"):
        quantized.int8_of(a_copy)


def test_a_link_out_of_the_bundle_is_refused(a_copy, tmp_path):
    path = a_copy / GRAPH
    path.rename(tmp_path / "elsewhere.xml.gz")
    try:
        path.symlink_to(tmp_path / "elsewhere.xml.gz")
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(MaliciousBundleError):
        quantized.int8_of(a_copy)
