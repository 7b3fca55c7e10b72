"""A generator and its discriminator: the configurations of their training, and of the generator in use."""

from __future__ import annotations

from typing import Any

from medai.training.recipe.adversaries import PACKED, discriminator_def, generator_def
from medai.training.recipe.augmentation import augmentation
from medai.training.recipe.chosen_steps import cleaning
from medai.training.recipe.frame import batches, dataset, keeping, numbers_and_places, running
from medai.training.recipe.inference import evaluator, load_weights
from medai.training.recipe.plan import Plan
from medai.training.recipe.preprocessing import geometry, keys_of, label_values, loading, scaling
from medai.training.recipe.training import case_weights, cases, loader, optimizer, schedule

Config = dict[str, Any]
_OWN = "medai.training.components"
_IMPORTED = ("adversarial", "distributed", "imagining", "precision", "sampling")
# A step that remembers little suits a contest, in which the other side moves (Karras et al., ICLR 2018).
_BETAS = [0.0, 0.99]


def configs(plan: Plan) -> dict[str, Config]:
    """The configurations by file name."""
    return {"train.json": _training(plan), "inference.json": _inference(plan)}


def _training(plan: Plan) -> Config:
    """``train.json`` for MONAI's `GanTrainer`, which ``python -m monai.bundle run`` repeats."""
    chosen = plan.parameters
    tensors: list[Config] = [{"_target_": "EnsureTyped", "keys": keys_of(plan), "track_meta": False}]
    if plan.conditions:
        tensors.append({"_target_": "ToTensord", "keys": "label", "track_meta": False})
    rivals = {"generator": "network", "discriminator": "discriminator"}
    steps = {f"{name}_optimizer": _steps(plan, part) for name, part in rivals.items()}
    steps |= {f"{name}_schedule": schedule(plan, f"@{name}_optimizer") for name in rivals}
    bf16 = f"${chosen.bf16} and precision.computes_in_bfloat16(@device)"
    labels = len(plan.classes) + 1 if plan.maps else 0
    shares = f"$imagining.shares(@train_cases, {len(plan.conditions)}, even={chosen.weighted_sampling})"
    return {
        "imports": [
            "$import os",
            *(f"$from {_OWN} import {name}" for name in _IMPORTED),
        ],
        **numbers_and_places(plan),
        "train_cases": cases(plan, "training"),
        **generator_def(plan),
        "network": "$@network_def.to(@device)",
        "discriminator_def": discriminator_def(plan),
        "discriminator": "$adversarial.lipschitz(@discriminator_def).to(@device)",
        **steps,
        "ema": {"_target_": "ignite.handlers.EMAHandler", "model": "@network", "momentum": chosen.ema},
        "kept_network": "$@ema.ema_model",
        "form": {
            "_target_": f"{_OWN}.imagining.Form",
            "channels": plan.channels,
            "labels": labels,
            "classes": len(plan.conditions),
        },
        "codes": {
            "_target_": f"{_OWN}.imagining.Codes",
            "length": chosen.code,
            "batch_size": "$@train#batches.batch_size",
            "shares": shares if plan.conditions else [],
        },
        "reals": {"_target_": f"{_OWN}.imagining.Reals", "form": "@form"},
        "imagination": {"_target_": f"{_OWN}.imagining.Imagination", "form": "@form", "bf16": bf16},
        "opinion": {
            "_target_": f"{_OWN}.adversarial.Opinion",
            "network": "@discriminator",
            "augmentation": {
                "_target_": f"{_OWN}.gan_augmentation.DifferentiableAugmentation",
                "channels": plan.channels,
                "fixed": len(plan.conditions),
                "share": 0.5,
            },
            "packed": PACKED,
            "loss": chosen.loss,
            "bf16": bf16,
        },
        "preprocessing": [
            *loading(plan),
            *label_values(plan),
            *cleaning(plan),
            *geometry(plan, keys_of(plan)),
            *scaling(plan),
        ],
        "augmentation": augmentation(plan),
        "finishing": tensors,
        "train": _train(plan),
        "validate": _validate(),
        **keeping(
            {
                **{name: f"@{name}" for name in ("network", "discriminator", *steps, "validation", "history")},
                "ema": "@kept_network",
            }
        ),
        **running(),
    }


def _steps(plan: Plan, part: str) -> Config:
    betas = {} if plan.parameters.optimizer == "sgd" else {"betas": _BETAS}
    return {**optimizer(plan, (part,)), **betas}


