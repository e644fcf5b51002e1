"""The ledger: what the simulated provider received and served, known independently of any recorder.

In: one entry per provider request, opened on arrival and closed when the response is over. Out: JSON lines
at `GET /simulator/ledger`. Invariant: hashes and sizes are of the body after the transfer coding and before
the content coding is undone, which is what a recorder's records hold too.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

LedgerOutcome = Literal["open", "completed", "cut", "client_gone"]


class LedgerCall(msgspec.Struct, kw_only=True):
    id: str
    """Empty where none was told."""
    name: str
    arguments: str


class LedgerEntry(msgspec.Struct, kw_only=True):
    """One request and what was served for it; mutable until it is over."""

    n: int
    """Number of the request in order of arrival, from 1."""
    method: str
    target: str
    request_headers: list[tuple[str, str]]
    """Exactly as received, in order."""
    request_id: str = ""
    """The id told to the client in the provider's request id header; empty where the provider tells none."""
    dialect: str | None = None
    model: str | None = None
    """As requested."""
    is_stream: bool = False
    directives: dict[str, Any] = msgspec.field(default_factory=dict)
    """What was asked of the simulator; empty for an ordinary exchange."""
    request_sha256: str = ""
    request_bytes: int = 0
    status: int = 0
    """0 when no response was begun."""
    response_headers: list[tuple[str, str]] = msgspec.field(default_factory=list)
    response_sha256: str = ""
    response_bytes: int = 0
    response_id: str | None = None
    """Message, completion or response id."""
    text: str = ""
    """The visible answer in full, even when it was not served in full."""
    thinking: str = ""
    tool_calls: list[LedgerCall] = msgspec.field(default_factory=list)
    usage: dict[str, Any] | None = None
    """The provider's usage object, reported or not; None when nothing was generated."""
    is_usage_served: bool = False
    """The response told it: not hidden, and the response was not cut, ended or failed before."""
    outcome: LedgerOutcome = "open"


class Ledger:
    """Entries by number; the oldest are forgotten beyond `limit`."""

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._count = 0
        self._entries: dict[int, tuple[LedgerEntry, bytes]] = {}

    def open(self, method: str, target: str, headers: list[tuple[str, str]], raw_head: bytes) -> LedgerEntry:
        self._count += 1
        entry = LedgerEntry(n=self._count, method=method, target=target, request_headers=headers)
        self._entries[entry.n] = (entry, raw_head)
        if len(self._entries) > self._limit:
            del self._entries[next(iter(self._entries))]
        return entry

    def lines(self) -> bytes:
        """All entries as JSON lines, in order of arrival."""
        return b"".join(msgspec.json.encode(entry) + b"\n" for entry, _ in self._entries.values())

    def raw_head(self, n: int) -> bytes | None:
        """The request head of entry `n`, byte for byte, blank line included."""
        kept = self._entries.get(n)
        return kept[1] if kept else None
