"""What a person may choose for an encoding."""

from __future__ import annotations

from dataclasses import dataclass

from medai.tasks.parameters import ImageParameters, wrong, yes_or_no


@dataclass(frozen=True, eq=False)
class EncodeParameters(ImageParameters):
    """What a person may choose, besides what every task on images lets them.

    Parameters
    ----------
    region : Region, or None
        A box, RAS mm, whose block of voxels is encoded as an image of its own; the whole image by default.
    backend : str
        ``"auto"`` or ``"torch"``: the two halves of an autoencoder run in PyTorch.
    reconstruct : bool
        Whether the image that the code stands for is given as a volume.
    anomaly : bool
        Whether the difference between the image and its reconstruction is given as a volume: what is unusual is
        reconstructed worse.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    reconstruct: bool = False
    anomaly: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.regions) > 1:
            raise wrong("region", self.region, "An image is encoded in one box, or as a whole")
        if self.backend not in ("auto", "torch"):
            raise wrong("backend", self.backend, "The two halves of an autoencoder run in PyTorch")
        self._checked("reconstruct", yes_or_no("reconstruct", self.reconstruct))
        self._checked("anomaly", yes_or_no("anomaly", self.anomaly))

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        return text | {name: "True" for name in ("reconstruct", "anomaly") if getattr(self, name)}
