"""What the program that converts in the background is asked to do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from medai.engine.backends import identity, kinds

LEFT_FOR_LATER = 75
"""Exit code of that program: nothing was decided, another time may be better."""


@dataclass(frozen=True)
class Task:
    """One model, to be tried in the forms that a person's request allows.

    Parameters
    ----------
    root : str
        The bundle's folder.
    digest : str
        Of the bundle (`medai.bundles.integrity.digest`).
    channels, roi_size
        Of the windows that its network is called with.
    requested : str
        One of `medai.engine.backend_names.REQUESTS`, but not ``"torch"``.
    folder : str
        The cache's.
    threads : int
        Of the CPU, to measure with.
    """

    root: str
    digest: str
    channels: int
    roi_size: tuple[int, ...]
    requested: str
    folder: str
    threads: int

    @property
    def window(self) -> tuple[int, ...]:
        """(C, spatial)."""
        return (self.channels, *self.roi_size)

    def key(self) -> str:
        """The name under which its outcome is kept."""
        backends = kinds.for_request(self.requested)
        return identity.key(
            self.digest,
            device="cpu",
            requested=self.requested,
            channels=self.channels,
            roi_size=self.roi_size,
            backends=", ".join(f"{name} {converter.version()}" for name, converter in backends.items()),
        )

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Task:
        content = json.loads(text)
        return cls(**{**content, "roi_size": tuple(content["roi_size"])})

    @property
    def name(self) -> str:
        """Of the model, for the log."""
        return Path(self.root).name
