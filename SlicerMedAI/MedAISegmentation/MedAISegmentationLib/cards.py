"""What the panel tells about a model, a running job and a result. HTML in the small dialect that QLabel understands.

Texts of a bundle are somebody else's, so all of them are escaped.
"""

from __future__ import annotations

from html import escape

from slicer.i18n import tr as _


def modelCard(description) -> str:
    """What a model is for and what not, its modality, structures, licence and citation."""
    names = [segment.name for segment in description.labels]
    shown = ", ".join(names[:8]) + (_(" and {count} more").format(count=len(names) - 8) if len(names) > 8 else "")
    rows = [
        (_("Use"), description.intended_use),
        (_("Images"), description.modality),
        (_("Structures"), shown),
        (_("Version"), description.version),
        (_("Licence"), description.licence),
        (_("Cite"), description.citation),
    ]
    purpose = f"<p>{escape(description.description)}</p>" if description.description else ""
    return purpose + table(rows)


def table(rows: list[tuple[str, str]]) -> str:
    """Two columns; rows without a value are left out."""
    cells = (
        f"<tr><td style='padding-right:8px'><b>{escape(name)}</b></td><td>{escape(value)}</td></tr>"
        for name, value in rows
        if value
    )
    return f"<table>{''.join(cells)}</table>"


def warningCard(warnings: tuple[str, ...], problem: str = "") -> str:
    """Why the image cannot be segmented (`problem`), or may not suit the model; empty when all is well."""
    if not warnings and not problem:
        return ""
    unusual = _("The image does not look like what this model expects.")
    title = _("This cannot be segmented yet.") if problem else unusual
    lines = "".join(f"<br>{escape(text)}" for text in ([problem] if problem else warnings))
    return box("#b35900", f"<b>&#9888; {escape(title)}</b>{lines}")


def box(color: str, html: str) -> str:
    """Text beside a coloured bar, readable on Slicer's light and dark themes alike."""
    cells = f"<td width='4' bgcolor='{color}'></td><td style='padding-left:8px'>{html}</td>"
    return f"<table width='100%'><tr>{cells}</tr></table>"


MOST_FRAMES = 6
"""Of a longer sequence the panel shows the first ones; more columns would not fit into it."""


def resultCard(
    volumes: list[tuple[str, dict[str, float]]], provenance, frameTitle: str = "", uncertainty: str = ""
) -> str:
    """Volumes in mL, how the job went (what computed it and why that, warnings) and how to cite it.

    Parameters
    ----------
    volumes : list of (str, dict)
        Name of the frame (empty for a single image), then mL by structure.
    provenance : medai.Provenance
        Of the result.
    frameTitle : str
        What the names of the frames are, with their unit.
    uncertainty : str
        Name of the volume that shows where the votes disagree, where there is one.
    """
    left = _("Volume (mL) by {frame}").format(frame=frameTitle) if len(volumes) > 1 else _("Structure")
    count, volumes = len(volumes), volumes[:MOST_FRAMES]
    names = list(dict.fromkeys(name for _frame, frame in volumes for name in frame))
    right = "style='padding-left:16px' align='right'"
    if len(volumes) > 1:
        head = "".join(f"<th {right}>{escape(frame)}</th>" for frame, _volumes in volumes)
    else:
        head = f"<th {right}>{escape(_('Volume (mL)'))}</th>"
    rows = [f"<tr><th align='left'>{escape(left)}</th>{head}</tr>"]
    for name in names:
        cells = "".join(f"<td {right}>{frame.get(name, 0.0):.2f}</td>" for _frame, frame in volumes)
        rows.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    notes = [note for note in provenance.notes if note != provenance.device_reason]
    if count > len(volumes):
        notes.insert(0, _("All {count} frames are in the table of volumes (module Tables).").format(count=count))
    told = "<br>".join(escape(note) for note in notes)
    model = f"{provenance.bundle} {provenance.version}".strip()
    details = table([
        (_("Model"), model),
        (_("Ran on"), deviceText(provenance)),
        (_("Took"), duration(provenance.duration_s)),
        (_("Uncertainty"), uncertainty and _("In the volume '{name}': 0 where all agree").format(name=uncertainty)),
        (_("Licence"), provenance.licence),
        (_("Cite"), provenance.citation),
    ])  # fmt: skip
    return f"<table>{''.join(rows)}</table><p>{told}</p><p></p>{details}"


def volumesOf(result) -> tuple:
    """Arguments of `resultCard`: volumes in mL by frame and structure, provenance, what the frames are called."""
    # Read from the tables: counting voxels again would hold up the window.
    if not result.frames:
        names, volumes = (result.table.columns[title] for title in ("Segment", "Volume (mL)"))
        return [("", dict(zip(names, volumes, strict=True)))], result.provenance
    (title, index), *columns = result.table.columns.items()
    volumes = [
        (f"{value:g}", {name.removesuffix(" (mL)"): column[frame] for name, column in columns})
        for frame, value in enumerate(index)
    ]
    return volumes, result.provenance, title


def deviceText(provenance) -> str:
    """Where the job ran and why there; the reason begins with the kind of device."""
    return provenance.device_reason or provenance.device


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return _("{seconds} s").format(seconds=max(1, round(seconds)))
    return _("{minutes} min").format(minutes=round(seconds / 60))


def stageText(progress) -> str:
    """What is being done and how long it will still take."""
    if progress.eta_s is None:
        return escape(progress.stage)
    return _("{stage} - about {time} left").format(stage=escape(progress.stage), time=duration(progress.eta_s))


def caption(text: str) -> str:
    """Somebody else's text on a button: an ampersand is one, and no mark of a keyboard shortcut."""
    return text.replace("&", "&&")


def toolTip(text: str) -> str:
    """Somebody else's text as a tool tip, which Qt would take for HTML where it looks like that."""
    return f"<qt>{escape(text)}</qt>"


def errorText(error) -> str:
    """What happened, why, and what to do now, one paragraph each."""
    return "\n\n".join(sentence for sentence in (error.what, error.why, error.remedy) if sentence)
