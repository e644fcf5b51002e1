"""`lunaroute sessions list|show|raw|export|end`: what was recorded, session by session.

In: options, the index, the session files. Out: tables or transcripts for people; JSON with every value in full for
programs; CSV for spreadsheets; the very bytes of a body.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from lunaroute.errors import NoSuchSession
from lunaroute.query.filter import EVERYTHING, Filter
from lunaroute.query.render import session_table, transcript_view
from lunaroute.query.sessions import SessionSummary, find_session, list_sessions
from lunaroute.query.transcript import Transcript, show_session

from .answering import print_items, print_json
from .asking import (
    NOTHING_YET,
    filter_options,
    home_option,
    limit_option,
    one_line_errors,
    opened,
    output_options,
    sessions_dir,
    store_option,
)
from .ending import end_command
from .prune import pin_command, unpin_command
from .sharing import private, redacted, show_preview
from .whole import whole_sessions

_ORDERS = ["newest", "cost", "tokens", "duration", "requests", "errors"]


@click.group("sessions")
def sessions_group() -> None:
    """List recorded sessions and read them."""


sessions_group.add_command(pin_command)
sessions_group.add_command(unpin_command)


@sessions_group.command("list")
@output_options
@limit_option(50)
@click.option("--sort", "order", type=click.Choice(_ORDERS), default="newest", help="What comes first.")
@click.option("--after", metavar="CURSOR", help="The page after the one that named this cursor.")
@home_option
@store_option
@filter_options
def list_command(*, wanted: Filter, output: str | None, limit: int, order: Any, after: str | None, home: Path) -> None:
    """List sessions, newest first.

    FILTER is e.g.: model:claude-* tool:Bash error:true cost:>0.5 -client:codex "free text". docs/queries.md has them
    all.
    """
    with opened(home) as connection:
        if connection is None:
            page_items: list[SessionSummary] = []
            cursor = None
        else:
            page = list_sessions(connection, wanted, limit=limit, order=order, after=after)
            page_items, cursor = page.items, page.next
        if not page_items and output is None:
            click.echo(NOTHING_YET if wanted == EVERYTHING else "No session matches.")
            return
        print_items(output, SessionSummary, page_items, session_table(page_items))
    if cursor is not None and output is None and sys.stdout.isatty():
        click.echo(f"more: --after {cursor}", err=True)


@sessions_group.command("show")
@click.argument("session_id", metavar="ID")
@click.option("--json", "output", flag_value="json", help="One JSON object: the session and its turns in full.")
@click.option("--thinking", is_flag=True, help="Unfold what the model thought.")
@click.option("--full", is_flag=True, help="Cut nothing.")
@click.option("--pager/--no-pager", default=None, help="Through a pager; by default where the output is a terminal.")
@home_option
@store_option
def show_command(
    session_id: str, output: str | None, thinking: bool, full: bool, pager: bool | None, home: Path
) -> None:
    """Show one session, turn by turn. ID may be shortened to a unique prefix."""
    with one_line_errors():
        summary, transcript = _session(home, session_id)
        if output == "json":
            print_json(_whole(summary, transcript))
            return
        console = Console()
        view = transcript_view(summary, transcript, is_thinking_shown=thinking, is_full=full)
        if console.is_terminal if pager is None else pager:
            with console.pager(styles=console.is_terminal):
                console.print(*view, sep="\n")
        else:
            console.print(*view, sep="\n")


def _session(home: Path, session_id: str) -> tuple[SessionSummary, Transcript]:
    with opened(home) as connection:
        if connection is None:
            raise NoSuchSession(NOTHING_YET)
        summary = find_session(connection, session_id)
    with whole_sessions(home, [summary.session_id]) as folder:
        return summary, show_session(folder, summary.session_id)


def _whole(summary: SessionSummary, transcript: Transcript) -> dict[str, Any]:
    return {
        "session": summary,
        "turns": transcript.turns,
        "final_stats": transcript.completed.final_stats if transcript.completed else None,
        "unreadable_lines": [str(bad) for bad in transcript.bad_lines],
    }


@sessions_group.command("raw")
@click.argument("request_id", metavar="ID")
@click.option("--response", "part", flag_value="response", help="The response's body instead of the request's.")
@click.option("--curl", "part", flag_value="curl", help="A curl command that sends the request again.")
@click.option("--history", "part", flag_value="history", help="JSON: the whole input, with what it goes on from.")
@home_option
@store_option
def raw_command(request_id: str, part: str | None, home: Path) -> None:
    """Write the exact bytes of one exchange's body to stdout.

    ID is a request id, or a session id for its first exchange; both may be shortened to a unique prefix. The bytes
    are those of the wire, content coding included, and their hash is checked.
    """
    from lunaroute.query.history import ResponseFinder, whole_input
    from lunaroute.query.raw import as_curl, find_exchange, read_exchange, request_body, response_body

    with opened(home) as connection:
        if connection is None:
            raise NoSuchSession(NOTHING_YET)
        session_id, full_id = find_exchange(connection, request_id)
        with whole_sessions(home, [session_id]) as folder:
            exchange = read_exchange(folder, session_id, full_id)
        if part == "curl":
            click.echo(as_curl(exchange))
            return
        if part == "history":
            print_json(whole_input(exchange, ResponseFinder(connection, sessions_dir(home), session_id)))
            return
        sys.stdout.buffer.write(response_body(exchange) if part == "response" else request_body(exchange))


@sessions_group.command("export")
@click.argument("session_ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "html", "csv", "parquet", "finetune", "har", "otlp"]),
    default="jsonl",
    show_default=True,
    help="What to write.",
)
@click.option("--output", "-o", "path", type=click.Path(path_type=Path, dir_okay=False), help="The file; else stdout.")
@click.option(
    "--redact",
    "mode",
    is_flag=False,
    flag_value="mask",
    type=click.Choice(["mask", "remove", "tokenize", "partial"]),
    help="Without secrets and personal data (jsonl, html, finetune, har, otlp); by default masked.",
)
@click.option("--preview", is_flag=True, help="Write nothing; show what --redact would replace, where and how often.")
@home_option
@store_option
def export_command(
    *, session_ids: tuple[str, ...], form: str, path: Path | None, mode: Any, preview: bool, home: Path
) -> None:
    """Write sessions in a form that others read.

    jsonl: the events; html: one page, self-contained; csv, parquet: a row per exchange; finetune: OpenAI's chat format;
    har: HTTP archive; otlp: OpenTelemetry spans as JSON. Everything that was said is in it, unless you --redact: look
    before you share (--preview). What is looked for is said in [redaction] of config.toml.
    """
    from lunaroute.config_file import load_config
    from lunaroute.export import write_export

    upstreams = load_config({"home": home}, os.environ).upstreams
    with opened(home) as connection:
        if connection is None:
            raise NoSuchSession(NOTHING_YET)
        found = [find_session(connection, one) for one in session_ids]
        if preview:
            show_preview(home, found)
            return
        ids = [one.session_id for one in found]
        with whole_sessions(home, ids) as whole, redacted(home, whole, found, form, mode) as (folder, found):
            if path is None:
                write_export(form, found, connection, folder, sys.stdout.buffer, upstreams)
                return
            with open(path, "wb", opener=private) as file:
                write_export(form, found, connection, folder, file, upstreams)
    click.echo(f"{len(found)} sessions written to {path}", err=True)


sessions_group.add_command(end_command)
