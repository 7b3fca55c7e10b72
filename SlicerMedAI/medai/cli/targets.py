"""Which input becomes which file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from medai.files import formats
from medai.files.writing import numbered


@dataclass(frozen=True)
class Task:
    """One job of the command.

    Parameters
    ----------
    inputs : tuple of Path
        The image, or with ``--together`` the images of one patient.
    name : str
        What messages call it.
    target : Path
        File to write.
    """

    inputs: tuple[Path, ...]
    name: str
    target: Path

    @property
    def done(self) -> bool:
        """Whether its file, or the first of a series' numbered files, exists already."""
        return self.target.exists() or numbered(self.target, 0).exists()


def plan(
    inputs: Sequence[Path],
    output: str,
    ending: str,
    *,
    together: bool = False,
    writable: tuple[str, ...] = formats.WRITABLE_IMAGE,
) -> list[Task]:
    """One task per input, or one for all of them together.

    `output` is a folder when it exists as one, ends in a slash or has no known ending, or when there are several
    tasks; the files in it are called after the inputs. The folder is not made yet. Files end in one of `writable`.

    Raises
    ------
    typer.BadParameter
        When several results would go into one file, or a result over its own input.
    """
    groups = [tuple(inputs)] if together else [(path,) for path in inputs]
    target = Path(output)
    a_folder = output.endswith(("/", "\\")) or target.is_dir()
    a_file = not a_folder and formats.suffix(target) in writable
    if a_file and len(groups) > 1:
        raise typer.BadParameter(f"{len(groups)} results cannot all be written to the file '{output}'; name a folder.")
    if a_file:
        names, targets = [_name(groups[0][0])], [target]
    else:
        if target.suffix and not a_folder:
            known = formats.spelled(writable)
            raise typer.BadParameter(f"'{output}' is no folder, and a file must end in {known}.")
        names = _distinct([group[0] for group in groups])
        targets = [target / f"{name}.{ending}" for name in names]
    for group, file in zip(groups, targets, strict=True):
        if any(path.exists() and file.exists() and path.samefile(file) for path in group):
            raise typer.BadParameter(f"'{file}' is the input itself; choose another output.")
    return [Task(group, name, file) for group, name, file in zip(groups, names, targets, strict=True)]


def _name(path: Path) -> str:
    return (path.resolve().name or "image") if path.is_dir() else formats.stem(path)


def _distinct(paths: Sequence[Path]) -> list[str]:
    """Names of inputs; those that occur twice get their ending or their folder's name too, and if need be a number."""
    names = [_name(path) for path in paths]
    twice = {name for name, count in Counter(names).items() if count > 1}
    endings_tell = len({path.name for path in paths}) == len(paths)
    names = [
        (path.name if endings_tell else f"{path.resolve().parent.name}_{name}") if name in twice else name
        for path, name in zip(paths, names, strict=True)
    ]
    taken: set[str] = set()
    distinct = []
    for name in names:
        free, number = name, 2
        while free.lower() in taken:  # file systems of Windows and macOS do not tell case apart
            free, number = f"{name}_{number}", number + 1
        taken.add(free.lower())
        distinct.append(free)
    return distinct
