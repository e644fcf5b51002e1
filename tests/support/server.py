"""A whole server in a process of its own: `python -m lunaroute serve` on a free port over a home of the test's.

    with serving(home, {"anthropic": url}) as server:
        … traffic through server.base_url …
        recorded(home, 3)           # waits until three exchanges are in the index
    for session in sessions(home):  # after the block everything is written and every session is completed
        …

Invariant: no provider of the real world can be reached through it, whatever path a test asks for.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from lunaroute.config import DEFAULT_UPSTREAMS
from lunaroute.events import Event, decode_event
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded, Started
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import read_lines
from lunaroute.supervisor.instance import read_info

TIMEOUT_S = 60.0
NOWHERE = "http://127.0.0.1:9"
"""An address where nobody listens."""


class Server:
    """A running server; `stop` may be called more than once."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes], log: Path) -> None:
        self.home = home
        self.process = process
        self._log = log

    @property
    def port(self) -> int:
        info = read_info(self.home / "run")
        assert info is not None, self.said
        return info.port

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """Everything it and its children have written to stdout and stderr."""
        return self._log.read_text(errors="replace")

    def stop(self, timeout_s: float = TIMEOUT_S) -> int:
        """SIGTERM, and wait: what passed is recorded, every session completed. The exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the server did not stop in time: {self.said}") from None


@contextmanager
def serving(
    home: Path, upstreams: Mapping[str, str], *, flags: Sequence[str] = (), has_dashboard: bool = False
) -> Iterator[Server]:
    """A server that takes traffic; stopped in an orderly way with the block, and checked to have had no accident."""
    server = start_server(home, upstreams, flags=flags, has_dashboard=has_dashboard)
    try:
        wait_until(lambda: read_info(home / "run") is not None or server.process.poll() is not None)
        assert server.process.poll() is None, server.said
        yield server
        assert server.stop() == 0, server.said
        assert "Traceback" not in server.said, server.said
    finally:
        server.stop()


def start_server(
    home: Path,
    upstreams: Mapping[str, str],
    *,
    flags: Sequence[str] = (),
    program: str = "lunaroute",
    variables: Mapping[str, str] | None = None,
    has_dashboard: bool = False,
    role: str = "all",
) -> Server:
    """The process, not waited for. `program`: a module that is run as `lunaroute`; `variables`: more of them."""
    routes = dict.fromkeys(DEFAULT_UPSTREAMS, NOWHERE) | dict(upstreams)
    command = [sys.executable, "-m", program, "serve", f"--home={home}", f"--role={role}"]
    if role in ("all", "relay"):
        command += ["--port=0", *(f"--upstream={name}={url}" for name, url in routes.items())]
    if role == "all":
        command.append("--ui-port=0")
    command += flags  # last, as they go before
    log = home.parent / (f"{home.name}.log" if role == "all" else f"{home.name}-{role}.log")
    environment = clean_environment() | {"LUNAROUTE_DASHBOARD_ENABLED": str(int(has_dashboard))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment | (variables or {}),
        )
    return Server(home, process, log)


def clean_environment() -> dict[str, str]:
    """Ours, without the settings and proxies of whoever runs the tests."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LUNAROUTE_") and not name.lower().endswith("_proxy")
    }


def wait_until(condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.01)


def recorded(home: Path, n_exchanges: int) -> None:
    """Wait until the recorder has the responses of so many exchanges in the index."""
    wait_until(lambda: _answered(home / "sessions" / "sessions.db") >= n_exchanges)


def _answered(database: Path) -> int:
    try:
        rows = query(database, "SELECT count(*) AS n FROM session_stats WHERE outcome IS NOT NULL")
    except sqlite3.DatabaseError:
        return 0  # not there yet, or damaged and about to be built again
    return int(rows[0]["n"])


def query(database: Path, statement: str) -> list[dict[str, Any]]:
    """Rows of a read-only query."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(statement)]


class RecordedExchange(msgspec.Struct, frozen=True, kw_only=True):
    """The two events of one exchange."""

    session_id: str
    request: RequestRecorded
    response: ResponseRecorded


class RecordedSession(msgspec.Struct, frozen=True, kw_only=True):
    """One session file."""

    path: Path
    events: list[Event]

    @property
    def started(self) -> Started:
        first = self.events[0]
        assert isinstance(first, Started)
        return first

    @property
    def completed(self) -> Completed:
        last = self.events[-1]
        assert isinstance(last, Completed)
        return last

    def exchanges(self) -> list[RecordedExchange]:
        """In order of the requests. Asserts that each has exactly one response."""
        requests = [event for event in self.events if isinstance(event, RequestRecorded)]
        responses = [event for event in self.events if isinstance(event, ResponseRecorded)]
        by_id = {event.request_id: event for event in responses}
        assert sorted(event.request_id for event in responses) == sorted(event.request_id for event in requests)
        assert len(by_id) == len(responses)
        return [
            RecordedExchange(session_id=one.session_id, request=one, response=by_id[one.request_id]) for one in requests
        ]


def sessions(home: Path) -> list[RecordedSession]:
    """All recorded sessions, oldest first. Asserts of every file what holds for each of a stopped server: lines of
    plain JSON, one session, `seq` without gaps, `started` first, `completed` last and only there."""
    found = []
    for session_id, path in session_files(home / "sessions"):
        lines = list(read_lines(path))
        events = [decode_event(line) for line in lines]
        for line in lines:
            json.loads(line, parse_constant=_refuse)
        assert {event.session_id for event in events} == {session_id}, path
        assert [event.seq for event in events] == list(range(len(events))), path
        assert [isinstance(event, Started) for event in events] == [True] + [False] * (len(events) - 1), path
        assert [isinstance(event, Completed) for event in events] == [False] * (len(events) - 1) + [True], path
        found.append(RecordedSession(path=path, events=events))
    return found


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def exchanges(home: Path) -> list[RecordedExchange]:
    """Of all sessions."""
    return [one for session in sessions(home) for one in session.exchanges()]


def lines_about(what: str, said: str) -> list[str]:
    """The lines of a server's output that match the pattern."""
    return [line for line in said.splitlines() if re.search(what, line)]
