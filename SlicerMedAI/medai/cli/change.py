"""``medai change``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from medai.cli import options
from medai.cli.outcome import EXIT_CODES, errors, guarded, output
from medai.cli.progress import Listener
from medai.cli.regions import parse_regions
from medai.files.folders import make_folder
from medai.result import Item, Result, Table

_HELP = """Tell what has changed between two visits of a patient.

BEFORE and AFTER are image files or DICOM folders; or name one folder that holds a sub-folder or file for every visit,
of which the last two are compared. The images are brought together first. The output folder gets the changed lesions
(lesion_change.seg.nrrd), the difference in standard deviations of unchanged tissue (difference.nii.gz), a table of the
lesions (lesion_changes.csv) and one of how far the patient had moved (motion.csv). With --model, the structures that it
finds at both visits are compared in place of lesions.
"""


def command(
    inputs: Annotated[list[Path], typer.Argument(metavar="BEFORE AFTER", help="Two images, or one folder of visits.")],
    *,
    target: options.Folder,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help="Name or bundle folder of a model that segments both visits. Repeat: several vote."
        ),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]X,Y,Z,SX,SY,SZ", help="Where the model looks, RAS mm; 'auto' lets it find its place."
        ),
    ] = None,
    lesions: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="BEFORE AFTER", help="Masks of the lesions; else lesions are where the images differ."),
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Where to look, on AFTER; the brain by default.")] = None,
    date: Annotated[
        list[str] | None, typer.Option(metavar="YYYY-MM-DD", help="Of a visit, when nothing tells; once per visit.")
    ] = None,
    series: Annotated[str | None, typer.Option(help="Description of the series that is meant.")] = None,
    appearance: Annotated[
        str, typer.Option(help="bright (lesions in FLAIR or T2), or any for every change of the tissue.")
    ] = "bright",
    threshold: Annotated[
        float | None, typer.Option(help="Largest change of a lesion, SD of unchanged tissue, above 0; 7 by default.")
    ] = None,
    smallest: Annotated[
        float | None, typer.Option(metavar="MM3", help="Smaller is no lesion, above 0; 20 by default.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Share by which what a mask or model marks may differ unchanged, above 0; 0.2 by default."),
    ] = None,
    align: Annotated[bool, typer.Option("--align/--no-align", help="Bring the images together first.")] = True,
    device: options.Device = "auto",
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Replaced by `_HELP`: exit codes are part of it."""
    with guarded(debug=debug):
        if len(inputs) > 2:
            raise typer.BadParameter(f"{len(inputs)} inputs cannot be compared; name two, or one folder of visits.")
        from medai.api import change
        from medai.files import check_target

        with Listener(errors(), quiet=quiet) as listener:
            listener.begin("change")
            make_folder(target)
            check_target(target / "lesion_change.seg.nrrd")
            chosen: dict[str, Any] = {
                "model": model,
                "region": parse_regions(region or []),
                "device": device,
                "lesions": lesions,
                "mask": mask,
                "dates": date,
                "series": series,
                "appearance": appearance,
                "threshold": threshold,
                "smallest_mm3": smallest,
                "tolerance": tolerance,
                "align": align,
            }
            result = change(*inputs, on_progress=listener, **chosen)
        files = _write(result, target, keep=inputs)
        if as_json:
            record = {"output": [str(file) for file in files], "lesions": _rows(result.table)}
            provenance, notes = result.provenance.attributes(), list(result.provenance.notes)
            output().print(json.dumps({**record, "provenance": provenance, "notes": notes}))
        elif not quiet:
            _print(result, target, listener.unread(result.provenance.notes))


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"


def _write(result: Result, folder: Path, *, keep: list[Path]) -> tuple[Path, ...]:
    from medai.files import write

    lesions, motion = (item for item in result.items if isinstance(item, Table))
    places: dict[str, Item] = {
        "lesion_change.seg.nrrd": result.labelmap,
        "difference.nii.gz": result.volume,
        "lesion_changes.csv": lesions,
        "motion.csv": motion,
    }
    return tuple(
        file
        for name, item in places.items()
        for file in write(item, folder / name, provenance=result.provenance, keep=[p for p in keep if p.is_file()])
    )


def _print(result: Result, folder: Path, notes: Iterable[str]) -> None:
    console = output()
    console.print(f"{folder}:")
    tables = [item for item in result.items if isinstance(item, Table)]
    first = _rows(tables[-1])[0]
    console.print(
        f"  moved by {first['Mean displacement (mm)']:.1f} mm, turned by {first['Rotation (deg)']:.1f} degrees"
    )
    rows = _rows(result.table)
    for row in rows:
        place = ", ".join(f"{axis} {row[f'{axis} (mm)']:.0f}" for axis in "RAS")
        what = f"{row['Structure']} {row['Change']}" if "Structure" in row else f"{row['Change']:9}"
        console.print(f"  {what} {row['Volume change (mL)']:+8.3f} mL at {place} mm")
    if not rows:
        console.print("  nothing has changed" if "Structure" in result.table.columns else "  no lesion has changed")
    for note in notes:
        console.print(f"  Note: {note}")


def _rows(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*table.columns.values(), strict=True)]
