"""What a person may choose for an explanation."""

from __future__ import annotations

from dataclasses import dataclass

from medai.tasks.classify.parameters import METHODS, ViewParameters
from medai.tasks.parameters import count, one_of, wrong

_FEWEST, _MOST = 2, 64


@dataclass(frozen=True, eq=False)
class ExplainParameters(ViewParameters):
    """What a person may choose, besides what parts of the image are looked at.

    Parameters
    ----------
    method : str
        ``"grad_cam"`` (Selvaraju et al., ICCV 2017) and ``"grad_cam_pp"`` (Chattopadhyay et al., WACV 2018) weight the
        network's last feature maps by their gradients: fast, and as coarse as these maps. ``"occlusion"`` (Zeiler &
        Fergus, ECCV 2014) covers one part of the image after the other: slow, and close to the truth.
    target_class : str or None
        The class to explain; by default the finding of the model's operating point, or else the most probable class.
    layer : str or None
        For Grad-CAM: name of the layer of the network; the last one with enough of a map by default.
    steps : int or None
        For occlusion: places along each axis, 2 to 64; 12 in two dimensions and 6 in three by default.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    method: str = METHODS[0]
    target_class: str | None = None
    layer: str | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method", self.method, METHODS)
        for name in ("target_class", "layer"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise wrong(name, value, "It is a name")
        if self.layer is not None and self.method == "occlusion":
            raise wrong("layer", self.layer, "Occlusion looks at the whole network, not at one layer of it")
        if self.steps is not None:
            self._checked("steps", count("steps", self.steps))
            if not _FEWEST <= self.steps <= _MOST:
                raise wrong("steps", self.steps, f"It is a whole number from {_FEWEST} to {_MOST}")

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text() | {"method": self.method}
        chosen = {"target_class": self.target_class, "layer": self.layer, "steps": self.steps}
        return text | {name: str(value) for name, value in chosen.items() if value is not None}
