"""``python -m benchmarks``: print the table."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.engine_bench import cold_start, whole_jobs
from benchmarks.panel_bench import open_panels
from benchmarks.scene_bench import hundred_segments
from benchmarks.segment_bench import against_bundle_run, over_forward_passes
from benchmarks.streaming_bench import peak_memory
from benchmarks.timing import Row


def main() -> None:
    console = Console()
    table = Table("Measured", "Value", "Goal", "")
    for measure in (
        hundred_segments,
        open_panels,
        over_forward_passes,
        against_bundle_run,
        cold_start,
        whole_jobs,
        peak_memory,
    ):
        with console.status(measure.__doc__ or ""):
            measured = measure()
            for row in [measured] if isinstance(measured, Row) else measured:
                table.add_row(row.what, row.value, row.goal, "met" if row.met else "not met")
    console.print(table)


if __name__ == "__main__":
    main()
