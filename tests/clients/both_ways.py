"""The same task of a client twice: straight to one simulated provider, and through a whole server to another.

In: a function that drives the client at an address. Out: what it returned each time, what each provider saw, and what
was recorded. The checks that hold for every client are here; what only one client can show is in its test file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from lunaroute.simulator import LedgerEntry, start_simulator
from tests.clients.sandbox import Ended, Sandbox
from tests.support.ledger import HOP_BY_HOP, check_recorded
from tests.support.server import RecordedExchange, RecordedSession, query, serving, sessions


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client is pointed at."""

    base_url: str
    server_home: Path | None
    """The server's home; None when this is the provider itself."""


Drive = Callable[[Sandbox, Address], list[Ended]]


class BothWays(msgspec.Struct, frozen=True, kw_only=True):
    folder: Path
    """Below it `lunaroute`, the server's home, and the sandboxes `direct` and `relayed`."""
    direct: list[Ended]
    relayed: list[Ended]
    direct_ledger: list[LedgerEntry]
    relayed_ledger: list[LedgerEntry]
    sessions: list[RecordedSession]
    rows: list[dict[str, Any]]
    """One per session, of the index."""

    def exchanges(self) -> list[RecordedExchange]:
        return [one for session in self.sessions for one in session.exchanges()]

    def asked(self) -> list[list[str]]:
        """What the recording says was asked, session by session: the new text of each request that has one."""
        return [[one.request.request_text for one in session.exchanges()] for session in self.sessions]


def both_ways(folder: Path, drive: Drive, *, http_only: bool = False) -> BothWays:
    """Drive the client both ways; the server is stopped then, and everything is recorded. `http_only`: the provider
    knows no WebSocket."""
    home = folder / "lunaroute"
    with start_simulator(http_only=http_only) as provider:
        direct = drive(Sandbox(folder / "direct"), Address(base_url=provider.base_url, server_home=None))
        direct_ledger = _settled(provider.ledger())
    with start_simulator(http_only=http_only) as provider:
        upstreams = dict.fromkeys(("anthropic", "openai", "google"), provider.base_url)
        with serving(home, upstreams) as server:
            relayed = drive(Sandbox(folder / "relayed"), Address(base_url=server.base_url, server_home=home))
        relayed_ledger = _settled(provider.ledger())
    return BothWays(
        folder=folder,
        direct=direct,
        relayed=relayed,
        direct_ledger=direct_ledger,
        relayed_ledger=relayed_ledger,
        sessions=sessions(home),
        rows=query(home / "sessions" / "sessions.db", "SELECT * FROM sessions ORDER BY started_at"),
    )


def _settled(ledger: list[LedgerEntry]) -> list[LedgerEntry]:
    """All but the handshakes of WebSockets that were opened: their turns ask for something, and have entries."""
    assert all(entry.outcome != "open" for entry in ledger)
    return [entry for entry in ledger if entry.status != 101 or entry.request_bytes > 0]


def is_handshake(entry: LedgerEntry) -> bool:
    """Of a WebSocket, and it was refused."""
    return entry.method == "GET" and entry.target.endswith("/responses") and entry.request_bytes == 0


def check_same_work(ways: BothWays) -> None:
    """The client ended as it does without us, left the same files, and its provider saw the same requests."""
    for direct, relayed in zip(ways.direct, ways.relayed, strict=True):
        assert direct.exit_code == 0, direct
        assert relayed.exit_code == 0, relayed
        assert relayed.project == direct.project
    assert len(ways.direct_ledger) > 0
    assert sorted(map(work, ways.relayed_ledger)) == sorted(map(work, ways.direct_ledger))


def work(entry: LedgerEntry) -> tuple[Any, ...]:
    """What a request is about: ids, times and folders differ from run to run, the rest must not."""
    names = [name for name, _ in entry.request_headers if name.lower() not in HOP_BY_HOP]
    calls = [(call.name, call.arguments) for call in entry.tool_calls]
    return entry.method, entry.target, entry.model or "", entry.status, names, calls, entry.text


def check_recording(ways: BothWays) -> None:
    """Each request that the provider saw is recorded once, with its bytes, outcome, text, calls and tokens, in the
    files and, summed up, in the index."""
    assert len(ways.relayed_ledger) > 0
    found = defaultdict(list)
    for one in ways.exchanges():
        found[one.request.body_sha256, one.response.body_sha256].append(one)
    for entry in ways.relayed_ledger:
        matching = found[entry.request_sha256, entry.response_sha256]
        assert matching, (entry.target, entry.text)
        check_recorded(entry, matching.pop())
    assert not [one.request.target for matching in found.values() for one in matching]
    assert {row["session_id"] for row in ways.rows} == {session.started.session_id for session in ways.sessions}
    for row, session in _with_rows(ways):
        told = [one.response.stats.tokens for one in session.exchanges()]
        assert row["request_count"] == len(told)
        assert (row["total_tokens"] or 0) == sum(tokens.total_tokens or 0 for tokens in told)


def _with_rows(ways: BothWays) -> Iterator[tuple[dict[str, Any], RecordedSession]]:
    by_id = {session.started.session_id: session for session in ways.sessions}
    for row in ways.rows:
        yield row, by_id[row["session_id"]]


def calls_with_results(session: RecordedSession) -> dict[str, int]:
    """{tool: calls whose result was recorded} of a session."""
    counts: dict[str, int] = defaultdict(int)
    for event in session.events:
        if event.__struct_config__.tag == "tool_call_recorded":
            counts[event.tool_name] += 1  # type: ignore[union-attr]
    return dict(counts)
