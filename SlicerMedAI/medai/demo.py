"""``medai demo``: the main job on a real head MR, with everything it leaves behind.

The image is the MNI152 T1 template (Fonov et al., NeuroImage 47, 2009) that ships inside the nilearn package.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, ClassVar

from medai.api import prepare
from medai.errors import DependencyError
from medai.files import write
from medai.files.folders import make_folder
from medai.jobs import default_worker
from medai.progress import Progress, Report
from medai.result import Result

MODEL = "hippocampus_mr_unet"
IMAGE = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


@dataclass(frozen=True)
class DemoFiles:
    """What the demo leaves in its folder.

    Parameters
    ----------
    scene : Path
        ``.mrb`` that Slicer opens.
    segmentation : Path
        ``.seg.nrrd`` with names, colours and terminology.
    picture : Path
        PNG of three slice views and the 3D surfaces.
    volumes : Path
        CSV of volumes in mL.
    citation : Path
        The same for people, with the model's citation and licence.
    """

    scene: Path
    segmentation: Path
    picture: Path
    volumes: Path
    citation: Path

    @classmethod
    def inside(cls, folder: Path) -> DemoFiles:
        """Their places in a folder."""
        names = ("hippocampus.mrb", "hippocampus.seg.nrrd", "hippocampus.png", "volumes.csv", "volumes.txt")
        return cls(*(folder / name for name in names))

    def described(self) -> tuple[tuple[str, Path], ...]:
        """What each file is, for people."""
        return (
            ("a scene: open it in 3D Slicer", self.scene),
            ("the segmentation, with names, colours and terminology", self.segmentation),
            ("slice views and 3D surfaces", self.picture),
            ("volumes in mL, for a spreadsheet", self.volumes),
            ("volumes with the model's citation and licence", self.citation),
        )


class _Steps:
    """Puts the demo's own steps and the job's into one bar with one time left."""

    # Rough share of the whole at the beginning of each step; only the time left depends on it.
    _SHARES: ClassVar[dict[str, float]] = {
        "Loading the head into a scene": 0.0,
        "Segmenting": 0.15,
        "Making 3D surfaces": 0.75,
        "Drawing the views": 0.8,
        "Saving": 0.9,
    }

    def __init__(self, report: Report) -> None:
        self._report = report
        self._began = time.monotonic()
        self._share = 0.0

    def step(self, stage: str) -> None:
        self._share = self._SHARES[stage]
        self(Progress(stage))

    def __call__(self, progress: Progress) -> None:
        if progress.fraction and progress.stage == "Segmenting":
            self._share = self._SHARES["Segmenting"] + 0.6 * progress.fraction
        share = self._share
        elapsed = time.monotonic() - self._began
        left = elapsed * (1 - share) / share if share else None
        self._report(replace(progress, done=share, total=1.0, elapsed_s=elapsed, eta_s=left))


def run_demo(folder: Path, report: Report) -> tuple[DemoFiles, Result]:
    """Find both hippocampi in the MNI152 head, segment them, and write scene, picture and table.

    Parameters
    ----------
    folder : Path
        Made when missing; files of an earlier run are replaced.
    report : callable
        Hears of every step.

    Raises
    ------
    DependencyError
        When nilearn, slicer-core or a system library is missing.
    WriteError
        When the folder cannot be written.
    """
    from medai.mrml import missing_system_libraries

    if missing := missing_system_libraries():
        raise DependencyError("The demo cannot draw pictures on this computer.", missing)
    from medai.mrml import add_result, create_scene, render_scene, save_scene, save_segmentation, volume_from_node

    made = DemoFiles.inside(folder)
    make_folder(folder)
    # The worker imports torch while this process loads the image.
    worker = default_worker()
    worker.start()
    steps = _Steps(report)
    steps.step("Loading the head into a scene")
    scene = create_scene()
    head = load_head(scene)
    job = prepare(head, MODEL, region="auto")
    steps.step("Segmenting")
    result = worker.submit(job).wait(steps)
    steps.step("Making 3D surfaces")
    nodes = add_result(result, head, closed_surface=True, inputs=(volume_from_node(head),))
    steps.step("Drawing the views")
    render_scene(head, nodes.segmentation, made.picture)
    steps.step("Saving")
    save_segmentation(nodes.segmentation, made.segmentation)
    save_scene(scene, made.scene)
    write(result.table, made.volumes, provenance=result.provenance)
    made.citation.write_text(as_text(result) + "\n", encoding="utf-8")
    return made, result


def load_head(scene: Any) -> Any:
    """The MNI152 T1 head as a volume node.

    Raises
    ------
    DependencyError
        When nilearn is not installed.
    """

    try:
        image = files("nilearn.datasets") / "data" / IMAGE
    except ModuleNotFoundError as error:
        raise DependencyError(
            "The demo's image is missing.", "It ships inside the package nilearn.", "Run: pip install 'medai[demo]'"
        ) from error
    with as_file(image) as path:
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "MNI152 T1 head")
        storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        storage.SetFileName(str(path))
        storage.ReadData(node)
    # The scene keeps a copy of the image rather than a link into the package.
    scene.RemoveNode(storage)
    node.SetAttribute("DICOM.Modality", "MR")
    node.CreateDefaultDisplayNodes()
    return node


def as_text(result: Result) -> str:
    """Volumes, model, citation and licence, for people."""
    columns = result.table.columns
    names = [str(name) for name in columns["Segment"]]
    width = max(map(len, names))
    lines = [f"{name:{width}}  {volume:6.2f} mL" for name, volume in zip(names, columns["Volume (mL)"], strict=True)]
    return "\n".join(["Volumes in the MNI152 T1 head", "", *lines, "", str(result.provenance)])
