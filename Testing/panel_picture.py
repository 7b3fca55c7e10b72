"""Take the picture of a module's panel for the README, after it has segmented the MNI152 head: ``make panel-picture``.

The shipped model runs in the real worker; only Slicer's window is the stand-in's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE = ROOT / "SlicerMedAI" / "MedAISegmentation" / "MedAISegmentation.py"
PICTURE = ROOT / "Resources" / "Screenshots" / "MedAISegmentation.png"
PATIENCE_S = 600


def main() -> int:
    """Return a process exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=PICTURE, help="PNG file")
    parser.add_argument("--width", type=int, default=480, help="in pixels")
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT / "SlicerMedAI"), str(ROOT / "Testing")]

    import slicer

    import SlicerHost
    from medai.demo import load_head

    with SlicerHost.start() as host:
        load_head(host.scene)
        panel = host.load_module(MODULE)
        widget = panel.self()
        ui = widget.ui
        ui.show3DCheckBox.setChecked(False)  # nobody looks at the surfaces here
        if not ui.applyButton.enabled:
            print(f"Apply cannot be pressed: {ui.applyButton.toolTip}")
            return 1
        ui.applyButton.click()
        host.process_events(PATIENCE_S, until=lambda: ui.applyButton.text == "Apply")
        if not ui.resultCollapsibleButton.visible:
            print(ui.logTextEdit.toPlainText())
            return 1
        ui.show3DCheckBox.setChecked(True)
        [segmentation] = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        surfaces = segmentation.GetSegmentation().ContainsRepresentation
        # They are there, and the panel no longer says that they are being made.
        host.process_events(PATIENCE_S, until=lambda: surfaces("Closed surface") and ui.stageLabel.text.endswith("."))
        ui.advancedCollapsibleButton.collapsed = False
        ui.modelComboBox.clearFocus()
        options.output.parent.mkdir(parents=True, exist_ok=True)
        host.grab(panel, options.output, options.width)
    print(f"Wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
