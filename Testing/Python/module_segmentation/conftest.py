"""Givens: the stand-in for Slicer, a tiny model, images, and a person at the panel."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

MODULE_FILE = Path(__file__).resolve().parents[3] / "SlicerMedAI" / "MedAISegmentation" / "MedAISegmentation.py"
QUICK, SLOW, BROKEN = "tiny_blobs", "tiny_blobs_in_many_windows", "tiny_blobs_without_weights"
PATIENCE_S = 120


class Panel:
    """The module's panel and a person in front of it."""

    def __init__(self, host, representation) -> None:
        self.host = host
        self.representation = representation
        self.widget = representation.self()
        self.ui = self.widget.ui

    @property
    def running(self) -> bool:
        return self.ui.applyButton.text == "Cancel"

    def choose(self, image, model=QUICK) -> None:
        """Choose an image and, by typing its title and Enter, a model."""
        self.ui.inputSelector.setCurrentNode(image)
        self.type_model({QUICK: "Tiny blobs", SLOW: "Tiny blobs, slowly", BROKEN: "Tiny blobs, broken"}[model])
        assert self.widget._parameterNode.model == model

    def type_model(self, text: str, enter: bool = True) -> None:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        line = self.ui.modelComboBox.lineEdit()
        line.setFocus()
        line.selectAll()
        QTest.keyClicks(line, text)
        if enter:
            popup = self.ui.modelComboBox.completer().popup()
            if popup.isVisible():
                popup.hide()
            QTest.keyClick(line, Qt.Key.Key_Return)
        self.host.process_events()

    def press_apply(self) -> None:
        self.ui.applyButton.click()
        self.host.process_events()

    def wait_until(self, condition) -> None:
        self.host.process_events(PATIENCE_S, until=condition)

    def wait_for_the_end(self) -> None:
        self.wait_until(lambda: not self.running)

    def apply_and_wait(self) -> None:
        self.press_apply()
        assert self.running
        self.wait_for_the_end()

    @property
    def log(self) -> str:
        return self.ui.logTextEdit.toPlainText()

    def segmentations(self) -> list:
        return list(slicer_nodes("vtkMRMLSegmentationNode"))


def slicer_nodes(class_name: str):
    import slicer

    for index in range(slicer.mrmlScene.GetNumberOfNodesByClass(class_name)):
        yield slicer.mrmlScene.GetNthNodeByClass(index, class_name)


@pytest.fixture(scope="session")
def a_models_folder(tmp_path_factory) -> Path:
    """Three tiny models for MR images: a quick one, a slow one (thousands of windows), and one without weights."""
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / QUICK, "Tiny blobs", roi=16, overlap=0.25)
    write_bundle(folder / SLOW, "Tiny blobs, slowly", roi=16, overlap=0.9)
    write_bundle(folder / BROKEN, "Tiny blobs, broken", roi=16, overlap=0.25)
    (folder / BROKEN / "models" / "model.pt").write_bytes(b"PK not a file of weights")
    return folder


@pytest.fixture
def make_bundle():
    """Writes a MONAI bundle: folder, title, and as for `write_bundle`."""
    return write_bundle


