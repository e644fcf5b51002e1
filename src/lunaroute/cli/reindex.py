"""`lunaroute reindex`: make `sessions.db` anew from the session files."""

from __future__ import annotations

from pathlib import Path

import click

from lunaroute.sinks.reindex import ReindexReport, reindex

from .asking import home_option, one_line_errors
from .waiting import shown_progress


@click.command("reindex")
@home_option
def reindex_command(home: Path) -> None:
    """Make sessions.db anew from the session files.

    The files are the truth; the database is an index of them. The old one stays in use until the new one is ready.
    """
    sessions_dir = home / "sessions"
    if not sessions_dir.is_dir():
        click.echo("Nothing recorded yet, so there is nothing to index.")
        return
    with one_line_errors(), shown_progress("reading sessions") as on_progress:
        report = reindex(sessions_dir, sessions_dir / "sessions.db", on_progress)
    _print(report)


def _print(report: ReindexReport) -> None:
    for bad in report.bad_lines:
        click.echo(f"passed over {bad}", err=True)
    for rejected in report.rejected:
        click.echo(f"not indexed: {rejected}", err=True)
    left_out = len(report.bad_lines) + len(report.rejected)
    click.echo(
        f"{report.event_count} events of {report.session_count} sessions indexed"
        + (f", {left_out} left out" if left_out else "")
        + "."
    )
