"""A region template comes from somebody else: it is read only when it is no larger than any structure needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medai.engine.region_template import read_template
from medai.errors import BundleFormatError

NRRD = (
    "NRRD0004\ntype: float\ndimension: 4\nspace: left-posterior-superior\nsizes: 2 {0} {0} {0}\n"
    "space directions: none (2,0,0) (0,2,0) (0,0,2)\nkinds: vector domain domain domain\n"
    "encoding: raw\nendian: little\n"
)


@pytest.fixture
def a_bundle_with_a_template(tmp_path: Path):
    def make(sides: int = 2) -> Path:
        (tmp_path / "configs").mkdir(exist_ok=True)
        array = np.ones((6, 6, 6, 2), np.float32)
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(tmp_path / "template.nrrd"))
        entry = {
            "template": "template.nrrd",
            "size_mm": [10, 10, 10],
            "sides": [{"name": str(n), "mirrored": False} for n in range(sides)],
            "min_score": 0.4,
        }
        (tmp_path / "configs" / "metadata.json").write_text(json.dumps({"medai": {"region": entry}}))
        return tmp_path

    return make


def test_an_ordinary_template_is_read(a_bundle_with_a_template):
    assert len(read_template(a_bundle_with_a_template()).sides) == 2


def test_a_million_sides_are_not_searched_for(a_bundle_with_a_template):
    with pytest.raises(BundleFormatError) as caught:
        read_template(a_bundle_with_a_template(sides=1_000_000))
    assert "1000000 sides are more than" in caught.value.details


def test_an_enormous_template_is_refused_before_memory_is_taken(a_bundle_with_a_template):
    root = a_bundle_with_a_template()
    (root / "template.nrrd").write_bytes(NRRD.format(5000).encode() + b"\n" + bytes(1000))
    with pytest.raises(BundleFormatError) as caught:
        read_template(root)
    assert "are more than" in caught.value.details


def test_a_template_does_not_take_its_voxels_from_elsewhere(a_bundle_with_a_template, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.raw"
    secret.write_bytes(bytes(6**3 * 8))
    root = a_bundle_with_a_template()
    (root / "template.nrrd").write_bytes(NRRD.format(6).encode() + f"data file: {secret}\n".encode())
    with pytest.raises(BundleFormatError) as caught:
        read_template(root)
    assert "another place" in caught.value.details
