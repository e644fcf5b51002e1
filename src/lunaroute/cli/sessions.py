"""`lunaroute sessions list|show`: what was recorded, on the terminal.

In: options, the index, the session files. Out: tables or transcripts for people; JSON with every value in full for
programs; CSV for spreadsheets.
"""

from __future__ import annotations

import csv
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console

from lunaroute.errors import AmbiguousPrefix, LunarouteError, NoSuchSession
from lunaroute.query.filters import SessionFilter, parse_moment
from lunaroute.query.index import SessionSummary, find_session, list_sessions, open_index
from lunaroute.query.render import session_table, transcript_view
from lunaroute.query.transcript import Transcript, show_session

_Command = TypeVar("_Command", bound=Callable[..., Any])

_NOTHING_YET = "Nothing recorded yet. Start `lunaroute serve` and send a request through it."
_NO_MATCH = "No session matches."


class Failed(click.ClickException):
    """Ends the command with one line on stderr and exit code 1."""


class WrongInput(click.ClickException):
    """Ends the command with one line on stderr and exit code 2."""

    exit_code = 2


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what can go wrong into one line: exit code 2 for a wrong question, 1 for everything else."""
    try:
        yield
    except (NoSuchSession, AmbiguousPrefix) as error:
        raise WrongInput(str(error)) from error
    except (LunarouteError, OSError, sqlite3.Error) as error:
        raise Failed(str(error)) from error


def home_option(command: _Command) -> _Command:
    """`--home`, as a `Path` in the parameter `home`."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="LUNAROUTE_HOME",
        default=Path("~/.lunaroute"),
        show_default="~/.lunaroute",
        callback=lambda _context, _option, value: value.expanduser(),
        help="Where recordings are.",
    )(command)


def _moment(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_moment(value, datetime.now(UTC))
    except ValueError as error:
        raise WrongInput(str(error)) from error


def _limit(_context: click.Context, _option: click.Parameter, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) < 2**63:
        raise WrongInput(f"--limit {value}: must be a whole number from 1 on")
    return int(value)


@click.group("sessions")
def sessions_group() -> None:
    """List recorded sessions and read them."""


@sessions_group.command("list")
@click.option("--json", "output", flag_value="json", help="A JSON array, every field in full.")
@click.option("--csv", "output", flag_value="csv", help="CSV with a header line.")
@click.option(
    "--since", metavar="TIME", callback=_moment, help="Started since: 30m, 24h, 7d, 2026-11-22, 2026-11-22T10:00 (UTC)."
)
@click.option("--until", metavar="TIME", callback=_moment, help="Started before; the same forms.")
@click.option("--provider", help="This provider, e.g. anthropic.")
@click.option("--model", help="Part of the model's name.")
@click.option("--client", help="Part of the client's name, e.g. claude-code.")
@click.option(
    "--limit", metavar="N", callback=_limit, default="50", show_default=True, help="At most so many, newest first."
)
@home_option
def list_command(
    *,
    output: str | None,
    since: datetime | None,
    until: datetime | None,
    provider: str | None,
    model: str | None,
    client: str | None,
    limit: int,
    home: Path,
) -> None:
    """List sessions, newest first."""
    wanted = SessionFilter(since=since, until=until, provider=provider, model=model, client=client)
    with one_line_errors():
        connection = open_index(_database(home))
        sessions: list[SessionSummary] = []
        if connection is not None:
            try:
                sessions = list_sessions(connection, wanted, limit)
            finally:
                connection.close()
        if output == "json":
            _print_json(sessions)
        elif output == "csv":
            _print_csv(sessions)
        elif sessions:
            Console().print(session_table(sessions))
        else:
            click.echo(_NOTHING_YET if wanted == SessionFilter() else _NO_MATCH)


@sessions_group.command("show")
@click.argument("session_id", metavar="ID")
@click.option("--json", "output", flag_value="json", help="One JSON object: the session and its turns in full.")
@home_option
def show_command(session_id: str, output: str | None, home: Path) -> None:
    """Show one session, turn by turn. ID may be shortened to a unique prefix."""
    with one_line_errors():
        connection = open_index(_database(home))
        if connection is None:
            raise NoSuchSession(_NOTHING_YET)
        try:
            summary = find_session(connection, session_id)
        finally:
            connection.close()
        transcript = show_session(_sessions_dir(home), summary.session_id)
        if output == "json":
            _print_json(_whole(summary, transcript))
        else:
            Console().print(*transcript_view(summary, transcript), sep="\n")


def _sessions_dir(home: Path) -> Path:
    return home / "sessions"


def _database(home: Path) -> Path:
    return _sessions_dir(home) / "sessions.db"


def _whole(summary: SessionSummary, transcript: Transcript) -> dict[str, Any]:
    return {
        "session": summary,
        "turns": transcript.turns,
        "final_stats": transcript.completed.final_stats if transcript.completed else None,
        "unreadable_lines": [str(bad) for bad in transcript.bad_lines],
    }


def _print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _print_csv(sessions: list[SessionSummary]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(SessionSummary.__struct_fields__)
    for one in sessions:
        writer.writerow([_cell(value) for value in msgspec.structs.astuple(one)])


def _cell(value: Any) -> Any:
    """Lists joined by spaces; text that a spreadsheet would run as a formula is disarmed."""
    if isinstance(value, list):
        value = " ".join(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