def _train(plan: Plan) -> Config:
    rates = [
        {
            "_target_": "LrScheduleHandler",
            "lr_scheduler": f"@{name}_schedule",
            "print_lr": False,
            "epoch_level": False,
        }
        for name in ("generator", "discriminator")
    ]
    return {
        "dataset": dataset("@train_cases", "$@preprocessing + @augmentation + @finishing"),
        "batches": batches(case_weights(plan), together=PACKED),
        "dataloader": loader("@train#dataset", batch_sampler="@train#batches"),
        # In this order: what is kept of an epoch is saved in its checkpoint.
        "handlers": [
            {"_target_": f"{_OWN}.sampling.EpochSeed", "batches": "@train#batches"},
            {"_target_": f"{_OWN}.restraint.FiniteLoss"},
            "@ema",
            *rates,
            "@validation",
            "@history",
            {"_target_": f"{_OWN}.curves.Curves", "log_dir": "@output_dir", "history": "@history"},
            "@checkpoint",
        ],
        "trainer": {
            "_target_": "GanTrainer",
            "max_epochs": "@epochs",
            "device": "@device",
            "train_data_loader": "@train#dataloader",
            "g_network": "@network",
            "g_optimizer": "$distributed.stepping(@generator_optimizer)",
            "g_loss_function": "$@opinion.of_made",
            "g_inferer": "@imagination",
            "g_prepare_batch": "$distributed.own_of(@codes)",
            "d_network": "@discriminator",
            "d_optimizer": "$distributed.stepping(@discriminator_optimizer)",
            "d_loss_function": "$@opinion.of_both",
            "d_prepare_batch": "@reals",
            "decollate": False,
            "train_handlers": "@train#handlers",
        },
    }


def _validate() -> Config:
    """Made-up cases against those of the training itself: what was held back stays unseen, and judges in the end."""
    return {
        "dataset": dataset("@train_cases", "$@preprocessing + @finishing"),
        "dataloader": loader("@validate#dataset", batch_size="$@train#batches.batch_size"),
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "_disabled_": "$len(@train_cases) < 2",
            "device": "@device",
            "val_data_loader": "@validate#dataloader",
            "network": "@kept_network",
            "prepare_batch": {"_target_": f"{_OWN}.imagining.CodesAndReals", "codes": "@codes", "reals": "@reals"},
            "inferer": "@imagination",
            "decollate": False,
            "key_val_metric": {"likeness": {"_target_": f"{_OWN}.likeness.Likeness", "form": "@form"}},
        },
    }


def _inference(plan: Plan) -> Config:
    """``inference.json``: from random numbers to files. Nothing beyond MONAI, so that nobody needs to trust it."""
    asked = f"torch.eye({len(plan.conditions)})[@condition]"
    parts = f"torch.randn({plan.parameters.code})" + (f", {asked}" if plan.conditions else "")
    return {
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "count": 4,
        "seed": 0,
        **({"condition": 0} if plan.conditions else {}),
        **generator_def(plan),
        "network": "$@network_def.to(@device)",
        "dataset": {"_target_": "Dataset", "data": f"$[torch.cat(({parts},)) for _ in range(@count)]"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": _finishing(plan)},
        "handlers": [load_weights()],
        "evaluator": {
            **evaluator(),
            "prepare_batch": "$lambda batchdata, *_, **__: (batchdata.to(@device), None, (), {})",
        },
        "initialize": ["$monai.utils.set_determinism(seed=@seed)"],
        "run": ["$@evaluator.run()"],
    }


def _finishing(plan: Plan) -> list[Any]:
    """The image on the data's scale, and its labels, both where such images are."""
    scene = plan.scene
    assert scene is not None
    place = f"torch.tensor({[list(row) for row in scene.affine]}, dtype=torch.float64)"
    image = f"torch.tanh(d['pred'][:{plan.channels}])"
    parts = [f"'pred': monai.data.MetaTensor({image}, affine={place})"]
    if plan.maps:
        parts.append(f"'label': monai.data.MetaTensor(d['pred'][{plan.channels}:], affine={place})")
    values = {"a_min": -1.0, "a_max": 1.0, "b_min": scene.low, "b_max": scene.high}
    steps: list[Any] = [
        f"$lambda d: {{**d, {', '.join(parts)}}}",
        {"_target_": "ScaleIntensityRanged", "keys": "pred", **values},
    ]
    saving: Config = {"_target_": "SaveImaged", "output_dir": "@output_dir", "separate_folder": False}
    saving |= {"resample": False, **({"output_ext": ".png"} if plan.dimensions == 2 else {})}
    if scene.dtype != "float32":
        steps.append("$lambda d: {**d, 'pred': torch.round(d['pred'])}")
    named = {"keys": "pred", "output_postfix": "synthetic", "output_dtype": f"$numpy.{scene.dtype}"}
    steps.append({**saving, **named})
    if plan.maps:
        labelled = {"keys": "label", "output_postfix": "synthetic_seg"}
        smallest = "uint8" if len(plan.classes) < 256 else "uint16"
        steps[1:1] = [{"_target_": "AsDiscreted", "keys": "label", "argmax": True}]
        steps.append({**saving, **labelled, "output_dtype": f"$numpy.{smallest}"})
    return steps
