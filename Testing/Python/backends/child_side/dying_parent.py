"""Starts a conversion by the real converter, tells its process id, and waits to be killed."""

import sys
import time
from pathlib import Path

from medai.engine.backends.cache import Cache
from medai.engine.backends.conversion import Conversions
from medai.engine.backends.task import Task

if __name__ == "__main__":
    task = Task.from_text(sys.argv[1])
    conversions = Conversions(Cache(Path(task.folder)))
    conversions.start(task)
    import psutil

    while not (children := psutil.Process().children()):
        time.sleep(0.02)
    print(children[0].pid, flush=True)
    time.sleep(600)
