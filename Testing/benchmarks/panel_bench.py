"""What opening the panel costs on top of slicer-core, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.timing import Row

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for path in (ROOT / "SlicerMedAI").glob("MedAI*/MedAI*.py") if path.stem == path.parent.name)

_SCRIPT = """
import sys, time
sys.path[:0] = {paths!r}
import slicer
import SlicerHost
with SlicerHost.start() as host:
    began = time.perf_counter()
    for path in {modules!r}:
        host.load_module(path)
    print(time.perf_counter() - began, "torch" in sys.modules)
"""


def open_panels(repeats: int = 3) -> Row:
    """Import every module file and open its panel: seconds, and whether torch was imported."""
    paths = [str(ROOT / "Testing"), str(ROOT / "SlicerMedAI")]
    script = _SCRIPT.format(paths=paths, modules=[str(path) for path in MODULES])
    runs = []
    for _ in range(repeats):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        duration, has_torch = done.stdout.split()[-2:]
        runs.append((float(duration), has_torch == "True"))
    duration = sorted(runs)[len(runs) // 2][0]
    torch = any(has_torch for _, has_torch in runs)
    value = f"{duration:.2f} s, torch {'imported' if torch else 'not imported'}"
    return Row("opening every panel, on top of slicer-core", value, "< 0.3 s, no torch", duration < 0.3 and not torch)
