"""[pure] A batch of events becoming rows.

In: events, each session's in `seq` order, and what the store knows of their sessions and requests. Out: the rows to
write. What an event has already changed is known by its session's `last_seq`, which the store writes together with
the change: counting twice is impossible.
"""

from __future__ import annotations

from typing import assert_never

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

from .columns import SessionRow
from .exchange_columns import REQUEST_COLUMNS, RESPONSE_COLUMNS
from .exchange_rows import request_values, response_values, unanswered_values
from .rollups import Rollups
from .row_parts import Begun, Known, Text
from .rows import (
    Values,
    complete_session,
    count_request,
    execution_values,
    new_calls,
    note_response,
    result_values,
    sql_time,
    start_session,
    tool_call_values,
)
from .sums import add_to_session, amounts_of


class EventRows:
    """Rows to write. `add` only reads; a batch that is dropped has changed nothing."""

    def __init__(self, known: Known, *, is_textless: bool) -> None:
        """`is_textless`: nothing that was said becomes part of a row."""
        self._known = known
        self._is_textless = is_textless
        self._sessions: dict[str, SessionRow] = {}
        self._uncounted: dict[str, list[Values]] = {}
        """Session → amounts of its exchanges that are not in its row yet."""
        self.new_sessions: set[str] = set()
        """Those that the store does not have."""
        self.rollups = Rollups()
        self.facets: dict[tuple[str, str, str], None] = {}
        """(kind, value, session id)."""
        self.begun: dict[str, Begun] = {}
        self._requests: dict[str, Values] = {}
        self._answered: list[Values] = []
        self.responses: list[Values] = []
        """Of requests that the store has: RESPONSE_COLUMNS, then the request's id."""
        self.tool_calls: list[Values] = []
        self.executions: list[Values] = []
        self.results: list[Values] = []
        self.texts: list[Text] = []

    @property
    def sessions(self) -> dict[str, SessionRow]:
        """Rows of `sessions`, by their ids, with everything that was added so far."""
        for session_id, amounts in self._uncounted.items():
            add_to_session(self._sessions[session_id], amounts)
        self._uncounted.clear()
        return self._sessions

    def exchanges(self) -> list[Values]:
        """Of new requests, answered or not: REQUEST_COLUMNS, then RESPONSE_COLUMNS."""
        return self._answered + [
            values + unanswered_values(self.begun[request_id].model_requested, len(RESPONSE_COLUMNS))
            for request_id, values in self._requests.items()
        ]

    def take_answered(self) -> list[Values]:
        """Of new requests that are answered: REQUEST_COLUMNS, then RESPONSE_COLUMNS. They are the caller's then, and
        part of `exchanges` no longer."""
        taken, self._answered = self._answered, []
        return taken

    def take_texts(self) -> list[Text]:
        """Rows of `texts`, which are the caller's then."""
        taken, self.texts = self.texts, []
        return taken

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
                self._add_facet(event.session_id, "source", event.source)
                self._add_facet(event.session_id, "client", event.metadata.client.name)
                self._add_facet(event.session_id, "tenant", event.tenant)
                self._add_facet(event.session_id, "node", event.node)
                for tag in event.metadata.session_tags:
                    self._add_facet(event.session_id, "tag", tag)
            case RequestRecorded():
                self._add_request(row, event, at)
            case ResponseRecorded():
                self._add_response(row, event, at)
            case ToolCallRecorded():
                self._add_result(row, event, at)
            case Completed():
                complete_session(self.sessions[event.session_id], event, at)
            case StatsSnapshot():
                pass
            case _:
                assert_never(event)

    def skip(self, event: Event) -> None:
        """Count the event as handled, and change nothing else."""
        row = self._session(event, sql_time(event.timestamp))
        row.last_seq = max(row.last_seq, event.seq)

    # ---- one event ----

    def _add_request(self, row: SessionRow, event: RequestRecorded, at: str) -> None:
        values = request_values(event, at)
        self._requests[event.request_id] = values
        self.begun[event.request_id] = Begun(at, event.provider, event.model_requested)
        count_request(row, event)
        self._add_facet(event.session_id, "provider", event.provider)
        self._add_facet(event.session_id, "model", event.model_requested)
        self._add_text(event, at, "user", event.request_text)

    def _add_response(self, row: SessionRow, event: ResponseRecorded, at: str) -> None:
        begun = self._request_of(row, event, at)
        model_name = event.model_used or begun.model_requested
        values = response_values(event, at, model_name)
        request = self._requests.pop(event.request_id, None)
        if request is not None:
            self._answered.append(request + values)
        else:
            self.responses.append((*values, event.request_id))
        note_response(row, event)
        amounts = amounts_of(values)
        self._uncounted.setdefault(event.session_id, []).append(amounts)
        self.rollups.add_exchange(amounts, begun.started_at, begun.provider, model_name, row.client_name)
        self._add_facet(event.session_id, "model", model_name)
        self._add_facet(event.session_id, "outcome", event.outcome)
        self._add_facet(event.session_id, "status", None if event.status_code is None else str(event.status_code))
        if event.stats.tool_calls:
            self.tool_calls += tool_call_values(event, model_name)
            self.executions += execution_values(event, at, model_name)
            names = [call.tool_name for call in event.stats.tool_calls]
            self.rollups.add_calls(names, at, model_name, row.client_name)
            for name in names:
                self._add_facet(event.session_id, "tool", name)
        self._add_text(event, at, "assistant", event.response_text)
        for call in new_calls(event.stats):
            self._add_text(event, at, "tool_arguments", call.arguments)

    def _add_result(self, row: SessionRow, event: ToolCallRecorded, at: str) -> None:
        self.results.append(result_values(event, at))
        self.rollups.add_result(event, at, row.client_name)
        row.tool_error_count += event.success is False
        self._add_text(event, at, "tool_result", event.output_text)

    def _add_text(self, event: Event, at: str, kind: str, text: str) -> None:
        if text and not text.isspace():
            self.texts.append(Text(event.session_id, event.request_id, kind, text, event.seq, at))

    # ---- rows an event adds to ----

    def _session(self, event: Event, at: str) -> SessionRow:
        row = self._sessions.get(event.session_id)
        if row is None:
            row = self._known.session(event.session_id) or self._new_session(event, at)
            self._sessions[event.session_id] = row
        return row

    def _new_session(self, event: Event, at: str) -> SessionRow:
        """Usually of a `started` event; of any other one where that could not be stored."""
        self.new_sessions.add(event.session_id)
        return SessionRow(
            session_id=event.session_id,
            request_id=event.request_id,
            started_at=at,
            last_active_at=at,
        )

    def _request_of(self, row: SessionRow, event: ResponseRecorded, at: str) -> Begun:
        begun = self.begun.get(event.request_id)
        if begun is not None:
            return begun
        known = self._known.request(event.request_id)
        if known is not None:
            return known
        # The request could not be stored; its response still counts.
        begun = Begun(at, row.provider, row.model_requested)
        self.begun[event.request_id] = begun
        self._requests[event.request_id] = (
            event.session_id,
            event.request_id,
            begun.started_at,
            *(None,) * (len(REQUEST_COLUMNS) - 3),
        )
        return begun

    def _add_facet(self, session_id: str, kind: str, value: str | None) -> None:
        if value is not None:
            self.facets[kind, value, session_id] = None
