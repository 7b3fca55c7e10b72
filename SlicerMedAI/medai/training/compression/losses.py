"""How far a student's output lies from its teacher's, and from the reference where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.losses import DiceCELoss
from torch.nn import functional

from medai.training.compression.compiled import tensors

Target = Mapping[str, Any]
_TEMPERATURE = {"segment": 2.0, "classify": 4.0}
_LABEL_SHARE = 0.5


class AgainstTeacher:
    """The loss of a student (Hinton, Vinyals and Dean, 2015).

    Choices among classes: the divergence of softened probabilities, times the square of the temperature, and half as
    much of the task's own loss where there is a reference. Several findings at once: cross entropy with the teacher's
    probabilities. Anything else (images, codes, boxes): distance in units of the spread of what the teacher gives.

    Parameters
    ----------
    task : str
    exclusive : bool
        Whether each voxel, or image, is of one class only.
    """

    def __init__(self, task: str, *, exclusive: bool) -> None:
        self.task = task
        self.exclusive = exclusive
        self._dice = DiceCELoss(softmax=True, to_onehot_y=True, batch=True)

    def __call__(self, pred: Any, target: Target) -> torch.Tensor:
        """Mean over the batch.

        Parameters
        ----------
        pred : tensor, or lists and names of tensors
            The student's output.
        target : dict
            ``"teacher"``: tensors of the teacher's output; ``"label"``: class numbers, shape (B,), or label maps,
            shape (B, 1, *spatial); -1 where there is none.
        """
        pairs = [(_first(s, t), t) for s, t in zip(tensors(pred), target["teacher"], strict=False)]
        if self.task not in _TEMPERATURE:
            return torch.stack([_distance(*pair) for pair in pairs]).mean()
        student, teacher = pairs[0]
        if not self.exclusive:
            return functional.binary_cross_entropy_with_logits(student, teacher.sigmoid())
        heat = _TEMPERATURE[self.task]
        soft = functional.kl_div((student / heat).log_softmax(1), (teacher / heat).softmax(1), reduction="none")
        loss = heat**2 * soft.sum(1).mean()
        return loss + _LABEL_SHARE * self._labelled(student, target.get("label"))

    def _labelled(self, student: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
        if label is None:
            return student.sum() * 0
        known = label.flatten(1).amin(1) >= 0 if label.ndim > 1 else label >= 0
        if not bool(known.any()):
            return student.sum() * 0
        if self.task == "classify":
            return functional.cross_entropy(student[known], label[known].long())
        return torch.as_tensor(self._dice(student[known], label[known]))


def _first(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Networks with deep supervision give a stack while they learn, the full size first."""
    return student[:, 0] if student.ndim == teacher.ndim + 1 else student


def _distance(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return functional.smooth_l1_loss(student / (spread := teacher.std().clamp_min(1e-6)), teacher / spread)
