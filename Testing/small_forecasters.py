"""Small forecasters with random weights, of tables and of images, and visits to show them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

SHIPPED = Path(__file__).parents[1] / "models" / "hippocampus_forecast"
TARGET = "Hippocampus (mL)"
SIZE = (16, 16, 16)


def write_forecaster(root: Path, *, images: bool) -> Path:
    """A bundle of the shipped one's kind with two members, which forecast something else for every subject.

    Parameters
    ----------
    root : Path
        Folder to make; its name is the model's.
    images : bool
        Whether it sees the visits' images.
    """
    import torch
    from monai.bundle import ConfigParser

    from medai.bundles import integrity

    shutil.copytree(SHIPPED, root, ignore=shutil.ignore_patterns("docs", "train.json", "*.pt", "SHA256SUMS"))
    (root / "models").mkdir(exist_ok=True)
    content = _read(root, "inference")
    network: dict[str, Any] = {**content["network_def"], "members": 2, "hidden": 8, "dropout": 0.0}
    steps = content["preprocessing"]["transforms"]
    if images:
        network["encoder"] = {**network["encoder"], "block_inplanes": [4, 4, 8, 8]}
        for step in steps:
            step["size"] = list(SIZE)
    else:
        del network["encoder"], network["features"]
        for step in steps:
            step.pop("size")
            step.pop("spacing", None)
        content["evaluator"]["prepare_batch"]["extra_keys"].remove("frames")
    _write(root, "inference", {**content, "network_def": network})
    metadata = _read(root, "metadata")
    metadata["medai"]["images"] = images
    _write(root, "metadata", metadata)
    torch.manual_seed(4)
    made = ConfigParser({"net": {**network, "spread": [1.0], "temperature": 1.0}}).get_parsed_content("net")
    for member in made.members:  # heads begin with nothing
        torch.nn.init.normal_(member.head.weight, std=0.3)
    torch.save(made.state_dict(), root / "models" / "model.pt")
    integrity.write_pins(root)
    return root


def write_visits(folder: Path, *, images: bool, subjects: int = 10) -> Path:
    """A table of subjects with 3 or 4 visits, of whom every other one loses volume fast."""
    import nibabel

    rng = np.random.default_rng(8)
    rows = []
    for number in range(subjects):
        rate, level = (-0.02, -0.3)[number % 2], 3 + rng.random()
        for visit in range(3 + number % 2):
            row: dict[str, object] = {
                "Subject ID": f"S{number:02d}",
                "Visit": visit + 1,
                "MR Delay": 365 * visit,
                "Group": ("slow", "fast")[number % 2],
                TARGET: f"{level + rate * visit + rng.normal(0, 0.02):.4f}",
            }
            if images:
                row["Image"] = f"s{number}_{visit}.nii"
                nibabel.save(
                    nibabel.Nifti1Image(rng.random((12, 14, 12), np.float32), np.eye(4)), folder / row["Image"]
                )
            rows.append(row)
    path = folder / "visits.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _read(root: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "configs" / f"{name}.json").read_text(encoding="utf-8"))
    return content


def _write(root: Path, name: str, content: dict[str, Any]) -> None:
    (root / "configs" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
