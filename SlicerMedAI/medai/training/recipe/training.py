"""``train.json``: a whole training for MONAI's own engine, which ``python -m monai.bundle run`` repeats."""

from __future__ import annotations

from typing import Any

from medai.training.recipe import forecasting
from medai.training.recipe.augmentation import augmentation
from medai.training.recipe.chosen_steps import cleaning
from medai.training.recipe.courses import ForecastPlan
from medai.training.recipe.frame import batches, dataset, keeping, numbers_and_places, running
from medai.training.recipe.guidance import MASK, forgiving, known_mask, prepare_batch
from medai.training.recipe.inference import activation, adds_to_its_input, inferer, network_defs, without_norms
from medai.training.recipe.members import members_loss
from medai.training.recipe.noise import degrading, mapping
from medai.training.recipe.plan import Plan
from medai.training.recipe.preprocessing import (
    centring,
    geometry,
    keys_of,
    label_values,
    loading,
    scaling,
    target_scaling,
)
from medai.training.recipe.target import TARGET
from medai.training.recipe.unknown import known_only, without_unknown

Config = dict[str, Any]
_OWN = "medai.training.components"
_PAIR = "$monai.handlers.from_engine(['pred', 'label'])"
_STEPS = "$@epochs * len(@train#batches)"
_START = "$growth.begin_with(@network, torch.load(@output_dir + '/start.pt', weights_only=True))"


def training_config(plan: Plan) -> Config:
    """The training of a plan."""
    chosen = plan.parameters
    tensors = [{"_target_": "EnsureTyped", "keys": keys_of(plan), "track_meta": False}]
    if plan.task == "classify":
        tensors.append({"_target_": "ToTensord", "keys": "label", "track_meta": False})
    if plan.guided:
        tensors.insert(0, known_mask(plan.patch))
    return {
        "imports": [
            "$import os",
            f"$from {_OWN} import beginning",
            f"$from {_OWN} import distributed",
            f"$from {_OWN} import growth",
            f"$from {_OWN} import sampling",
            *([f"$from {_OWN} import matrices"] if chosen.optimizer == "muon" else []),
        ],
        **numbers_and_places(plan),
        "train_cases": cases(plan, "training"),
        "val_cases": cases(plan, "validation"),
        **network_defs(plan),
        "network": f"${_begun(plan)}.to(@device)",
        "loss": _loss(plan),
        "optimizer": optimizer(plan, ("network", "loss") if plan.guided else ("network",)),
        "lr_scheduler": schedule(plan),
        **(
            {"ema": {"_target_": "ignite.handlers.EMAHandler", "model": "@network", "momentum": chosen.ema}}
            if chosen.ema
            else {}
        ),
        "kept_network": "$@ema.ema_model" if chosen.ema else "@network",
        "preprocessing": forgiving(
            [
                *loading(plan),
                *label_values(plan),
                *cleaning(plan),
                *geometry(plan, keys_of(plan)),
                *scaling(plan),
                *target_scaling(plan),
                *mapping(plan),
            ]
        ),
        "augmentation": forgiving(augmentation(plan)),
        "finishing": [*degrading(plan), *centring(plan), *tensors],
        "train": _train(plan),
        "validate": _validate(plan),
        **keeping(
            {
                "network": "@network",
                "optimizer": "@optimizer",
                "lr_scheduler": "@lr_scheduler",
                "validation": "@validation",
                "history": "@history",
                **({"ema": "@kept_network"} if chosen.ema else {}),
                **({"loss": "@loss"} if plan.guided else {}),
            }
        ),
        **running(*([_START] if chosen.start_from else [])),
    }


def _begun(plan: Plan) -> str:
    if without_norms(plan):
        return "beginning.begin_without_norms(@network_def)"
    # A U-Net of MONAI's ends with a unit around which its input is led, so it has no last layer to begin with.
    if adds_to_its_input(plan) and plan.parameters.network != "unet":
        return "beginning.begin_with_nothing(@network_def)"
    return "@network_def"


def cases(plan: Plan, part: str) -> Config:
    """The cases of a part of the data that can be learned from."""
    needs = "image" if plan.restores or (plan.synthesizes and not plan.classes) else "label"
    needs = TARGET if plan.target is not None else needs
    return {
        "_target_": f"{_OWN}.cases.cases",
        "datalist": "@datalist",
        "part": part,
        "needs": needs,
        **({"more": [MASK]} if plan.guided else {}),
    }


