"""How a command ends: exit codes, and errors as people and programs read them."""

from __future__ import annotations

import logging
import os
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from medai.errors import BundleError, InputError, JobCancelled, MedAIError, WriteError, printable


class ExitCode(IntEnum):
    """What the shell gets."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INPUT = 3
    MODEL = 4
    OUTPUT = 5
    CANCELLED = 130


EXIT_CODES = (
    "Exit codes: 0 done; 1 a job failed, or inputs failed for different reasons; 2 wrong usage; 3 an input cannot be "
    "used; 4 the model cannot be used; 5 the output cannot be written; 130 cancelled (Ctrl-C, SIGTERM)."
)


def exit_code(error: BaseException) -> ExitCode:
    """The exit code that tells what kind of error it was."""
    kinds: tuple[tuple[type[BaseException], ExitCode], ...] = (
        (JobCancelled, ExitCode.CANCELLED),
        (KeyboardInterrupt, ExitCode.CANCELLED),
        (InputError, ExitCode.INPUT),
        (BundleError, ExitCode.MODEL),
        (WriteError, ExitCode.OUTPUT),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), ExitCode.FAILED)


def common_code(codes: Iterable[ExitCode]) -> ExitCode:
    """One code for several inputs: the one that all failures share, else 1."""
    failures = set(codes) - {ExitCode.OK}
    if not failures:
        return ExitCode.OK
    return failures.pop() if len(failures) == 1 else ExitCode.FAILED


def explained(error: BaseException) -> MedAIError:
    """Any error as one that a person can read; what nobody foresaw says so."""
    if isinstance(error, MedAIError):
        return error
    if isinstance(error, OSError) and error.filename:
        return MedAIError(
            f"'{Path(os.fsdecode(error.filename)).name}' cannot be used.",
            f"The computer reports: {error.strerror}.",
            "Check the name, the disk, and that you may read and write there.",
            details="".join(traceback.format_exception(error)),
        )
    return MedAIError(
        "Something unexpected went wrong.",
        f"{type(error).__name__}: {error}",
        "Run the command again with --debug and send what it prints to the developers.",
        details="".join(traceback.format_exception(error)),
    )


def as_record(error: MedAIError) -> dict[str, object]:
    """An error for programs."""
    return {
        "kind": type(error).__name__,
        "what": error.what,
        "why": error.why,
        "remedy": error.remedy,
        "exit_code": int(exit_code(error)),
    }


def show(error: MedAIError, console: Console, *, about: str = "", debug: bool = False) -> None:
    """Print an error for people."""
    heading = Text("Error: ", style="bold red").append(f"{about}: " if about else "", style="bold")
    console.print(heading.append(error.what, style="default"), soft_wrap=True)
    for sentence in (error.why, error.remedy):
        if sentence:
            console.print(Text(f"  {sentence}"), soft_wrap=True)
    if debug:
        cause = "".join(traceback.format_exception(error))
        console.print(Text("\n".join(filter(None, (cause, error.details)))), soft_wrap=True)


@contextmanager
def guarded(*, debug: bool) -> Iterator[None]:
    """Turn whatever leaves a command into a message and an exit code."""
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise  # typer's own way to end a command
    except (KeyboardInterrupt, JobCancelled):
        errors().print("Cancelled.")
        raise typer.Exit(ExitCode.CANCELLED) from None
    except BrokenPipeError:
        # The reader has gone (`medai models list | head`); the interpreter must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise typer.Exit(ExitCode.FAILED) from None
    except MedAIError as error:
        show(error, errors(), debug=debug)
        raise typer.Exit(exit_code(error)) from None
    except Exception as error:
        show(explained(error), errors(), debug=debug)
        raise typer.Exit(ExitCode.FAILED) from None


@contextmanager
def hushed() -> Iterator[None]:
    """Keep what libraries warn of while they are imported (plugins that are not there) out of a person's sight."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _Plain(Console):
    """A terminal that obeys nothing that stands in the names of files and patients."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(printable(each) if isinstance(each, str) else each for each in objects), **options)


def errors() -> Console:
    """Standard error, for messages and progress."""
    return _Plain(stderr=True, highlight=False, markup=False)


def output() -> Console:
    """Standard output, for results."""
    return _Plain(highlight=False, markup=False, soft_wrap=True)
