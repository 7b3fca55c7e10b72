"""What both networks of a generative adversarial training talk about: cases, real or made up, of one form.

A case is a tensor of channels: the image from -1 to 1, then where there are labels one channel for each of them with
its probability (the background's first), then where there are classes one channel for each of them, 1 everywhere for
the case's own and 0 for the others (Mirza and Osindero, arXiv 1411.1784). So the discriminator sees whether a label
belongs to its image, and an image to its class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.inferers import SimpleInferer
from monai.networks.utils import one_hot
from monai.utils.enums import CommonKeys
from torch import Tensor

from medai.training.components.precision import Bfloat16Inferer


@dataclass(frozen=True)
class Form:
    """How many channels of what.

    Parameters
    ----------
    channels : int
        Of the image.
    labels : int
        Label values, background included; 0 where images come without labels.
    classes : int
        That can be asked for; 0 where there are none.
    """

    channels: int
    labels: int = 0
    classes: int = 0

    @property
    def made(self) -> int:
        """Channels that a generator makes."""
        return self.channels + self.labels


class Codes:
    """Codes to make images of: random numbers, and behind them a 1 for the class that is asked for.

    Parameters
    ----------
    length : int
        Random numbers of a code, standard normal.
    batch_size : int
    shares : sequence of float
        How often each class is asked for; empty where there are none.
    """

    def __init__(self, length: int, batch_size: int, shares: Sequence[float] = ()) -> None:
        self.length, self.batch_size = length, batch_size
        self.shares = torch.as_tensor(list(shares), dtype=torch.float64)

    def __call__(self, *, device: torch.device, generator: torch.Generator | None = None, **_: Any) -> Tensor:
        """A batch of codes (B, length + classes); called by MONAI's `GanTrainer`."""
        codes = torch.randn(self.batch_size, self.length, generator=generator)
        if len(self.shares):
            asked = torch.multinomial(self.shares, self.batch_size, replacement=True, generator=generator)
            codes = torch.cat((codes, torch.eye(len(self.shares))[asked]), dim=1)
        return codes.to(device)


class Reals:
    """Cases of the data, in the form that the discriminator sees."""

    def __init__(self, form: Form) -> None:
        self.form = form

    def __call__(self, batch: dict[str, Tensor], device: torch.device, *_: Any, **__: Any) -> Tensor:
        """A batch of cases (B, C, ...); called by MONAI's engines."""
        image = batch[CommonKeys.IMAGE].to(device) * 2 - 1
        found = [image]
        if self.form.labels:
            found.append(one_hot(batch[CommonKeys.LABEL].to(device), self.form.labels))
        if self.form.classes:
            own = torch.eye(self.form.classes, device=device)[batch[CommonKeys.LABEL].to(device).long().flatten()]
            found.append(planes(own, image))
        return torch.cat(found, dim=1)


class Imagination(SimpleInferer):  # type: ignore[misc]
    """From codes to cases, by the generator.

    Parameters
    ----------
    form : Form
    bf16 : bool
        See `Bfloat16Inferer`.
    """

    def __init__(self, form: Form, *, bf16: bool = False) -> None:
        super().__init__()
        self.form = form
        self.inside = Bfloat16Inferer() if bf16 else SimpleInferer()

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Cases (B, C, ...) for codes (B, length)."""
        form = self.form
        made = self.inside(inputs, network, *args, **kwargs).float()
        found = [torch.tanh(made[:, : form.channels])]
        if form.labels:
            found.append(made[:, form.channels :].softmax(dim=1))
        if form.classes:
            found.append(planes(inputs[:, -form.classes :], made))
        return torch.cat(found, dim=1)


def planes(own: Tensor, like: Tensor) -> Tensor:
    """Numbers (B, K) as channels (B, K, ...) that are the same everywhere."""
    return own[(...,) + (None,) * (like.ndim - 2)].expand(*own.shape, *like.shape[2:])


class CodesAndReals:
    """Codes beside the cases of a batch; called by MONAI's evaluators."""

    def __init__(self, codes: Codes, reals: Reals) -> None:
        self.codes, self.reals = codes, reals

    def __call__(self, batch: dict[str, Tensor], device: torch.device, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """What the generator takes, and what it is compared with."""
        return self.codes(device=device), self.reals(batch, device)


def shares(cases: Sequence[dict[str, Any]], classes: int, *, even: bool) -> list[float]:
    """How often each class is met in the cases; all as often where cases are drawn so."""
    counts = [sum(int(case["label"]) == n for case in cases) for n in range(classes)]
    return [float(count > 0 if even else count) / max(len(cases), 1) for count in counts]
