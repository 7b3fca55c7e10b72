"""What is different where boxes are found: the parts of a RetinaNet, in the shape of the Model Zoo's detectors.

Its feature pyramid has one level, MONAI's `DynUNet` that is not led back to the image's full size. MONAI's own pyramid
takes a function of torchvision, without which these bundles run.
"""

from __future__ import annotations

import math
from typing import Any

from medai.training.components.names import BOX, LABEL, SCORE
from medai.training.recipe.augmentation import intensities
from medai.training.recipe.chosen_steps import cleaning
from medai.training.recipe.orientations import flipped
from medai.training.recipe.plan import Plan
from medai.training.recipe.preprocessing import centring, geometry, loading, scaling

Config = dict[str, Any]
_OWN = "medai.training.components"
_ANCHORS = "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape"
_MIRRORED = "medai.networks.MirroredRetinaNet"
_KERNELS = {1: 3, 2: 3, 4: 7, 8: 11}
_MOST_LEVELS = 4
_WIDTH = 64
_ROOM = 1.25

# MONAI's transform into the world knows volumes only.
_IN_PIXELS = (
    "$lambda d: {**d, 'box': (d['box'] + 0.5) * torch.as_tensor([float(n) / float(m) for n, m in "
    "zip(2 * list(d['image'].meta['spatial_shape']), 2 * list(d['image'].shape[1:]))])}"
)
MOST_BOXES = 50
"""Of one image."""
_SELECTION = f"score_thresh=0.02,topk_candidates_per_level=500,nms_thresh=0.45,detections_per_img={MOST_BOXES}"


