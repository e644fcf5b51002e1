"""`lunaroute demo`: a simulated provider, the server, and scripted agents that work through it. No keys, no internet.

In: options. Out: recordings in the demo's own home, and on the terminal where they are and what is in them. Invariant:
it never touches the user's real recordings, and it stops what it started.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shlex
import signal
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lunaroute.errors import LunarouteError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from lunaroute.demo.recorded import RecordedSession
    from lunaroute.demo.run import AgentSummary, OnProgress

_DEFAULT_PORT = 8081
_WIDE = 130
_SHORT = {"requests": "req", "errors": "err", "thinking": "think", "cost $": "$", "latency ms": "ms"}
"""Column heads on a terminal narrower than `_WIDE`."""
_MISSING_PACKAGES = "The demo's agents use the official SDKs: pip install 'lunaroute[demo]'"


@click.command("demo")
@click.option("--exit", "is_exit", is_flag=True, help="Stop everything when the agents are done.")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("~/.lunaroute-demo"),
    show_default=True,
    help="Where the demo records; never your real recordings.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="The server's port.  [default: 8081 or a free one]")
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="How many times faster than life; 0 = without any pauses.",
)
def demo_command(is_exit: bool, home: Path, port: int | None, speed: float) -> None:
    """Watch it work: scripted agents talk to a simulated provider through LunaRoute, which records them."""
    if any(importlib.util.find_spec(name) is None for name in ("anthropic", "openai")):
        raise click.ClickException(_MISSING_PACKAGES)
    try:
        with _terminated_like_ctrl_c():
            _demo(_console(), is_exit, home.expanduser(), port, 1 / speed if speed else 0.0)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except ExceptionGroup as group:
        raise click.ClickException(f"an agent failed: {_first(group)}") from group
    except (LunarouteError, OSError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error


def _demo(console: Console, is_exit: bool, home: Path, port: int | None, delay_factor: float) -> None:
    from lunaroute.demo.recorded import NotRecordedError, disagreements, read_sessions, wait_until_recorded
    from lunaroute.demo.server import free_port, start_server
    from lunaroute.simulator import start_simulator

    database = home / "sessions" / "sessions.db"
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    with ExitStack() as running:
        provider = running.enter_context(start_simulator(delay_factor=delay_factor))
        server_port = port or free_port(_DEFAULT_PORT)
        server = running.enter_context(start_server(home, server_port, provider.base_url))
        console.print(f"Simulated provider {provider.base_url} · LunaRoute {server.base_url}", highlight=False)
        console.print(f"Watch it live: {server.dashboard_url}", highlight=False)
        agents = _run_agents(console, server.base_url, delay_factor)
        try:
            sessions = wait_until_recorded(database, since, agents)
        except NotRecordedError as error:
            raise NotRecordedError(f"{error}; the server's log: {server.log}") from error
        if is_exit:
            server.stop()  # completes the sessions, so that what is shown below is final
            sessions = read_sessions(database, since)
        _report(console, home, agents, sessions)
        if is_exit and disagreements(agents, sessions):
            raise LunarouteError("the recording differs from what the SDKs saw")
        if not is_exit:
            _stay(console, server.base_url, server.dashboard_url)


def _console() -> Console:
    """The terminal, or a pipe that does not cut what it is given."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=160)


def _run_agents(console: Console, base_url: str, delay_factor: float) -> list[AgentSummary]:
    from lunaroute.demo.agent import run_agents

    with _progress(console) as on_progress:
        return asyncio.run(run_agents(base_url, on_progress, delay_factor=delay_factor))


@contextmanager
def _progress(console: Console) -> Iterator[OnProgress]:
    """A live line per agent on a terminal; elsewhere one line per agent when it is done."""
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    from lunaroute.demo.agent import AGENT_NAMES
    from lunaroute.demo.run import Progress

    if not console.is_terminal:

        def told(progress: Progress) -> None:
            if progress.doing == "done":
                console.print(f"{progress.name}: {progress.request_count} requests, done", highlight=False)

        yield told
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<20}"),
        TextColumn("{task.completed:>2.0f} requests"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[doing]}"),
    )
    with Bars(*columns, console=console) as bars:
        tasks = {name: bars.add_task(name, total=None, doing="starting") for name in AGENT_NAMES}

        def shown(progress: Progress) -> None:
            # A total equal to what is done is how a task without a known end is shown as finished.
            total = progress.request_count if progress.doing == "done" else None
            bars.update(tasks[progress.name], completed=progress.request_count, total=total, doing=progress.doing)

        yield shown


