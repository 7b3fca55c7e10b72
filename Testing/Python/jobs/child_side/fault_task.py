"""A task that does to its worker process whatever a test asks for. Imported in the worker, never by the tests."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from medai.errors import GeometryError, JobCancelled
from medai.progress import Progress
from medai.result import Provenance, Result, Table


class KillsWhilePickling:
    """Ends its process at the moment a result is on its way."""

    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)
        return str, ()


def kill_soon():
    time.sleep(0.3)  # so that the stage has been told
    os.kill(os.getpid(), signal.SIGKILL)


class KillsWhileUnpickling:
    """Ends the process that a job with it among its parameters arrives in."""

    def __reduce__(self):
        return kill_soon, ()


def run(job, report, loaded):
    parameters = dict(job.parameters)
    items = ACTIONS[parameters.pop("do")](job, report, **parameters)
    return Result(tuple(items or ()), Provenance(job.task, job.bundle.name))


def echo(job, report):
    return job.inputs


def steps(job, report, count, delay_s, stage="Segmenting"):
    for n in range(count):
        report(Progress(stage, n, count, eta_s=(count - n) * delay_s))
        time.sleep(delay_s)


def one_report_then_sleep(job, report, seconds, stage="Segmenting"):
    report(Progress(stage, 0, 1, eta_s=seconds))
    time.sleep(seconds)


def litter(job, report, seconds=0):
    """Leaves files where temporary ones go, as processes do that are killed."""
    folder = Path(tempfile.mkdtemp(prefix="pymp-"))
    (folder / "listener").write_bytes(bytes(1000))
    tempfile.mkstemp(suffix=".py")
    one_report_then_sleep(job, report, seconds)
    return [Table({"Folder": (str(folder),)}, "litter")]


def semaphore(job, report, file, seconds):
    """What a loader with processes of its own makes; it outlives whoever made it, unless somebody clears up."""
    held = multiprocessing.get_context("spawn").Semaphore()
    Path(file).write_text(held._semlock.name, encoding="utf-8")
    one_report_then_sleep(job, report, seconds)


def sleep_then_echo(job, report, seconds):
    one_report_then_sleep(job, report, seconds)
    return job.inputs


def note(job, report, text):
    report(Progress("Segmenting", 0, 1, note=text))


def hold_the_gil(job, report, seconds):
    report(Progress("Segmenting"))
    time.sleep(0.3)  # so that the report has gone out
    ctypes.PyDLL(None).sleep(seconds)


def swallow_cancel(job, report):
    while True:
        with contextlib.suppress(JobCancelled):
            report(Progress("Segmenting"))
        time.sleep(0.01)


def spawn_children(job, report, pids, cooperative):
    code = "import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']);"
    code += "print(c.pid, flush=True); time.sleep(300)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    grandchild = int(child.stdout.readline())
    Path(pids).write_text(f"{child.pid} {grandchild}")
    while True:
        if cooperative:
            report(Progress("Segmenting"))
        time.sleep(0.02)


def segfault(job, report):
    report(Progress("Segmenting"))
    ctypes.string_at(0)


def leave(job, report, code):
    os._exit(code)


def kill_itself(job, report):
    report(Progress("Segmenting"))
    os.kill(os.getpid(), signal.SIGKILL)


def python_exit(job, report):
    sys.exit(3)


def ask_for_too_much(job, report):
    np.ones(1 << 58, dtype=np.uint8)


def exhaust_memory(job, report):
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), hard))
    try:
        kept = []
        while True:
            kept.append(np.ones(16 << 20, dtype=np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def leave_little_memory(job, report, spare):
    """From now on, this process gets `spare` bytes more than it has."""
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, resource.getrlimit(resource.RLIMIT_AS)[1]))


def fail(job, report):
    raise ValueError("the widget is upside down")


def fail_typed(job, report):
    raise GeometryError("The image is bent.", "Its axes cross.", "Straighten it.", details="shear 0.3")


def import_what_is_missing(job, report):
    import a_package_nobody_has  # noqa: F401


def chat(job, report, megabytes):
    for _ in range(megabytes * 16):
        os.write(2, b"noise " * 11000)
        time.sleep(0.01)


def make_something_unpicklable(job, report):
    return [Table({"a": (lambda: 0,)})]


def die_while_handing_over(job, report):
    return [*job.inputs, Table({"a": (KillsWhilePickling(),)})]


def tell_pid(job, report):
    return [Table({"pid": (os.getpid(),), "torch": ("torch" in sys.modules,), "cwd": (str(Path.cwd()),)})]


def describe_input(job, report):
    array = job.inputs[0].array
    owner = array
    while isinstance(getattr(owner, "base", None), np.ndarray):
        owner = owner.base
    return [
        Table({"owns": (array.flags.owndata,), "aligned": (array.ctypes.data % 64 == 0,), "sum": (int(array.sum()),)})
    ]


ACTIONS = {
    name: thing
    for name, thing in list(globals().items())
    if callable(thing) and getattr(thing, "__module__", "") == __name__
}
