"""Train a smaller network against the one it was made of, with MONAI's own engine."""

from __future__ import annotations

import copy
import gc
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.handlers import EMAHandler
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.utils import set_determinism

from medai.errors import InputError
from medai.progress import Report
from medai.training.components.history import History
from medai.training.components.restraint import FiniteLoss
from medai.training.components.sampling import EpochBatches, EpochDataset, EpochSeed
from medai.training.compression.compiled import tensors
from medai.training.compression.networks import each_once
from medai.training.compression.work import Lessons
from medai.training.parameters import TrainingParameters
from medai.training.run import explained, quiet
from medai.training.watch import Watch

Prepared = tuple[torch.Tensor, dict[str, Any], tuple[torch.Tensor, ...], dict[str, Any]]
_STEPS_OF_EMA = 10.0


def recover(
    student: torch.nn.Module, lessons: Lessons, *, chosen: TrainingParameters, report: Report
) -> dict[str, torch.Tensor]:
    """Train.

    Parameters
    ----------
    student : torch.nn.Module
        On the CPU.
    lessons : Lessons
        Teacher and student see the same, disturbed alike, so that no change of it makes what the teacher says wrong.
    chosen : TrainingParameters
        ``epochs``, ``batch_size``, ``learning_rate``, ``weight_decay``, ``ema`` and ``seed``.
    report : callable
        May raise `medai.errors.JobCancelled`.

    Returns
    -------
    dict of str to Tensor
        The student's weights, averaged over the last steps where that was chosen.

    Raises
    ------
    InputError
        When there is too little to learn from.
    MedAIError
        Whatever ended it.
    """
    cases = lessons.cases
    shapes = {tuple(case[name].shape for name in lessons.given) for case in cases}
    # What differs in size makes no batch.
    size = 1 if len(shapes) > 1 else min(chosen.batch_size, len(cases))
    if size < 2 and any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in student.modules()):
        raise InputError(
            "The smaller network cannot be trained.",
            "It normalises over several images at once, and there are not two of the same size.",
            "Name more images (--data), or a larger batch (--set batch_size=2).",
        )
    set_determinism(seed=chosen.seed)
    try:
        with tempfile.TemporaryDirectory(prefix="medai-") as folder, quiet():
            batches = EpochBatches(len(cases), size, seed=chosen.seed)
            dataset = EpochDataset(list(cases), list(lessons.disturbed), seed=chosen.seed)
            steps = chosen.epochs * len(batches)
            optimizer = torch.optim.AdamW(
                student.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay
            )
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=chosen.learning_rate, total_steps=steps + 1, pct_start=0.15
            )
            # Over more steps than there are, the mean would be of the beginning.
            momentum = min(max(chosen.ema, _STEPS_OF_EMA / steps), 1.0) if chosen.ema else 1.0
            ema = EMAHandler(student, momentum=momentum) if momentum < 1 else None
            history = History(str(Path(folder) / "history.json"), None)
            trainer = SupervisedTrainer(
                device=torch.device("cpu"),
                max_epochs=chosen.epochs,
                train_data_loader=DataLoader(dataset, batch_sampler=batches, num_workers=0),
                network=student,
                optimizer=optimizer,
                loss_function=lessons.loss,
                prepare_batch=_Prepare(lessons),
                train_handlers=[
                    EpochSeed(batches),
                    FiniteLoss(),
                    LrScheduleHandler(schedule, print_lr=False, epoch_level=False),
                    history,
                    *([] if ema is None else [ema]),
                ],
                decollate=False,
            )
            Watch(report, trainer, None, history)
            student.requires_grad_(requires_grad=True)
            trainer.run()
            kept = student if ema is None else ema.ema_model
            return each_once(kept.state_dict(), lambda value: value.detach().clone().contiguous())
    except Exception as error:
        raise explained(error) from error
    finally:
        set_determinism(None)
        gc.collect()


class _Prepare:
    """What the student sees, and what the teacher makes of it."""

    def __init__(self, lessons: Lessons) -> None:
        self.teacher, self.given = copy.deepcopy(lessons.teacher), lessons.given

    def __call__(self, batch: Mapping[str, Any], *_: object, **__: object) -> Prepared:
        first, *others = (_plain(batch[name]) for name in self.given)
        with torch.no_grad():
            said = [_plain(one) for one in tensors(self.teacher(first, *others))]
        return first, {"teacher": said, "label": _plain(batch["label"])}, tuple(others), {}


def _plain(value: Any) -> torch.Tensor:
    return torch.as_tensor(value).as_subclass(torch.Tensor)
