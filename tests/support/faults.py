"""Accidents for a whole server: its processes by name, streams that are under way, and what must hold afterwards.

stream = Stream(server.port, "marker")      # the provider speaks slowly
stream.read_some()                          # some of its text has arrived
kill(*processes(server).relays)
…
check_recordings(home)                      # files whole, index = files
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from lunaroute.simulator import RunningSimulator
from lunaroute.sinks.reindex import reindex
from lunaroute.supervisor.instance import read_info
from lunaroute.verify.check import verify
from tests.support.relay import Wire
from tests.support.server import RecordedExchange, RecordedSession, Server, sessions, start_server, wait_until

MODEL = "claude-haiku-4-5"
_TIMEOUT_S = 30
_MODULE = re.compile(r" -m (?:lunaroute\.|tests\.support\.crashing )(relay|recorder|spool\.keeper)\b")
_SOME_EVENTS = 4
"""Pieces of text after which a stream counts as well under way."""


class Stream:
    """One streamed request on a connection of its own, read as far as the test wants."""

    def __init__(
        self,
        port: int,
        marker: str,
        *,
        answer_bytes: int = 900,
        simulate: str = "",
        session: str | None = None,
        padding_bytes: int = 0,
    ) -> None:
        self.marker = marker
        self.received = b""
        self.wire = Wire(socket.create_connection(("127.0.0.1", port), _TIMEOUT_S))
        self.wire.sock.settimeout(_TIMEOUT_S)
        try:
            self.wire.send(
                _request(marker, f"answer_bytes={answer_bytes};{simulate}", session or marker, padding_bytes)
            )
        except OSError:
            self.close()
            raise

    @property
    def text(self) -> str:
        """The visible answer as far as it has arrived."""
        return spoken_text(self.received)

    @property
    def is_whole(self) -> bool:
        return b"event: message_stop" in self.received and self.received.endswith(b"0\r\n\r\n")

    def read_some(self) -> None:
        while self.received.count(b'"text_delta"') < _SOME_EVENTS:
            data = self.wire.receive()
            assert data, self.received
            self.received += data

    def read_to_end(self) -> None:
        """Until the response is whole, or its connection gone, whichever way it goes; then closes."""
        try:
            while not self.is_whole and (data := self.wire.receive()):
                self.received += data
        except ConnectionResetError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        self.wire.close()


def _request(marker: str, simulate: str, session: str, padding_bytes: int) -> bytes:
    """A request whose user text is the marker."""
    content = {"model": MODEL, "max_tokens": 4000, "stream": True, "system": "x" * padding_bytes}
    body = json.dumps({**content, "messages": [{"role": "user", "content": marker}]}).encode()
    head = [
        "POST /v1/messages HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        "Content-Type: application/json",
        f"X-Claude-Code-Session-Id: {session}",
        f"X-Simulate: {simulate}",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


def spoken_text(stream: bytes) -> str:
    """The text of the whole `text_delta` events in these bytes of a response, chunk framing included."""
    found = []
    for line in stream.split(b"\n"):
        if line.startswith(b"data: ") and b'"text_delta"' in line:
            try:
                found.append(str(json.loads(line[6:])["delta"]["text"]))
            except ValueError:
                break  # the line is not whole yet
    return "".join(found)


# ---- processes --------------------------------------------------------------------------------------------------


class Processes:
    """Pids of a server, by what they do; they stay known when the supervisor is gone."""

    def __init__(self, supervisor: int, relays: list[int], recorder: int) -> None:
        self.supervisor = supervisor
        self.relays = relays
        self.recorder = recorder
        self.keepers = [pid for relay in relays for pid in _children(relay).get("spool.keeper", [])]
        """Of the relays' lanes; one may be about to be replaced."""

    @property
    def all(self) -> list[int]:
        return [self.supervisor, *self.relays, *self.keepers, self.recorder]


