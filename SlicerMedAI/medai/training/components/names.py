"""Keys of a detector's targets and results, as the Model Zoo's detectors have them."""

from __future__ import annotations

BOX, LABEL, SCORE = "box", "label", "label_scores"