def _report(console: Console, home: Path, agents: Sequence[AgentSummary], sessions: Sequence[RecordedSession]) -> None:
    from lunaroute.demo.recorded import disagreements

    console.print()
    console.print(_table(sessions, console.width))
    differences = disagreements(agents, sessions)
    for line in differences:
        console.print(f"differs: {line}", style="red", highlight=False)
    if not differences:
        console.print(f"Requests, errors and tokens of all {len(agents)} agents equal what their SDKs were told.")
    console.print("\nFiles (one per session, and an index of them):")
    for path in [*_files(home, sessions), home / "sessions" / "sessions.db"]:
        _plain(console, f"  {path}")
    console.print("\nAsk them something:")
    for command in _queries(home, sessions):
        _plain(console, f"  {command}")


def _table(sessions: Sequence[RecordedSession], width: int) -> Table:
    """The sessions in as many columns as fit; on a narrow terminal who and what share one."""
    from rich.table import Table

    is_wide = width >= _WIDE
    table = Table(title="Recorded sessions", title_justify="left", box=None, pad_edge=False)
    for name in ("session", "client", "model") if is_wide else ("session",):
        table.add_column(name, no_wrap=True)
    for name in ("requests", "errors", "in", "out", "cached", "thinking", "tools", "cost $", "latency ms"):
        table.add_column(name if is_wide else _SHORT.get(name, name), justify="right", no_wrap=True)
    for one in sessions:
        client = " ".join(filter(None, (one.client_name, one.client_version)))
        who = [", ".join(one.tags) or one.session_id[:8], client or "–", one.model_used or one.model_requested or "–"]
        counts = (one.request_count, one.error_count, one.input_tokens, one.output_tokens)
        more = (one.cache_read_tokens, one.thinking_tokens, one.tool_call_count)
        table.add_row(
            *(who if is_wide else ["\n  ".join(who)]),
            *(_number(count) for count in (*counts, *more)),
            "–" if one.total_cost_usd is None else f"{one.total_cost_usd:.4f}",
            "–" if one.latency_ms is None else f"{one.latency_ms:.0f}",
        )
    return table


def _number(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def _files(home: Path, sessions: Sequence[RecordedSession]) -> list[Path]:
    from lunaroute.sinks.layout import existing_file

    found = (existing_file(home / "sessions", session.session_id) for session in sessions)
    return [path for path in found if path is not None]


def _queries(home: Path, sessions: Sequence[RecordedSession]) -> list[str]:
    """Ready to paste: jq on a file, SQL on the index, our own command."""
    files = _files(home, sessions)
    quoted = shlex.quote(str(files[0])) if files else "SESSION.jsonl"
    reader = f"zstd -dc --long=31 {quoted} | jq" if quoted.rstrip("'").endswith(".zst") else "jq"
    tail = "" if reader != "jq" else f" {quoted}"
    wanted = 'select(.type == "response_recorded") | [.model_used, .outcome, .stats.tokens.total_tokens]'
    counts = "SELECT tool_name, SUM(call_count) AS total_calls FROM tool_calls GROUP BY tool_name ORDER BY 2 DESC"
    database = shlex.quote(str(home / "sessions" / "sessions.db"))
    return [
        f"{reader} -c '{wanted}'{tail}",
        f'sqlite3 {database} "{counts}"',
        f"lunaroute sessions list --home {shlex.quote(str(home))}",
    ]


def _plain(console: Console, line: str) -> None:
    """A line that can be pasted: never wrapped, no markup."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _stay(console: Console, base_url: str, dashboard_url: str) -> None:
    line = f"\nStill running: {base_url} takes requests, {dashboard_url} shows them, until you press Ctrl-C."
    console.print(line, highlight=False)
    threading.Event().wait()


@contextmanager
def _terminated_like_ctrl_c() -> Iterator[None]:
    """A SIGTERM ends the demo as Ctrl-C does: everything it started is stopped."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