def strides(patch: tuple[int, ...], stem: int) -> list[list[int]]:
    """By how much each level of the network makes the image smaller along each axis."""
    first = list(patch)
    for axis, size in enumerate(patch):
        first[axis] = next(step for step in (stem, 4, 2, 1) if step <= stem and size % step == 0 and size // step >= 4)
    left = [size // step for size, step in zip(patch, first, strict=True)]
    found = [first]
    while len(found) < 3 or (len(found) < _MOST_LEVELS and min(left) >= 8):
        steps = [2 if size >= 8 and size % 2 == 0 else 1 for size in left]
        left = [size // step for size, step in zip(left, steps, strict=True)]
        found.append(steps)
    return found


def divisible(plan: Plan) -> list[int]:
    """What the detector pads every axis to a multiple of."""
    levels = strides(plan.patch, plan.parameters.stem)
    return [math.prod(level[axis] for level in levels) for axis in range(plan.dimensions)]


def network_def(plan: Plan) -> Config:
    """MONAI's RetinaNet: features, and two heads that say of every anchor what it is and where its box lies."""
    width = plan.parameters.width or _WIDTH
    features = max(width // 16, 1) * 8  # the heads, which normalise them in eight groups, work at full resolution
    levels = strides(plan.patch, plan.parameters.stem)
    return {
        "_target_": "RetinaNet",
        "spatial_dims": plan.dimensions,
        "num_classes": plan.outputs,
        "num_anchors": len(plan.anchors),
        "size_divisible": divisible(plan),
        "feature_extractor": {
            "_target_": "DynUNet",
            "spatial_dims": plan.dimensions,
            "in_channels": plan.channels,
            "out_channels": features,
            "kernel_size": [[_KERNELS[step] for step in levels[0]], *[3] * (len(levels) - 1)],
            "strides": levels,
            "upsample_kernel_size": levels[1:],
            "filters": [width + width * level // 2 for level in range(len(levels))],
            "norm_name": ["INSTANCE", {"affine": True}],
            "act_name": ["leakyrelu", {"negative_slope": 0.01, "inplace": True}],
            **({"dropout": plan.parameters.dropout} if plan.parameters.dropout else {}),
        },
    }


def _parts(plan: Plan, detector: Config, name: str, network: str = "@network") -> Config:
    """The detector around the network, and how it chooses among its guesses."""
    windows = [
        f"$@{name}.set_sliding_window_inferer(roi_size={list(plan.patch)},overlap=0.25,sw_batch_size=1,mode='gaussian')"
    ]
    return {
        "anchor_generator": {
            "_target_": _ANCHORS,
            "feature_map_scales": [1],
            "base_anchor_shapes": _shapes(plan),
        },
        name: {**detector, "network": network, "anchor_generator": "@anchor_generator"},
        "detector_ops": [
            f"$@{name}.set_target_keys(box_key='{BOX}', label_key='{LABEL}')",
            f"$@{name}.set_box_selector_parameters({_SELECTION})",
            *(windows if plan.dimensions == 3 else []),
        ],
    }


def _shapes(plan: Plan) -> list[list[int]]:
    return [list(shape) for shape in plan.anchors]


def _inference(plan: Plan, common: Config) -> Config:
    """``inference.json``, where it is not as for other tasks.

    The table that ``python -m monai.bundle run`` writes has a row per image, with the centre and size of each box, its
    class and its score: in millimetres of the world; of a picture, in pixels of its file from its first corner.
    """
    corners, centers = ("xyxy", "ccwh") if plan.dimensions == 2 else ("xyzxyz", "cccwhd")
    windows = ", use_inferer=True" if plan.dimensions == 3 else ""
    row = "torch.cat([b['box'], b['label'][:, None], b['label_scores'][:, None]], 1)"
    # A box of a class below 0 is none: the handler takes tables of one length only.
    padded = f"torch.nn.functional.pad({row}, (0, 0, 0, {MOST_BOXES} - len(b['box'])), value=-1.0)"
    place = {"box_keys": BOX, "box_ref_image_keys": "image"}
    in_world = {"_target_": "AffineBoxToWorldCoordinated", **place}
    # Twice the work for a picture, which is little; eight times for a volume, which is not.
    mirrored = list(flipped(plan)) if plan.dimensions == 2 else []
    views = {"_target_": _MIRRORED, "network": "@network", "axes": mirrored, "anchors": _shapes(plan)}
    return {
        **common,
        **({"mirrored": views} if mirrored else {}),
        **_parts(
            plan, {"_target_": "RetinaNetDetector"}, "detector_def", network="@mirrored" if mirrored else "@network"
        ),
        "detector": "$@detector_def.eval()",
        "inferer": f"$lambda image, network, *args, **kwargs: @detector(image{windows})",
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "ClipBoxToImaged", **place, "label_keys": [LABEL, SCORE], "remove_empty": True},
                _IN_PIXELS if plan.dimensions == 2 else in_world,
                {"_target_": "ConvertBoxModed", "box_keys": BOX, "src_mode": corners, "dst_mode": centers},
                {"_target_": "DeleteItemsd", "keys": ["image"]},
            ],
        },
        "handlers": [
            *common["handlers"],
            {
                "_target_": "ClassificationSaver",
                "output_dir": "@output_dir",
                "filename": "boxes.csv",
                "batch_transform": "$lambda batch: [x.meta for x in monai.data.decollate_batch(batch['image'])]",
                "output_transform": f"$lambda output: [{padded} for b in @finished(output)]",
            },
        ],
        "finished": "$lambda output: [@postprocessing({**found, 'image': image}) for found, image in "
        "zip(output['pred'], monai.data.decollate_batch(output['image']))]",
        "evaluator": {
            **{key: value for key, value in common["evaluator"].items() if key != "postprocessing"},
            "_requires_": "@detector_ops",
            "decollate": False,
        },
    }


def configs(plan: Plan, common: dict[str, Config]) -> dict[str, Config]:
    """The configurations of a detector by file name, from those of other tasks."""
    return {
        "train.json": _training(plan, common["train.json"]),
        "inference.json": _inference(plan, common["inference.json"]),
    }


def _training(plan: Plan, common: Config) -> Config:
    """``train.json``, where it is not as for other tasks."""
    chosen = plan.parameters
    detector = {
        "_target_": f"{_OWN}.detector.TrainedDetector",
        "loss": chosen.loss,
        "bf16": f"${chosen.bf16} and precision.computes_in_bfloat16(@device)",
    }
    kept = "$@ema.ema_model" if chosen.ema else "@detector"
    train, validate = dict(common["train"]), dict(common["validate"])
    collate = {"collate_fn": "$monai.data.utils.no_collation"}
    train["dataloader"] = {**train["dataloader"], **collate}
    trainer = {key: value for key, value in train["trainer"].items() if key != "inferer"}
    train["trainer"] = {
        **trainer,
        "_requires_": "@detector_ops",
        "network": "$distributed.shared(@detector)",
        "prepare_batch": {"_target_": f"{_OWN}.detector.Prepare", "training": True},
        "decollate": False,
    }
    validate["dataloader"] = {**validate["dataloader"], **collate}
    validate["inferer"] = {"_target_": "SimpleInferer"}
    prepare = {"_target_": f"{_OWN}.detector.Prepare", "training": False, "windows": plan.dimensions == 3}
    evaluator = {key: value for key, value in validate["evaluator"].items() if key != "postprocessing"}
    validate["evaluator"] = {
        **evaluator,
        "_requires_": "@detector_ops",
        "network": kept,
        "prepare_batch": prepare,
        "decollate": False,
        "key_val_metric": {"map": {"_target_": f"{_OWN}.metrics.BoxPrecision"}},
    }
    del validate["postprocessing"]
    ema = {"ema": {**common["ema"], "model": "@detector", "_requires_": "@detector_ops"}} if chosen.ema else {}
    return {
        **common,
        **_parts(plan, detector, "detector"),
        **ema,
        "imports": [*common["imports"], f"$from {_OWN} import precision"],
        **{name: {**common[name], "needs": BOX, "more": [LABEL]} for name in ("train_cases", "val_cases")},
        "loss": {"_target_": f"{_OWN}.detector.SumOfLosses"},
        "preprocessing": _preprocessing(plan),
        "augmentation": _augmentation(plan),
        "finishing": _finishing(plan),
        "kept_network": "$@ema.ema_model.network" if chosen.ema else "@network",
        "train": train,
        "validate": validate,
    }


def _preprocessing(plan: Plan) -> list[Config]:
    """The image as in use, and its boxes on the same grid."""
    fitted = {"_target_": f"{_OWN}.boxes.BoxesOnGrid"}
    return [*loading(plan), *cleaning(plan), *geometry(plan, ["image"]), *scaling(plan), fitted]


def _augmentation(plan: Plan) -> list[Config]:
    """A patch of each volume, or the whole picture, changed at random with its boxes."""
    chosen = plan.parameters.augmentation or ()
    image = {"keys": "image"}
    # "affine" cuts the patch out of this itself.
    size = [math.ceil(edge * _ROOM) if "affine" in chosen else edge for edge in plan.patch]
    if plan.dimensions == 2:
        found: list[Config] = [{"_target_": "SpatialPadd", **image, "spatial_size": list(plan.patch)}]
    else:
        found = [
            {"_target_": "SpatialPadd", **image, "spatial_size": size},
            {"_target_": f"{_OWN}.boxes.BoxesOnGrid"},
            {
                "_target_": "RandCropBoxByPosNegLabeld",
                "image_keys": "image",
                "box_keys": BOX,
                "label_keys": LABEL,
                "spatial_size": size,
                "whole_box": False,
                "allow_smaller": True,
            },
            {"_target_": f"{_OWN}.boxes.BoxesStay"},
        ]
    found += [{"_target_": "RandFlipd", **image, "prob": 0.5, "spatial_axis": axis} for axis in flipped(plan)]
    if "affine" in chosen:
        turn = round(math.radians(plan.parameters.rotation), 4)
        found.append(
            {
                "_target_": "RandAffined",
                **image,
                "prob": 0.9,
                "spatial_size": list(plan.patch),
                "rotate_range": [turn] * (1 if plan.dimensions == 2 else 3),
                "translate_range": [round(0.1 * edge, 1) for edge in plan.patch],
                "scale_range": [plan.parameters.scaling] * plan.dimensions,
                "mode": "bilinear",
                "padding_mode": "zeros",
            }
        )
    return [*found, {"_target_": f"{_OWN}.boxes.BoxesOnGrid"}, *intensities(plan)]


def _finishing(plan: Plan) -> list[Config]:
    """Tensors, and nothing that a detector does not take."""
    plain = {"_target_": "EnsureTyped", "keys": ["image", BOX], "track_meta": False}
    return [*centring(plan), {"_target_": f"{_OWN}.boxes.BoxesAtCenters"}, plain]
