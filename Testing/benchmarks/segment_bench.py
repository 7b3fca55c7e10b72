"""The whole job, against the network alone and against what peers do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import medai
from benchmarks.timing import Row, paired_ratio
from medai.bundles.library import find
from medai.mrml import add_result, create_scene
from medai.result import Provenance, Result
from medai.volume import Volume

MODEL = "hippocampus_mr_unet"


def head(shape: tuple[int, int, int]) -> Volume:
    """A head-sized image: the MNI152 T1 head of nilearn, cropped to its middle so that a run takes seconds."""
    import nibabel
    from nilearn.datasets.struct import MNI152_FILE_PATH

    image = nibabel.load(MNI152_FILE_PATH)
    array = np.asanyarray(image.dataobj).T
    start = [(n - m) // 2 for n, m in zip(array.shape, shape, strict=True)]
    block = tuple(slice(s, s + m) for s, m in zip(start, shape, strict=True))
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start[::-1]
    return Volume(np.ascontiguousarray(array[block]), affine, "head", "MR")


def over_forward_passes(shape: tuple[int, int, int] = (80, 96, 80), repeats: int = 3) -> Row:
    """Warm `medai.segment(node)` to nodes in the scene, over the network's forward passes on the same windows."""
    import torch
    from monai.data.utils import dense_patch_slices

    from medai.bundles.pipeline import Pipeline

    volume = head(shape)
    scene = create_scene()
    node = add_result(Result((volume,), Provenance("load", "")), (), scene=scene).volumes[0]
    pipeline = Pipeline(find(MODEL), "cpu")
    network, roi = pipeline.network, tuple(pipeline.inferer.roi_size)
    # Half a window forward each time: the model's overlap is 0.5.
    windows = dense_patch_slices(volume.shape[::-1], roi, tuple(n // 2 for n in roi))
    image = torch.from_numpy(volume.array.T.astype(np.float32))[None, None]
    image = (image - image.mean()) / image.std()

    def forward_passes() -> None:
        with torch.inference_mode():
            for window in windows:
                network(image[(slice(None), slice(None), *window)])

    ratio, whole, bare = paired_ratio(
        lambda: medai.segment(node, model=MODEL, device="cpu", backend="torch"), forward_passes, repeats
    )
    what = f"medai.segment(node) over the bare forward passes ({len(windows)} windows; {whole:.2f} s, {bare:.2f} s)"
    return Row(what, f"{ratio:.3f}", "<= 1.15", ratio <= 1.15)


def against_bundle_run(repeats: int = 3) -> Row:
    """The shipped model's ordinary job against ``python -m monai.bundle run`` with files between."""
    import nibabel

    volume = head((40, 56, 40))
    scene = create_scene()
    node = add_result(Result((volume,), Provenance("load", "")), (), scene=scene).volumes[0]
    bundle = find(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        image = nibabel.Nifti1Image(volume.array.T, volume.affine)

        def process() -> None:
            source = Path(folder) / "in"
            source.mkdir(exist_ok=True)
            nibabel.save(image, source / "head.nii.gz")
            command = [
                sys.executable,
                "-m",
                "monai.bundle",
                "run",
                "--config_file",
                str(bundle / "configs/inference.json"),
            ]
            command += [
                "--bundle_root",
                str(bundle),
                "--dataset_dir",
                str(source),
                "--output_dir",
                str(Path(folder) / "out"),
            ]
            environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
            subprocess.run(command, check=True, capture_output=True, env=environment)
            found = next((Path(folder) / "out").glob("*seg*"))
            np.asanyarray(nibabel.load(found).dataobj)
            shutil.rmtree(Path(folder) / "out")

        ratio, slow, fast = paired_ratio(process, lambda: medai.segment(node, model=MODEL, device="cpu"), repeats)
    what = f"python -m monai.bundle run over medai.segment(node) ({slow:.1f} s, {fast:.2f} s)"
    return Row(what, f"{ratio:.1f}", ">= 5", ratio >= 5)