def write_bundle(
    root: Path,
    title: str,
    *,
    roi: int = 16,
    overlap: float = 0.25,
    channels: tuple[str, ...] = ("Image",),
    structures: tuple[str, str] = ("Core", "Rim"),
    citation: str = "A. Nobody, Journal of Random Weights 1 (2024)",
) -> None:
    """A MONAI bundle with a UNet of seeded random weights: background and two structures."""
    import torch
    from monai.bundle import ConfigParser

    network = {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": len(channels),
        "out_channels": 3,
        "channels": [4, 8],
        "strides": [2],
        "norm": "instance",
    }
    inference = {
        "bundle_root": ".",
        "device": "$torch.device('cpu')",
        "datalist": [],
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
                {"_target_": "ScaleIntensityd", "keys": "image"},
            ],
        },
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [roi] * 3,
            "sw_batch_size": 1,
            "overlap": overlap,
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "eval"},
            ],
        },
        "handlers": [
            {"_target_": "CheckpointLoader", "load_path": "models/model.pt", "load_dict": {"model": "@network"}}
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "run": ["$@evaluator.run()"],
    }
    tensor = {"type": "image", "spatial_shape": ["8*n"] * 3, "dtype": "float32"}
    image = tensor | {"format": "magnitude", "modality": "MR", "num_channels": len(channels)}
    image["channel_def"] = {str(number): name for number, name in enumerate(channels)}
    metadata = {
        "name": title,
        "version": "0.0.1",
        "monai_version": "1.5.0",
        "pytorch_version": "2.4.0",
        "numpy_version": "1.26.0",
        "task": "Segmentation of blobs",
        "description": "Finds blobs that are not there, with random weights.",
        "intended_use": "Tests. Not for diagnosis.",
        "authors": "Nobody",
        "copyright": "None",
        "license": "CC0-1.0",
        "references": [citation],
        "medai": {"mirror_axes": [0, 1, 2]},
        "network_data_format": {
            "inputs": {"image": image},
            "outputs": {
                "pred": tensor
                | {
                    "format": "segmentation",
                    "num_channels": 3,
                    "channel_def": {"0": "background", "1": structures[0], "2": structures[1]},
                }
            },
        },
    }
    for name in ("configs", "models", "docs"):
        (root / name).mkdir(parents=True)
    (root / "configs" / "inference.json").write_text(json.dumps(inference))
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (root / "LICENSE").write_text("CC0-1.0\n")
    torch.manual_seed(3)
    parser = ConfigParser({"network": network})
    torch.save(parser.get_parsed_content("network").state_dict(), root / "models" / "model.pt")


@pytest.fixture
def a_slicer(a_models_folder, monkeypatch):
    """A running stand-in, with the module's folder on the path and the tiny models installed."""
    import SlicerHost

    monkeypatch.setenv("MEDAI_MODELS", str(a_models_folder))
    monkeypatch.setenv("MEDAI_HOME", str(a_models_folder.parent / "nothing-imported"))
    monkeypatch.syspath_prepend(str(MODULE_FILE.parent))
    with SlicerHost.start() as host:
        yield host
    for name in [name for name in sys.modules if name.split(".")[0] in ("MedAISegmentationLib", "MedAISegmentation")]:
        del sys.modules[name]


@pytest.fixture
def warned(monkeypatch) -> list[str]:
    """What the module has the log warn of, however libraries have set up logging in this process."""
    lines: list[str] = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: lines.append(str(text) % values))
    return lines


@pytest.fixture
def an_mr_node(a_slicer):
    """40 x 36 x 32 voxels of MR, anisotropic and oblique."""
    return volume_node("Head MR", (32, 36, 40), modality="MR")


@pytest.fixture
def make_volume_node(a_slicer):
    """Makes MR volumes: name, shape (K, J, I)."""
    return lambda name, shape=(20, 22, 24): volume_node(name, shape, modality="MR")


@pytest.fixture
def a_ct_node(a_slicer):
    return volume_node("Chest CT", (24, 24, 24), modality="CT")


def volume_node(name, shape, *, modality, dtype=np.int16):
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    rng = np.random.default_rng(11)
    slicer.util.updateVolumeFromArray(node, rng.integers(0, 500, shape).astype(dtype))
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([-0.9, 0.1, 0.2, 10, 0.12, 1.1, -0.3, -20, 0.2, 0.1, 1.6, 5, 0, 0, 0, 1])
    node.SetIJKToRASMatrix(matrix)
    node.SetAttribute("DICOM.Modality", modality)
    return node


@pytest.fixture
def open_panel(a_slicer):
    """Opens the module, when everything that it shall find is there."""
    return lambda: Panel(a_slicer, a_slicer.load_module(MODULE_FILE))


@pytest.fixture
def a_panel(open_panel) -> Panel:
    """The module, opened."""
    return open_panel()