def processes(server: Server) -> Processes:
    """Those of a server that has all of them right now; waits for one that is being started again."""
    found: dict[str, list[int]] = {}

    def is_complete() -> bool:
        found.clear()
        found.update(_children(server.process.pid))
        return bool(found.get("relay")) and len(found.get("recorder", [])) == 1

    wait_until(is_complete)
    return Processes(server.process.pid, found["relay"], found["recorder"][0])


def _children(parent: int) -> dict[str, list[int]]:
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    found: dict[str, list[int]] = {}
    for line in listed.stdout.splitlines():
        pid, ppid, command = line.split(None, 2)
        module = _MODULE.search(command)
        if int(ppid) == parent and module is not None:
            found.setdefault(module[1], []).append(int(pid))
    return found


def descendants(pid: int) -> list[int]:
    """Its children, theirs, and so on."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = {int(one): int(parent) for one, parent in map(str.split, listed.stdout.splitlines())}
    found = [pid]
    for known in found:
        found += [one for one, parent in parents.items() if parent == known]
    return found[1:]


def kill(*pids: int) -> None:
    """kill -9, all of them before any can react to the end of another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):  # a keeper may just have followed its relay
                os.kill(pid, number)


def is_running(pid: int) -> bool:
    """A dead one that nobody has waited for does not count."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in ("", "Z")


@contextmanager
def accident_prone(home: Path, simulator: RunningSimulator, *flags: str) -> Iterator[Server]:
    """A server to which anything may happen in the block; whatever is left of it is ended afterwards."""
    server = start_server(home, dict.fromkeys(("anthropic", "openai"), simulator.base_url), flags=flags)
    known: set[int] = {server.process.pid}
    try:
        wait_until(lambda: is_ready(server) or server.process.poll() is not None)
        assert server.process.poll() is None, server.said
        known.update(processes(server).all)
        yield server
        server.stop()
        assert "Traceback" not in server.said, server.said
    finally:
        end(server, known)


def end(server: Server, known: set[int]) -> None:
    """Whatever is left of a server, and of those that were killed before it."""
    for children in _children(server.process.pid).values():
        known.update(children)
    for pid in known | {server.process.pid}:
        _end(pid)
    server.process.wait(30)


def is_ready(server: Server) -> bool:
    """A killed server's server.json stays; it is not this one's."""
    info = read_info(server.home / "run")
    return info is not None and info.pid == server.process.pid


def _end(pid: int) -> None:
    """Its number may have gone to somebody else by now."""
    listed = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    if "lunaroute" in listed.stdout or "tests.support.crashing" in listed.stdout:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# ---- what must hold ---------------------------------------------------------------------------------------------


def check_recordings(home: Path) -> list[RecordedSession]:
    """Of a stopped server: every file is whole and completed, every exchange has one response, the index is what the
    files say, row by row."""
    found = sessions(home)
    answered = [one.request.request_id for session in found for one in session.exchanges()]
    assert len(answered) == len(set(answered))
    live = home / "sessions" / "sessions.db"
    anew = home / "anew.db"
    report = reindex(home / "sessions", anew)
    assert (report.bad_lines, report.rejected) == ([], [])
    assert verify(home / "sessions", live, home / "recorder" / "lock").problems == []
    rows, rows_anew = dump(live), dump(anew)
    for table, expected in rows_anew.items():
        assert rows[table] == expected, table
    return found


def only(found: list[RecordedSession], marker: str) -> RecordedExchange:
    """The one exchange whose request said so."""
    (exchange,) = [one for session in found for one in session.exchanges() if one.request.request_text == marker]
    return exchange


def session_of(found: list[RecordedSession], marker: str) -> RecordedSession:
    """The one session that has the exchange."""
    (session,) = [one for one in found if marker in [each.request.request_text for each in one.exchanges()]]
    return session


def dump(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table; row numbers left out, and sums of floats without the digits that depend on order."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: "*" for name in names if not name.startswith("text_search")}
        columns["texts"] = "session_id, request_id, kind, content"
        return {
            name: sorted((_rounded(row) for row in connection.execute(f"SELECT {what} FROM {name}")), key=repr)
            for name, what in columns.items()
        }


def _rounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(float(f"{value:.9g}") if isinstance(value, float) else value for value in row)
