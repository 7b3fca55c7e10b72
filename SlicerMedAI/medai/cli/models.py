"""``medai models``: what is there, what it is for, and how it comes in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from medai.cli import compressing, options
from medai.cli.outcome import EXIT_CODES, ExitCode, errors, guarded, hushed, output
from medai.cli.progress import Listener
from medai.engine.backend_names import AUTO
from medai.errors import BundleError, InputError

if TYPE_CHECKING:
    from medai.bundles.description import Description

app = typer.Typer(help="List, inspect, check, import, compress and export models.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """List the models that are installed."""
    with guarded(debug=debug):
        from medai.bundles import library

        found = library.models()
        if as_json:
            output().print(json.dumps([_record(model) for model in found], ensure_ascii=False))
            return
        if not found:
            errors().print("No models were found. Import one with 'medai models import'.")
            return
        console = output()
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("Name", no_wrap=True)  # whole, to be copied
        for title in ("Task", "Image", "Finds", "Licence"):
            table.add_column(title, overflow="fold")
        for model in found:
            segments = ", ".join(segment.name for segment in model.segments[:4])
            segments += f" and {len(model.segments) - 4} more" if len(model.segments) > 4 else ""
            row = (model.name, model.task, model.modality, segments, model.licence)
            table.add_row(*(Text(cell) for cell in row), style="dim" if model.problem else "")
        console.print(table, soft_wrap=False)
        for model in found:
            if model.problem:
                console.print(f"{model.name} cannot be used: {model.problem}")


@app.command()
def show(name: options.Name, as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Show what a model is for, what it needs and gives, and under which terms."""
    with guarded(debug=debug):
        from medai.bundles.library import described, find
        from medai.bundles.trust import concerns, is_trusted

        model = described(find(name))
        try:
            reasons = concerns(model.root)
        except BundleError:  # it cannot even be read, which is its problem already
            reasons = ()
        if as_json:
            output().print(json.dumps({**_record(model), "concerns": reasons}, ensure_ascii=False))
            return
        console = output()
        console.print(Text(model.title or model.name, style="bold").append(f" {model.version}", style="default"))
        for title, text in _facts(model).items():
            if text:
                console.print(Text(f"{title + ':':14}", style="bold").append(text, style="default"))
        if reasons:
            trusted = "you have trusted it" if is_trusted(model.root) else "nobody has trusted it yet"
            console.print(Text(f"What it does on its own ({trusted}):", style="bold"))
            for reason in reasons:
                console.print(f"  - {reason}")


@app.command()
def verify(
    name: options.Name,
    network: Annotated[bool, typer.Option(help="Run the network once on an empty image.")] = True,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Check a model's files, hashes, configuration, weights and network."""
    with guarded(debug=debug):
        from medai.bundles.library import find
        from medai.bundles.verify import verify as check

        with hushed():
            report = check(find(name), run_network=network)
        if as_json:
            checks = [vars(item) for item in report.checks]
            output().print(json.dumps({"name": name, "ok": report.ok, "checks": checks}, ensure_ascii=False))
        else:
            output().print(str(report))
        if not report.ok:
            raise typer.Exit(ExitCode.MODEL)


@app.command("import")
def import_model(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="Folder or zip file of a MONAI bundle.")],
    name: Annotated[str | None, typer.Option(help="Name to keep it under; the folder's or file's by default.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Trust the code in its configuration. Only for people whom you trust.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a model of that name.")] = False,
    debug: options.Debug = False,
) -> None:
    """Copy a model into your own collection after checking it."""
    with guarded(debug=debug):
        from medai.bundles.library import import_bundle

        model = import_bundle(source, name, trust=trust, replace=replace)
        output().print(f"{model.name} is imported: {model.root}")
        if model.problem:
            errors().print(f"It cannot be used yet: {model.problem}")
            raise typer.Exit(ExitCode.MODEL)


@app.command()
def prepare(
    name: options.Name,
    *,
    backend: options.Backend = AUTO,
    device: options.Device = "auto",
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Find out now which backend computes a model fastest on this computer, for all later jobs. Takes a minute."""
    with guarded(debug=debug):
        from medai.api import prepare_model

        with Listener(errors(), quiet=quiet or as_json) as listener:
            listener.begin(name, "Starting")
            result = prepare_model(name, backend=backend, device=device, on_progress=listener)
        forms, (*_, reason) = result.table, result.provenance.notes
        rows = [dict(zip(forms.columns, row, strict=True)) for row in zip(*forms.columns.values(), strict=True)]
        if as_json:
            output().print(json.dumps({"name": name, "forms": rows, "reason": reason}, ensure_ascii=False))
        elif not quiet:
            output().print(f"{name} will be computed by {reason}.")
            for row in rows:
                output().print(
                    f"  {row['Form']:24} {row['Times faster than PyTorch']:6.2f} times as fast as PyTorch, "
                    f"agrees with it on {row['Agreement (%)']:.6g} %"
                )


@app.command()
def trust(name: options.Name, debug: options.Debug = False) -> None:
    """Trust a model that runs code of its own, exactly as its files are now."""
    with guarded(debug=debug):
        from medai.bundles.library import find
        from medai.bundles.trust import trust as remember

        output().print(f"{name} is trusted as long as its files stay as they are (SHA-256 {remember(find(name))}).")


@app.command()
def pin(
    name: options.Name,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the list of hashes that it has.")] = False,
    debug: options.Debug = False,
) -> None:
    """Write down the hashes of a model of your own (SHA256SUMS), so that later changes are noticed."""
    with guarded(debug=debug):
        from medai.bundles.integrity import is_pinned, write_pins
        from medai.bundles.library import find

        root = find(name)
        if is_pinned(root) and not replace:
            raise InputError(
                f"The model '{root.name}' has a list of hashes already.",
                "It says which files were published.",
                "If the changes are yours, replace the list with --replace.",
            )
        output().print(f"{name} is pinned: {write_pins(root)}")


app.command("compress")(compressing.compress)
app.command("export")(compressing.export)
app.info.epilog = EXIT_CODES


def _facts(model: Description) -> dict[str, str]:
    return {
        "Name": model.name,
        "Task": ", ".join(model.tasks) or model.task,
        "About": model.text,
        "Intended use": model.intended_use,
        "Image": ", ".join(filter(None, (model.modality, *model.channel_names))),
        "Finds": ", ".join(segment.name for segment in model.segments),
        "Makes": ", ".join(model.conditions),
        "Region": model.region_hint,
        "Caution": model.caution,
        "Authors": model.authors,
        "Cite": model.citation,
        "Licence": model.licence,
        "Weights": f"{model.size_bytes / 1e6:.1f} MB",
        "Folder": str(model.root),
        "Problem": model.problem,
    }


def _record(model: Description) -> dict[str, object]:
    return {
        "name": model.name,
        "title": model.title,
        "version": model.version,
        "task": model.task,
        "tasks": model.tasks,
        "description": model.text,
        "modality": model.modality,
        "channels": model.channels,
        "segments": [segment.name for segment in model.segments],
        "conditions": list(model.conditions),
        "licence": model.licence,
        "citation": model.citation,
        "size_bytes": model.size_bytes,
        "folder": str(model.root),
        "problem": model.problem,
    }
