"""A network for other programs gives what PyTorch gives, or is not written."""

from __future__ import annotations

import json

import numpy as np
import pytest

import medai
from medai.engine.backends.openvino import package
from medai.errors import InputError


@pytest.fixture
def expected(a_model):
    """The network itself on an image of a size that is not its window's."""
    import torch

    from medai.bundles.pipeline import Pipeline

    x = torch.randn(2, 1, 24, 32, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return x, Pipeline(a_model, "cpu").network(x).numpy()


def read_json(folder):
    return json.loads((folder / "export.json").read_text(encoding="utf-8"))


def test_torchscript_gives_what_the_network_gives(a_model, expected, tmp_path):
    import torch

    medai.export_model(a_model, "torchscript", tmp_path, in_process=True)
    (found,) = torch.jit.load(str(tmp_path / "model.ts"))(expected[0])
    np.testing.assert_allclose(found.detach().numpy(), expected[1], atol=1e-4)


def test_onnx_takes_any_size_and_gives_what_the_network_gives(a_model, expected, tmp_path):
    import onnxruntime

    result = medai.export_model(a_model, "onnx", tmp_path, in_process=True)
    about = read_json(tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / about["file"]))
    (found,) = session.run(None, {about["input"]["name"]: expected[0].numpy()})
    np.testing.assert_allclose(found, expected[1], atol=1e-4)
    assert max(result.table.columns["Largest relative error"]) < 1e-3


def test_openvino_is_written_with_a_file_that_says_how_to_use_it(a_model, expected, tmp_path):
    medai.export_model(a_model, "openvino", tmp_path, in_process=True)
    openvino = package()
    about = read_json(tmp_path)
    compiled = openvino.compile_model(str(tmp_path / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({about["input"]["name"]: expected[0].numpy()})[about["outputs"][0]["name"]]
    np.testing.assert_allclose(found, expected[1], atol=1e-4)
    assert [step["_target_"] for step in about["preprocessing"]["transforms"]][1] == "NormalizeIntensityd"


def test_files_that_are_there_are_not_replaced_unasked(a_model, tmp_path):
    (tmp_path / "model.ts").write_bytes(b"mine")
    with pytest.raises(InputError, match="already"):
        medai.export_model(a_model, "torchscript", tmp_path, in_process=True)
    assert (tmp_path / "model.ts").read_bytes() == b"mine"
    medai.export_model(a_model, "torchscript", tmp_path, overwrite=True, in_process=True)
    assert (tmp_path / "model.ts").read_bytes() != b"mine"


def test_an_unknown_format_is_refused(a_model, tmp_path):
    with pytest.raises(InputError, match="torchscript, onnx, openvino"):
        medai.export_model(a_model, "caffe", tmp_path, in_process=True)


def test_a_model_of_several_visits_is_refused_with_the_reason(tmp_path):
    with pytest.raises(InputError, match="several visits and their dates"):
        medai.export_model("hippocampus_forecast", "onnx", tmp_path, in_process=True)
