"""`lunaroute compress`: do by hand, and now, what the server does with sessions that are over."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from lunaroute.archive.compress import CompressReport, compress_all

from .asking import home_option, one_line_errors


@click.command("compress")
@home_option
def compress_command(home: Path) -> None:
    """Compress the files of sessions that are over.

    A running server does it by itself, as soon as a session ends or when `storage.compress_after` says. Every command
    reads both forms; so does `zstdcat`. It may be interrupted at any time.
    """
    sessions_dir = home / "sessions"
    if not sessions_dir.is_dir():
        click.echo("Nothing recorded yet, so there is nothing to compress.")
        return
    with one_line_errors(), Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("compressing sessions", total=None)

        def show(done: int, total: int) -> bool:
            progress.update(task, completed=done, total=total)
            return True

        report = compress_all(sessions_dir, on_progress=show)
    _print(report)


def _print(report: CompressReport) -> None:
    for problem in report.left_alone:
        click.echo(f"left alone: {problem}", err=True)
    live = f"; {report.live_count} not over yet" if report.live_count else ""
    size = ""
    if report.compressed_count:
        saved = 1 - report.packed_bytes / report.plain_bytes
        size = f", {report.plain_bytes:,} → {report.packed_bytes:,} bytes ({saved:.1%} smaller)"
    click.echo(f"{report.compressed_count} sessions compressed{size}{live}.")
