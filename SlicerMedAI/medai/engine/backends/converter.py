"""The program that converts in the background: ``python -m medai.engine.backends.converter TASK``.

It gives way to everything else that runs, ends with the program that started it (its standard input closes then), and
leaves nothing but an entry in the cache. Nothing is handed to it but names: it loads the model itself, as guarded as
any other.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import shutil
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from medai.engine.backends import choice as choices
from medai.engine.backends import kinds
from medai.engine.backends.cache import Cache
from medai.engine.backends.task import LEFT_FOR_LATER, Task
from medai.errors import DependencyError

if TYPE_CHECKING:
    import torch

_FAILED = 70  # not 1, which Windows also gives to a process that somebody has ended
_LONGEST_S = 2 * 3600
_LONGEST_WAIT_S = 600.0
_NICE = 10
_SPARE_BYTES = 2 * 2**30
_COPIES_OF_OUTPUT = 12  # libraries keep some for each form of a network that they have compiled


def main() -> int:
    """Do the task named on the command line."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    faulthandler.enable()
    faulthandler.dump_traceback_later(_LONGEST_S, exit=True)  # even if native code hangs and the parent is gone
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    _give_way()
    task = Task.from_text(sys.argv[1])
    cache = Cache(Path(task.folder))
    key = task.key()
    # Somebody waits for a backend that was asked for by name, be it another program that makes it.
    with cache.claimed(key, _LONGEST_WAIT_S if task.requested in kinds.CONVERTERS else 0.0) as mine:
        if not mine:
            return LEFT_FOR_LATER
        entry = cache.read(key)
        if entry is not None and choices.known(entry.content) is not None:
            return 0
        return convert(task, key, cache)


def convert(task: Task, key: str, cache: Cache) -> int:
    """Load, try, choose, keep; the exit code."""
    import torch

    from medai.bundles import integrity
    from medai.bundles.pipeline import Pipeline
    from medai.engine.backends.measuring import Measuring
    from medai.engine.memory import is_out_of_memory

    root = Path(task.root)
    integrity.check_pins(root)
    torch.set_num_threads(task.threads)
    network = Pipeline(root, "cpu").network
    if integrity.digest(root) != task.digest or not _room_for(network, 0, cache.folder):
        return LEFT_FOR_LATER
    required = task.requested if task.requested in kinds.CONVERTERS else ""
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix=".new-") as scratch:
        try:
            measuring = Measuring(network, task.window)
            if not _room_for(network, measuring.output_bytes, cache.folder):
                return LEFT_FOR_LATER
            choice, files = measuring.choose(kinds.for_request(task.requested), Path(scratch), required)
        except Exception as error:
            if not is_out_of_memory(error) and not isinstance(error, (ImportError, OSError)):
                raise
            traceback.print_exc()
            return LEFT_FOR_LATER
        return 0 if cache.write(key, choice.to_json(), files) else LEFT_FOR_LATER


def end_with_parent() -> None:
    """End this process when the one that started it does; for a thread of its own."""
    # Held open by the parent, which never writes: it ends when the parent does, however that dies.
    with contextlib.suppress(OSError, ValueError):
        os.read(0, 1)
    os._exit(LEFT_FOR_LATER)  # the main thread may be deep in native code


def _give_way() -> None:
    """Behind everything else for processor time, and the first to be ended when memory runs out."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else _NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900", encoding="ascii")


def _room_for(network: torch.nn.Module, output_bytes: int, folder: Path) -> bool:
    """Whether memory and disk hold the few copies of weights and outputs that are needed, and leave some to others."""
    from medai.engine.streaming.available import available_bytes

    needed = _SPARE_BYTES + 4 * sum(p.numel() * p.element_size() for p in network.parameters())
    available = available_bytes() - _COPIES_OF_OUTPUT * output_bytes
    return bool(available > needed and shutil.disk_usage(folder).free > needed)


if __name__ == "__main__":
    # Without the interpreter's slow and sometimes noisy end: libraries with threads of their own are loaded.
    try:
        code = main()
    except (ImportError, OSError, DependencyError):  # of this environment, not of the model
        traceback.print_exc()
        code = LEFT_FOR_LATER
    except Exception:
        traceback.print_exc()
        code = _FAILED
    sys.stderr.flush()
    os._exit(code)