def loader(dataset: str, **more: Any) -> Config:
    """Batches of a dataset."""
    return {
        "_target_": "DataLoader",
        "dataset": dataset,
        "num_workers": "@num_workers",
        "persistent_workers": "$@num_workers > 0",
        # Forked from a process with threads, workers may hang; spawned, they work everywhere.
        "multiprocessing_context": "$'spawn' if @num_workers else None",
        **more,
    }


def _train(plan: Plan) -> Config:
    chosen = plan.parameters
    handlers: list[Any] = [{"_target_": f"{_OWN}.sampling.EpochSeed", "batches": "@train#batches"}]
    handlers.append({"_target_": f"{_OWN}.restraint.FiniteLoss"})
    if plan.guided:
        handlers.append("@loss")
    if chosen.l1:
        penalty = {"_target_": f"{_OWN}.restraint.SparsePenalty", "factor": chosen.l1}
        handlers.append({**penalty, "parameters": "$@network.parameters()"})
    if chosen.gradient_clip:
        limit = {"_target_": f"{_OWN}.restraint.GradientLimit", "largest": chosen.gradient_clip}
        handlers.append({**limit, "parameters": "$@network.parameters()"})
    if chosen.ema:
        handlers.append("@ema")
    handlers.append(
        {
            "_target_": "LrScheduleHandler",
            "lr_scheduler": "@lr_scheduler",
            "print_lr": False,
            "epoch_level": False,
        }
    )
    # In this order: what is kept of an epoch is saved in its checkpoint.
    curves = {"_target_": f"{_OWN}.curves.Curves", "log_dir": "@output_dir", "history": "@history"}
    handlers += ["@validation", "@history", curves, "@checkpoint"]
    return {
        "dataset": dataset("@train_cases", "$@preprocessing + @augmentation + @finishing"),
        "batches": batches(case_weights(plan), **({"members": plan.members} if plan.members > 1 else {})),
        "dataloader": loader("@train#dataset", batch_sampler="@train#batches"),
        "handlers": handlers,
        "trainer": {
            "_target_": "SupervisedTrainer",
            "max_epochs": "@epochs",
            "device": "@device",
            "train_data_loader": "@train#dataloader",
            "network": "$distributed.shared(@network)",
            "loss_function": "@loss",
            "optimizer": "@optimizer",
            **({"inferer": {"_target_": f"{_OWN}.precision.Bfloat16Inferer"}} if chosen.bf16 else {}),
            **({"prepare_batch": prepare_batch()} if plan.guided else {}),
            "train_handlers": "@train#handlers",
            "amp": f"${chosen.amp} and @device.type == 'cuda'",
        },
    }


def case_weights(plan: Plan) -> str | None:
    """How often each case is drawn."""
    if not plan.parameters.weighted_sampling or not (plan.maps or plan.task == "classify" or plan.conditions):
        return None
    if not plan.maps:
        return "$sampling.weights_by_class(@train_cases)"
    return f"$sampling.weights_by_structure(@train_cases, {plan.parameters.ignore_label})"


def _validate(plan: Plan) -> Config:
    steps: list[Config] = []
    metric: Config
    if plan.task == "segment":
        one_hot = {"_target_": "AsDiscreted", "to_onehot": plan.outputs}
        decided = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
        steps = [decided, *without_unknown(plan), {**one_hot, "keys": ["pred", "label"]}]
        metric = {"dice": {"_target_": "MeanDice", "include_background": False, "output_transform": _PAIR}}
    elif plan.task == "classify":
        steps = [{"_target_": "Activationsd", "keys": "pred", **activation(plan)}]
        metric = {"auroc": {"_target_": f"{_OWN}.metrics.MeanAUROC", "multi_label": plan.multi_label}}
    else:
        metric = {"psnr": {"_target_": "PeakSignalToNoiseRatio", "max_val": 1.0, "output_transform": _PAIR}}
    return {
        "dataset": dataset("@val_cases", "$@preprocessing + @finishing"),
        "dataloader": loader("@validate#dataset", batch_size="@batch_size" if plan.task == "classify" else 1),
        "inferer": inferer(plan),
        "postprocessing": {"_target_": "Compose", "transforms": steps},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "_disabled_": "$len(@val_cases) == 0",
            "device": "@device",
            "val_data_loader": "@validate#dataloader",
            "network": "@kept_network",
            "inferer": "@validate#inferer",
            "postprocessing": "@validate#postprocessing",
            "key_val_metric": metric,
            "amp": f"${plan.parameters.amp} and @device.type == 'cuda'",
        },
    }


