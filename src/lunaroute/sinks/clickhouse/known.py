"""What a sink knows of the sessions, requests and calls that its next events may be about.

Rows can only be written whole here, so the first half of one is kept until the second comes; what is not in memory any
more, after a restart, is read back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from lunaroute.events.types import Event, RequestRecorded, ResponseRecorded, ToolCallRecorded
from lunaroute.sinks.tables.columns import SessionRow
from lunaroute.sinks.tables.described import TABLES
from lunaroute.sinks.tables.exchange_columns import REQUEST_COLUMNS
from lunaroute.sinks.tables.row_parts import Begun
from lunaroute.sinks.tables.rows import Values

from .connection import ClickHouse
from .reading import rows_of

_MOST_SESSIONS: Final = 20_000
_TOGETHER: Final = 500
_OF_UP_TO_DATE: Final[dict[str, str | int]] = {
    "max_replica_delay_for_distributed_queries": 10,
    "fallback_to_stale_replicas_for_distributed_queries": 0,
}
"""In a cluster each replica has what was acknowledged; but one may have lost some with its power and be fetching it."""
CALL_COLUMNS: Final = tuple(one.name for one in TABLES["tool_call_executions"])
CallKey = tuple[str, str | None]
"""(request id, tool call id)."""


class Stored:
    """What the store has. `load` what a batch needs; `note` when it is stored."""

    def __init__(self, server: ClickHouse) -> None:
        self._server = server
        self._sessions: OrderedDict[str, SessionRow] = OrderedDict()
        self.requests: dict[str, Values] = {}
        """REQUEST_COLUMNS of requests without an answer."""
        self.calls: dict[CallKey, Values] = {}
        """CALL_COLUMNS of calls without a result."""

    def session(self, session_id: str) -> SessionRow | None:
        found = self._sessions.get(session_id)
        return None if found is None else msgspec.structs.replace(found)

    def request(self, request_id: str) -> Begun | None:
        found = self.requests.get(request_id)
        if found is None:
            return None
        values = dict(zip(REQUEST_COLUMNS, found, strict=True))
        return Begun(values["started_at"], values["provider"], values["model_requested"])

    def load(self, events: Sequence[Event]) -> None:
        """Read back what is not in memory. Raises StoreUnavailable."""
        missing = {event.session_id for event in events} - self._sessions.keys()
        names = SessionRow.__struct_fields__
        for row in self._read("sessions", names, "session_id", missing):
            self._sessions[row[0]] = msgspec.convert(dict(zip(names, row, strict=True)), SessionRow, strict=False)
        self.requests |= {row[1]: row for row in self._read_requests(events)}
        asked = {
            (event.call_request_id, event.tool_call_id)
            for event in events
            if isinstance(event, ToolCallRecorded) and self._is_new(event)
        } - self.calls.keys()
        here = {event.request_id for event in events if isinstance(event, ResponseRecorded) and self._is_new(event)}
        request_ids = {request_id for request_id, _ in asked} - here
        place = CALL_COLUMNS.index("tool_call_id")
        found = self._read("tool_call_executions", CALL_COLUMNS, "request_id", request_ids)
        self.calls |= {(row[1], row[place]): row for row in found if (row[1], row[place]) in asked}

    def note(self, sessions: Iterable[SessionRow]) -> None:
        """These are stored."""
        for row in sessions:
            self._sessions[row.session_id] = row
            self._sessions.move_to_end(row.session_id)
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)

    def _read_requests(self, events: Sequence[Event]) -> Iterable[Values]:
        new = {event.request_id for event in events if isinstance(event, RequestRecorded) and self._is_new(event)}
        answered = {event.request_id for event in events if isinstance(event, ResponseRecorded) and self._is_new(event)}
        return self._read("session_stats", REQUEST_COLUMNS, "request_id", answered - new - self.requests.keys())

    def _is_new(self, event: Event) -> bool:
        session = self._sessions.get(event.session_id)
        return session is None or event.seq > session.last_seq

    def _read(self, table: str, columns: Sequence[str], key: str, ids: Iterable[str]) -> Iterable[tuple[Any, ...]]:
        wanted = sorted(ids)
        for start in range(0, len(wanted), _TOGETHER):
            listed = ", ".join(f"'{one}'" for one in map(_escaped, wanted[start : start + _TOGETHER]))
            text = f"SELECT {', '.join(columns)} FROM {table} FINAL WHERE {key} IN ({listed})"
            yield from rows_of(self._server, text, _OF_UP_TO_DATE)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
