"""`lunaroute archive push|verify|pull|list`: sessions in a directory or an object store, proven there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lunaroute.archive.compress import compress_all
from lunaroute.archive.push import pull, push, verify_archive
from lunaroute.archive.restored import index_restored
from lunaroute.archive.store import Archived, ArchiveStore
from lunaroute.config_file import load_config
from lunaroute.query.render import plain, usd

from .answering import print_items
from .asking import Failed, WrongInput, database, home_option, one_line_errors, output_options, sessions_dir

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group("archive")
def archive_group() -> None:
    """Keep sessions in a directory or an object store.

    TO and FROM are a directory, or s3://bucket/prefix, gs://…, az://…; by default `archive.url` of the settings.
    Credentials are those of the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL …).
    """


def _place_option(name: str) -> Callable[[_Command], _Command]:
    return click.option(name, "url", metavar="URL", help="A directory or a URL.  [default: archive.url]")


@archive_group.command("push")
@click.option("--check", "is_checked", is_flag=True, help="Read those that are there too; push damaged ones again.")
@_place_option("--to")
@home_option
def push_command(*, is_checked: bool, url: str | None, home: Path) -> None:
    """Push sessions that are over and not there yet, and read each back."""
    with one_line_errors(), _progress("pushing sessions") as show:
        store = _store(url, home)
        compress_all(sessions_dir(home))
        report = push(store, sessions_dir(home), is_checked=is_checked, on_progress=show)
    _say_problems("not pushed", report.left_alone)
    plain_count = f"; {report.plain_count} not over yet" if report.plain_count else ""
    click.echo(
        f"{report.pushed_count} sessions pushed and read back, {report.pushed_bytes:,} bytes;"
        f" {report.known_count} were there{plain_count}."
    )
    _end(report.left_alone)


@archive_group.command("verify")
@_place_option("--from")
@home_option
def verify_command(*, url: str | None, home: Path) -> None:
    """Read every session in the archive and compare it with its manifest. Exit code 1 where one is not right."""
    with one_line_errors(), _progress("reading sessions") as show:
        report = verify_archive(_store(url, home), on_progress=show)
    _say_problems("damaged", report.problems)
    click.echo(f"{report.verified_count} sessions are as they were pushed, {report.verified_bytes:,} bytes.")
    _end(report.problems)


@archive_group.command("pull")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_place_option("--from")
@home_option
def pull_command(*, ids: tuple[str, ...], url: str | None, home: Path) -> None:
    """Fetch sessions that are not here, or lost their bodies here: all, or those whose ids begin like this."""
    with one_line_errors(), _progress("fetching sessions") as show:
        store = _store(url, home)
        only = _chosen(store, ids) if ids else None
        report = pull(store, sessions_dir(home), only=only, on_progress=show)
        index_restored(sessions_dir(home), database(home), report.session_ids)
    _say_problems("not fetched", report.problems)
    click.echo(
        f"{len(report.session_ids)} sessions fetched, {report.pulled_bytes:,} bytes; {report.present_count} are here."
    )
    _end(report.problems)


@archive_group.command("list")
@click.argument("words", metavar="[WORD]...", nargs=-1)
@_place_option("--from")
@output_options
@home_option
def list_command(*, words: tuple[str, ...], url: str | None, output: str | None, home: Path) -> None:
    """List what is in the archive, by its manifests; with WORDs, entries that have all of them somewhere."""
    with one_line_errors():
        entries = [entry for entry in _store(url, home).entries().values() if _has(entry, words)]
    print_items(output, Archived, entries, _table(entries))


def _store(url: str | None, home: Path) -> ArchiveStore:
    found = url or load_config({"home": home}, os.environ).archive.url
    if not found:
        raise WrongInput("say where the archive is: --to or --from, or archive.url in the settings")
    return ArchiveStore(found)


def _chosen(store: ArchiveStore, ids: tuple[str, ...]) -> set[str]:
    known = list(store.entries())
    found = {one: {session_id for session_id in known if session_id.startswith(one.lower())} for one in ids}
    for one, session_ids in found.items():
        if len(session_ids) != 1:
            raise WrongInput(f"{one!r} is the beginning of {len(session_ids)} ids in the archive")
    return set().union(*found.values())


def _has(entry: Archived, words: tuple[str, ...]) -> bool:
    said = " ".join(str(getattr(entry, name)) for name in entry.__struct_fields__).lower()
    return all(word.lower() in said for word in words)


def _table(entries: list[Archived]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("session", no_wrap=True, min_width=36)
    for heading in ("started", "model"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for heading in ("req", "cost", "bytes"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("first words", no_wrap=True, overflow="ellipsis")
    for one in entries:
        table.add_row(
            one.session_id,
            (one.started_at or "")[:16],
            plain(one.model_used or ""),
            "" if one.request_count is None else f"{one.request_count:,}",
            usd(one.total_cost_usd),
            f"{one.object_bytes:,}",
            plain(one.first_text or "")[:60],
        )
    return table


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], bool]]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)

        def show(done: int, total: int) -> bool:
            progress.update(task, completed=done, total=total)
            return True

        yield show


def _say_problems(what: str, problems: list[str]) -> None:
    for problem in problems:
        click.echo(f"{what}: {problem}", err=True)


def _end(problems: list[str]) -> None:
    if problems:
        raise Failed(f"{len(problems)} of the sessions are not right")
