"""`lunaroute prune`: delete what the storage settings say, now, or show what that would be; `sessions pin|unpin`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lunaroute.archive.pins import change_pins
from lunaroute.archive.retention import Due, PruneReport, prune
from lunaroute.config_file import load_config
from lunaroute.encryption.keys import look_for_keys
from lunaroute.errors import NoSuchSession
from lunaroute.query.sessions import find_session

from .answering import print_json
from .asking import home_option, one_line_errors, opened_index, sessions_dir, warn_of_stores


@click.command("prune")
@click.option("--dry-run", "is_dry", is_flag=True, help="Show what is due, and delete nothing.")
@click.option("--json", "is_json", is_flag=True, help="One JSON document.")
@click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="Settings file.")
@home_option
def prune_command(*, is_dry: bool, is_json: bool, config: Path | None, home: Path) -> None:
    """Delete what is due by the settings of [storage].

    A running server does it every hour. Sessions that are not over, pinned ones, and those with a tag of
    `storage.hold_tags` are left alone.
    """
    settings = load_config({"home": home, "config": config}, os.environ)
    look_for_keys(lambda: settings.encryption.key_file)
    with one_line_errors(), Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("deleting", total=None)

        def show(done: int, total: int) -> bool:
            progress.update(task, completed=done, total=total)
            return True

        report = prune(settings, datetime.now(UTC), is_dry=is_dry, on_progress=show)
    warn_of_stores(settings)
    if is_json:
        print_json(report)
    else:
        _print(report, is_dry=is_dry)


def _print(report: PruneReport, *, is_dry: bool) -> None:
    for problem in report.left_alone:
        click.echo(f"left alone: {problem}", err=True)
    held = f"; {report.held_count} held by a pin or a tag" if report.held_count else ""
    if is_dry:
        if report.due:
            Console().print(_table(report.due))
        total = sum(one.file_bytes for one in report.due)
        click.echo(f"{len(report.due)} sessions are due, {total:,} bytes of files{held}.")
        return
    sums = f", {report.sums_deleted} sums" if report.sums_deleted else ""
    click.echo(
        f"deleted: bodies of {report.bodies_deleted} sessions, {report.sessions_deleted} sessions{sums};"
        f" {report.freed_bytes:,} bytes of files freed{held}."
    )


def _table(due: list[Due]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("session", "ended", "what", "because of"):
        table.add_column(heading, no_wrap=True)
    table.add_column("bytes", justify="right")
    for one in due:
        table.add_row(one.session_id, one.completed_at[:16], one.what, one.why, f"{one.file_bytes:,}")
    return table


@click.command("pin")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@home_option
def pin_command(ids: tuple[str, ...], home: Path) -> None:
    """Keep sessions whole, whatever the storage settings say."""
    with one_line_errors():
        change_pins(sessions_dir(home), add=_found(ids, home))


@click.command("unpin")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@home_option
def unpin_command(ids: tuple[str, ...], home: Path) -> None:
    """Let the storage settings decide again."""
    with one_line_errors():
        change_pins(sessions_dir(home), remove=_found(ids, home))


def _found(ids: tuple[str, ...], home: Path) -> list[str]:
    with opened_index(home) as connection:
        if connection is None:
            raise NoSuchSession("nothing was recorded yet")
        return [find_session(connection, one).session_id for one in ids]
