"""What a bundle is given before its training begins: a denoiser, a template, weights to begin with."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medai.bundles import library
from medai.bundles.description import describe
from medai.errors import InputError, WriteError
from medai.training import folder
from medai.training.components.files import replace_file
from medai.training.data import DataList
from medai.training.data.item import TRAINING, DataItem
from medai.training.data.voxels import read_source
from medai.training.parameters import TrainingParameters
from medai.training.recipe import Plan
from medai.training.recipe.chosen_steps import DENOISER, TEMPLATE, cleaning
from medai.training.recipe.preprocessing import loading

_LOOKED_AT = 25
_KEPT = ("configs", "models", "docs", "LICENSE", "SHA256SUMS")


def give(root: Path, plan: Plan, data: DataList) -> Iterator[str]:
    """Put into the bundle's folder what its configurations need; what is there already stays.

    Parameters
    ----------
    root : Path
        The bundle's folder, prepared.
    plan : Plan
    data : DataList
        Divided.

    Yields
    ------
    str
        What was done, for a person to know.

    Raises
    ------
    BundleError
        When a model that was asked for is missing or cannot be used.
    InputError
        When a model does not fit.
    WriteError
        When the disk is full or read-only.
    """
    chosen = plan.parameters
    if chosen.denoiser and not (root / DENOISER).is_dir():
        yield _copy_denoiser(root, chosen.denoiser)
    if "align" in chosen.preprocessing and not (root / TEMPLATE).is_file():
        yield _write_template(root, plan, data)
    if chosen.start_from and not (root / folder.START).is_file():
        yield _write_start(root, chosen.start_from)


def check_sources(root: Path, chosen: TrainingParameters, *, overwrite: bool) -> None:
    """Before anything is overwritten, refuse models to begin with that are not there, or are what would be.

    Raises
    ------
    BundleError
        When a model is missing.
    InputError
        When a model would be overwritten by the one that needs it.
    """
    if not overwrite:
        return
    for name in filter(None, (chosen.denoiser, chosen.start_from)):
        if library.find(name).resolve() == root.resolve():
            raise InputError(
                f"The model '{name}' is not overwritten.",
                "The new one is to begin with it, and would take its place before it has learned anything.",
                "Choose another folder for the new model.",
            )


def _copy_denoiser(root: Path, name: str) -> str:
    source = library.find(name)
    about = describe(source)
    if about.task != "denoise":
        raise InputError(
            f"'{name}' cannot be used for 'denoiser'.",
            f"That model is made for another task ({about.task}).",
            "Choose a model that denoises.",
        )
    target = (root / DENOISER).with_suffix(".part")  # half a copy would be taken for a whole one
    try:
        shutil.rmtree(target, ignore_errors=True)
        for part in _KEPT:
            if (source / part).is_dir():
                shutil.copytree(source / part, target / part)
            elif (source / part).is_file():
                shutil.copy2(source / part, target / part)
        target.rename(root / DENOISER)
    except (OSError, shutil.Error) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise WriteError(
            f"The denoising model '{name}' cannot be copied into the new model.",
            f"The computer reports: {error}.",
            "Free some space, or choose another folder.",
        ) from error
    return f"Images are denoised by '{about.name}' {about.version} first; a copy of it is a part of the model."


def _write_template(root: Path, plan: Plan, data: DataList) -> str:
    """The case whose extent is nearest to the median, turned to RAS axes and resampled to the spacing."""
    import nibabel
    from monai.bundle import ConfigParser

    item = _middle(data.part(TRAINING))
    assert plan.parameters.spacing is not None
    steps = [
        {**loading(plan)[0], "keys": "image"},
        *cleaning(plan),
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": "image", "pixdim": list(plan.parameters.spacing)},
    ]
    content: dict[str, Any] = {"bundle_root": str(root), "device": "cpu"}
    parser = ConfigParser({**content, "steps": {"_target_": "Compose", "transforms": steps}})
    made = parser.get_parsed_content("steps")({"image": item.as_dict()["image"]})["image"]
    image = nibabel.Nifti1Image(np.asarray(made[0], dtype=np.float32), made.affine.numpy())
    # Without the time of day, so that the same data give the same file.
    packed = gzip.compress(image.to_bytes(), mtime=0)
    replace_file(root / TEMPLATE, lambda file: file.write(packed))
    return f"Images are aligned with a template, which was made of '{item.name}'."


def _middle(data: DataList) -> DataItem:
    """Of up to 25 cases, the one whose extent along its axes differs least from the median."""
    few = data.items[:: max(1, -(-len(data) // _LOOKED_AT))]
    extents = []
    for item in few:
        first = read_source(item.files["image"][0])
        corners = first.affine[:3, :3] @ np.diag(first.shape[::-1])
        extents.append(np.log(np.abs(corners).sum(axis=1)))
    apart = np.abs(np.array(extents) - np.median(extents, axis=0)).sum(axis=1)
    return few[int(apart.argmin())]


def _write_start(root: Path, name: str) -> str:
    """Weights of another model, and how many of them the network can use."""
    import torch
    from monai.bundle import ConfigParser

    from medai.bundles.weights import load_state_dict
    from medai.training.components import growth

    source = library.find(name)
    state = load_state_dict(source)
    parser = ConfigParser()
    parser.read_config(str(root / folder.TRAINING))
    network = parser.get_parsed_content("network_def")
    own = network.state_dict()
    kept = growth.fitting(network, state)
    if not kept:
        raise InputError(
            f"The training cannot start from '{name}'.",
            "No weights of that model have the names and shapes of the new network's.",
            "Choose a model of the same network, no wider than this one, or leave 'start_from' empty.",
        )
    replace_file(root / folder.START, lambda file: torch.save(kept, file))
    said = f"The training starts from '{source.name}': {len(kept)} of the network's {len(own)} tensors are its own"
    wider = sum(weight.shape != own[name].shape for name, weight in kept.items())
    return f"{said}, {wider} of them in wider layers." if wider else f"{said}."