def _loss(plan: Plan) -> Config:
    if isinstance(plan, ForecastPlan):
        return _whole(forecasting.loss(plan))
    kind, weights = plan.parameters.loss, plan.weights
    weight = None if weights is None else f"$torch.tensor({list(weights)}).to(@device)"
    if plan.task == "classify":
        own = {"_target_": f"{_OWN}.losses.FindingsLoss", "kind": kind, "multi_label": plan.multi_label}
        if plan.parameters.label_smoothing:
            own["smoothing"] = plan.parameters.label_smoothing
        own["weights"] = None if weights is None else list(weights)
        return members_loss(_whole(own), plan)
    if plan.gives_image:
        if kind == "ssim":
            return {"_target_": f"{_OWN}.losses.Dissimilarity", "spatial_dims": plan.dimensions}
        if kind in ("rms", "psnr"):
            return {"_target_": f"{_OWN}.losses.{'RootMeanSquare' if kind == 'rms' else 'Decibels'}"}
        return {"_target_": {"l1": "torch.nn.L1Loss", "mse": "torch.nn.MSELoss"}[kind]}
    common: Config = {"to_onehot_y": True, "weight": weight}
    dice: Config = {"softmax": True, "batch": True}
    losses: Config = {
        "dice_ce": {"_target_": "DiceCELoss", **common, **dice},
        "dice": {"_target_": "DiceLoss", **common, **dice},
        "cross_entropy": {"_target_": "DiceCELoss", **common, **dice, "lambda_dice": 0.0},
        "focal": {"_target_": "FocalLoss", **common, "use_softmax": True},
    }
    return _whole(known_only(losses[kind], plan))


def _whole(loss: Config) -> Config:
    """Of all processes' cases at once; those of images, means over as many voxels in each, are so by themselves."""
    return {"_target_": f"{_OWN}.distributed.WholeBatch", "loss": loss}


def optimizer(plan: Plan, learning: tuple[str, ...]) -> Config:
    """What makes the steps of the parts of these names."""
    chosen = plan.parameters
    parameters = ", ".join(f"*@{part}.parameters()" for part in learning)
    if chosen.optimizer == "muon":
        groups = f"$matrices.apart([{parameters}], @learning_rate, {chosen.weight_decay})"
        return {"_target_": "pytorch_optimizer.Muon", "params": groups, "use_adjusted_lr": True}
    config: Config = {"params": f"$[{parameters}]", "lr": "@learning_rate", "weight_decay": chosen.weight_decay}
    if chosen.optimizer == "sgd":
        momentum = {"momentum": chosen.momentum, "nesterov": chosen.momentum > 0}
        return {"_target_": "torch.optim.SGD", **config, **momentum}
    return {"_target_": {"adam": "torch.optim.Adam", "adamw": "torch.optim.AdamW"}[chosen.optimizer], **config}


def schedule(plan: Plan, optimizer: str = "@optimizer") -> Config:
    """How its steps change in size."""
    home = "torch.optim.lr_scheduler"
    config: Config = {"optimizer": optimizer}
    return {
        "constant": {"_target_": f"{home}.ConstantLR", **config, "factor": 1.0, "total_iters": 1},
        "cosine": {"_target_": f"{home}.CosineAnnealingLR", **config, "T_max": _STEPS},
        "one_cycle": {
            "_target_": f"{home}.OneCycleLR",
            **config,
            "max_lr": "@learning_rate",
            "total_steps": _STEPS,
            "pct_start": 0.15,
            **({"cycle_momentum": False} if plan.parameters.optimizer == "muon" else {}),
        },
        "poly": {"_target_": f"{home}.PolynomialLR", **config, "total_iters": _STEPS, "power": 0.9},
    }[plan.parameters.schedule]
