"""A batch of events becoming rows, inside a transaction of the caller.

In: events, each session's in `seq` order. Out, at `flush`: the rows, written statement by statement with
`executemany`. What an event has already changed is known by the session's `last_seq`, which is written in the
same transaction as the change: counting twice is impossible.
"""

from __future__ import annotations

import sqlite3
from typing import assert_never

import msgspec

from lunaroute.encryption.keys import keyring
from lunaroute.events.textless import without_texts
from lunaroute.events.types import (
    Completed,
    Event,
    RequestRecorded,
    ResponseRecorded,
    Started,
    StatsSnapshot,
    ToolCallRecorded,
)

from . import statements as sql
from .columns import SessionRow
from .exchange_columns import REQUEST_COLUMNS, RESPONSE_COLUMNS
from .exchange_rows import request_values, response_values, unanswered_values
from .long_texts import stored_text
from .rollups import Rollups
from .rows import (
    Values,
    complete_session,
    count_request,
    count_response,
    execution_values,
    new_calls,
    result_values,
    sql_time,
    start_session,
    tool_call_values,
)


class _Begun(msgspec.Struct, frozen=True):
    """What a response must know of its request."""

    started_at: str
    provider: str | None
    model_requested: str | None


class Batch:
    """Rows to write. `add` only reads the database; a batch that is dropped has changed nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._is_textless = keyring().is_on
        """SQLite cannot encrypt: where recordings are encrypted, nothing that was said goes to it."""
        self._sessions: dict[str, SessionRow] = {}
        self._new_sessions: set[str] = set()
        self._rollups = Rollups()
        self._facets: dict[tuple[str, str, str], None] = {}
        self._begun: dict[str, _Begun] = {}
        self._requests: dict[str, Values] = {}
        self._exchanges: list[Values] = []
        self._responses: list[Values] = []
        self._tool_calls: list[Values] = []
        self._executions: list[Values] = []
        self._results: list[Values] = []
        self._texts: list[tuple[str, str, str, str]] = []

    def add(self, event: Event) -> None:
        """Note what the event changes; nothing if it is known already. Raises ValueError and its like when the
        event makes no sense; the batch is then of no further use."""
        if self._is_textless:
            event = without_texts(event)
        at = sql_time(event.timestamp)
        row = self._session(event, at)
        if event.seq <= row.last_seq:
            return
        row.last_seq = event.seq
        row.last_active_at = max(row.last_active_at, at)
        match event:
            case Started():
                start_session(row, event)
                self._add_facets(event.session_id, "source", event.source)
                self._add_facets(event.session_id, "client", event.metadata.client.name)
                self._add_facets(event.session_id, "tag", *event.metadata.session_tags)
                self._add_facets(event.session_id, "tenant", event.tenant)
                self._add_facets(event.session_id, "node", event.node)
            case RequestRecorded():
                self._add_request(row, event, at)
            case ResponseRecorded():
                self._add_response(row, event, at)
            case ToolCallRecorded():
                self._add_result(row, event, at)
            case Completed():
                complete_session(row, event, at)
            case StatsSnapshot():
                pass
            case _:
                assert_never(event)

    def skip(self, event: Event) -> None:
        """Count the event as handled, and change nothing else."""
        row = self._session(event, sql_time(event.timestamp))
        row.last_seq = max(row.last_seq, event.seq)

    def flush(self, *, has_sums: bool = True) -> None:
        """Write all rows; without `has_sums` those of hours and days are as they were. Raises sqlite3.Error."""
        many = self._connection.executemany
        self._flush_sessions()
        unanswered = [
            values + unanswered_values(self._begun[request_id].model_requested, len(RESPONSE_COLUMNS))
            for request_id, values in self._requests.items()
        ]
        many(sql.INSERT_EXCHANGE, self._exchanges + unanswered)
        many(sql.UPDATE_EXCHANGE, self._responses)
        many(sql.INSERT_TOOL_CALL, self._tool_calls)
        many(sql.INSERT_EXECUTION, self._executions)
        many(sql.INSERT_RESULT, self._results)
        # result_values: request_id is second, tool_name fifth.
        many(sql.UPDATE_TOOL_CALL, {(values[1], values[4]) for values in self._results})
        many(sql.INSERT_FACET, self._facets)
        if has_sums:
            self._rollups.flush(self._connection)
        self._flush_texts()

    # ---- one event ----

    def _add_request(self, row: SessionRow, event: RequestRecorded, at: str) -> None:
        values = request_values(event, at)
        self._requests[event.request_id] = values
        self._begun[event.request_id] = _Begun(at, event.provider, event.model_requested)
        count_request(row, event)
        self._add_facets(event.session_id, "provider", event.provider)
        self._add_facets(event.session_id, "model", event.model_requested)
        self._add_text(event, "user", event.request_text)

    def _add_response(self, row: SessionRow, event: ResponseRecorded, at: str) -> None:
        begun = self._request_of(row, event, at)
        model_name = event.model_used or begun.model_requested
        values = response_values(event, at, model_name)
        request = self._requests.pop(event.request_id, None)
        if request is not None:
            self._exchanges.append(request + values)
        else:
            self._responses.append((*values, event.request_id))
        self._tool_calls += tool_call_values(event, model_name)
        self._executions += execution_values(event, at, model_name)
        count_response(row, event, at)
        self._rollups.add_response(event, begun.started_at, begun.provider, model_name, row.client_name)
        self._add_facets(event.session_id, "model", model_name)
        self._add_facets(event.session_id, "outcome", event.outcome)
        self._add_facets(event.session_id, "status", None if event.status_code is None else str(event.status_code))
        if event.stats.tool_calls:
            names = [call.tool_name for call in event.stats.tool_calls]
            self._rollups.add_calls(names, at, model_name, row.client_name)
            self._add_facets(event.session_id, "tool", *names)
        self._add_text(event, "assistant", event.response_text)
        for call in new_calls(event.stats):
            self._add_text(event, "tool_arguments", call.arguments)

    def _add_result(self, row: SessionRow, event: ToolCallRecorded, at: str) -> None:
        self._results.append(result_values(event, at))
        self._rollups.add_result(event, at, row.client_name)
        row.tool_error_count += event.success is False
        self._add_text(event, "tool_result", event.output_text)

    def _add_text(self, event: Event, kind: str, text: str) -> None:
        if text and not text.isspace():
            self._texts.append((event.session_id, event.request_id, kind, text))

    # ---- rows an event adds to ----

    def _session(self, event: Event, at: str) -> SessionRow:
        row = self._sessions.get(event.session_id)
        if row is None:
            found = self._connection.execute(sql.SELECT_SESSION, (event.session_id,)).fetchone()
            row = _session_of(found) if found else self._new_session(event, at)
            self._sessions[event.session_id] = row
        return row

    def _new_session(self, event: Event, at: str) -> SessionRow:
        """Usually of a `started` event; of any other one where that could not be stored."""
        self._new_sessions.add(event.session_id)
        return SessionRow(
            session_id=event.session_id,
            request_id=event.request_id,
            started_at=at,
            last_active_at=at,
        )

    def _request_of(self, row: SessionRow, event: ResponseRecorded, at: str) -> _Begun:
        begun = self._begun.get(event.request_id)
        if begun is not None:
            return begun
        found = self._connection.execute(sql.SELECT_EXCHANGE, (event.request_id,)).fetchone()
        if found is not None:
            return _Begun(*found)
        # The request could not be stored; its response still counts.
        begun = _Begun(at, row.provider, row.model_requested)
        self._begun[event.request_id] = begun
        self._requests[event.request_id] = (
            event.session_id,
            event.request_id,
            begun.started_at,
            *(None,) * (len(REQUEST_COLUMNS) - 3),
        )
        return begun

    def _add_facets(self, session_id: str, kind: str, *values: str | None) -> None:
        for value in values:
            if value is not None:
                self._facets[kind, value, session_id] = None

    # ---- writing ----

    def _flush_sessions(self) -> None:
        new, known = [], []
        for session_id, row in self._sessions.items():
            values = msgspec.structs.astuple(row)
            if session_id in self._new_sessions:
                new.append(values)
            else:
                known.append((*[getattr(row, name) for name in sql.SESSION_CHANGING], session_id))
        self._connection.executemany(sql.INSERT_SESSION, new)
        self._connection.executemany(sql.UPDATE_SESSION, known)

    def _flush_texts(self) -> None:
        if not self._texts:
            return
        (last_id,) = self._connection.execute(sql.SELECT_LAST_TEXT_ID).fetchone()
        numbered = [(text_id, *text) for text_id, text in enumerate(self._texts, start=last_id + 1)]
        self._connection.executemany(sql.INSERT_TEXT, [(*row[:4], stored_text(row[4])) for row in numbered])
        self._connection.executemany(sql.INSERT_SEARCH, [(row[0], row[4]) for row in numbered])


def _session_of(found: Values) -> SessionRow:
    return SessionRow(**dict(zip(sql.SESSION_COLUMNS, found, strict=True)))
