"""The transaction in which a batch of events becomes rows.

In: a connection and events. Out: their rows, in one transaction. New values come by COPY into temporary tables and go
from there into the real ones by their keys.

Nothing is counted twice, whatever is repeated: each session's `last_seq` is part of the transaction, and the rows of
the sessions come first in it. Another transaction with the same events, such as one whose commit was never heard of,
is waited for there, and what it has stored is then known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from lunaroute.encryption.keys import keyring
from lunaroute.errors import StoreUnavailable
from lunaroute.events.types import Event, RequestRecorded, ResponseRecorded, ToolCallRecorded
from lunaroute.sinks.tables.columns import SessionRow
from lunaroute.sinks.tables.event_rows import EventRows
from lunaroute.sinks.tables.exchange_columns import REQUEST_COLUMNS, RESPONSE_COLUMNS
from lunaroute.sinks.tables.normal_text import normal_text
from lunaroute.sinks.tables.row_parts import Begun
from lunaroute.sinks.tables.rows import Values

from .connection import driver
from .migrations import lock_for_ddl
from .rollups import add_rollups
from .schema import month_of, partition_ddl
from .upsert import stage, upsert

Rejected = Callable[[Event, str], None]
"""Told of an event that could not be stored, and why, before the transaction that leaves it out is committed."""

_SESSION_COLUMNS: Final = SessionRow.__struct_fields__
_CALL_COLUMNS: Final = (
    *("session_id", "request_id", "model_name", "tool_name", "tool_call_id", "call_number", "arguments", "called_at"),
    "input_size_bytes",
)
_RESULT_COLUMNS: Final = (
    *("session_id", "request_id", "result_request_id", "model_name", "tool_name", "tool_call_id", "arguments"),
    *("returned_at", "execution_time_ms", "is_shared_bound", "input_size_bytes", "output_size_bytes", "success"),
    *("error", "exit_code", "success_evidence", "success_confidence", "parallel_count"),
)
_KEPT_BY_RESULT: Final = ("session_id", "model_name", "tool_name", "arguments", "input_size_bytes")
"""What the call itself says of itself is not changed by its result."""
_TEXT_COLUMNS: Final = ("text_id", "session_id", "request_id", "kind", "content", "seq", "number", "words")
# Recomputed rather than added to, so that it does not matter which of call and result came first.
_UPDATE_TOOL_CALLS: Final = (
    "UPDATE tool_calls t SET (total_execution_time_ms, avg_execution_time_ms, error_count) ="
    " (SELECT sum(one.execution_time_ms), avg(one.execution_time_ms), count(*) FILTER (WHERE NOT one.success)"
    " FROM tool_call_executions one WHERE one.request_id = t.request_id AND one.tool_name = t.tool_name)"
    " FROM unnest($1::text[], $2::text[]) AS k (request_id, tool_name)"
    " WHERE t.request_id = k.request_id AND t.tool_name = k.tool_name"
)


async def write_events(connection: Any, events: Sequence[Event], months: set[str], on_rejected: Rejected) -> None:
    """Store what is not stored yet. `months` are those whose parts are known to be there. Raises StoreUnavailable,
    asyncpg's errors and OSError, having stored nothing."""
    asyncpg = driver()
    faults = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, TypeError, OverflowError)
    try:
        async with connection.transaction():
            await _write(connection, events, months)
    except faults:
        # Rare, so the price of a savepoint for each event is paid only now.
        async with connection.transaction():
            for event in events:
                try:
                    async with connection.transaction():
                        await _write(connection, [event], months)
                except faults as error:
                    on_rejected(event, str(error) or type(error).__name__)
                    await _skip(connection, event, faults)
    months |= _months_of(events)


async def _skip(connection: Any, event: Event, faults: tuple[type[Exception], ...]) -> None:
    try:
        async with connection.transaction():
            known = await _known(connection, [event])
            rows = EventRows(known, is_textless=True)
            rows.skip(event)
            await _write_sessions(connection, rows)
    except faults:
        # So broken that not even its session can be noted; it is rejected again if it comes again.
        return


async def _write(connection: Any, events: Sequence[Event], months: set[str]) -> None:
    # Where recordings are encrypted, nothing that was said goes to a store that is not.
    rows = EventRows(await _known(connection, events), is_textless=keyring().is_on)
    for event in events:
        rows.add(event)
    await _make_parts(connection, events, months)
    await _write_sessions(connection, rows)
    exchanges = _by_key(rows.exchanges(), 1)
    await upsert(connection, "session_stats", (*REQUEST_COLUMNS, *RESPONSE_COLUMNS), exchanges)
    await _write_responses(connection, rows.responses)
    await _write_tools(connection, rows)
    await upsert(connection, "session_facets", ("kind", "value", "session_id"), list(rows.facets))
    await _write_texts(connection, rows)
    await add_rollups(connection, rows.rollups)


class _Stored(msgspec.Struct):
    """What the store has of the sessions and requests of a batch."""

    sessions: dict[str, Values]
    requests: dict[str, Begun]

    def session(self, session_id: str) -> SessionRow | None:
        found = self.sessions.get(session_id)
        return None if found is None else SessionRow(**dict(zip(_SESSION_COLUMNS, found, strict=True)))

    def request(self, request_id: str) -> Begun | None:
        return self.requests.get(request_id)


async def _known(connection: Any, events: Sequence[Event]) -> _Stored:
    sessions = await connection.fetch(
        f"SELECT {', '.join(_SESSION_COLUMNS)} FROM sessions WHERE session_id = ANY($1) ORDER BY session_id FOR UPDATE",
        list({event.session_id for event in events}),
    )
    last_seqs = {row["session_id"]: row["last_seq"] for row in sessions}
    new = {
        event.request_id
        for event in events
        if isinstance(event, RequestRecorded) and event.seq > last_seqs.get(event.session_id, -1)
    }
    missing = [event.request_id for event in events if isinstance(event, ResponseRecorded)]
    missing = [request_id for request_id in missing if request_id not in new]
    requests = await connection.fetch(
        "SELECT request_id, started_at, provider, model_requested FROM session_stats WHERE request_id = ANY($1)",
        missing,
    )
    return _Stored(
        sessions={row[0]: tuple(row) for row in sessions},
        requests={row[0]: Begun(*tuple(row)[1:]) for row in requests},
    )


async def _make_parts(connection: Any, events: Iterable[Event], months: set[str]) -> None:
    wanted = _months_of(events) - months
    if not wanted:
        return
    await lock_for_ddl(connection)
    for month in sorted(wanted):
        if await connection.fetchval("SELECT to_regclass($1)", f"session_stats_{month.replace('-', '_')}") is None:
            for statement in partition_ddl(month):
                await connection.execute(statement)


def _months_of(events: Iterable[Event]) -> set[str]:
    ids = {event.request_id for event in events}
    ids |= {event.call_request_id for event in events if isinstance(event, ToolCallRecorded)}
    return {month for request_id in ids if (month := month_of(request_id)) is not None}


async def _write_sessions(connection: Any, rows: EventRows) -> None:
    new: list[Values] = []
    changed: list[Values] = []
    for session_id, row in sorted(rows.sessions.items()):
        (new if session_id in rows.new_sessions else changed).append(msgspec.structs.astuple(row))
    if new:
        await stage(connection, "sessions", _SESSION_COLUMNS, new)
        stored = await connection.fetchval(
            f"WITH stored AS (INSERT INTO sessions ({', '.join(_SESSION_COLUMNS)}) SELECT"
            f" {', '.join(_SESSION_COLUMNS)} FROM new_sessions ON CONFLICT DO NOTHING RETURNING 1)"
            " SELECT count(*) FROM stored"
        )
        if stored != len(new):
            raise StoreUnavailable("another transaction has just stored the same sessions")
    await upsert(connection, "sessions", _SESSION_COLUMNS, changed)


async def _write_responses(connection: Any, responses: Sequence[Values]) -> None:
    if not responses:
        return
    await stage(connection, "session_stats", (*RESPONSE_COLUMNS, "request_id"), responses)
    assigned = ", ".join(f"{name} = n.{name}" for name in RESPONSE_COLUMNS)
    await connection.execute(
        f"UPDATE session_stats e SET {assigned} FROM new_session_stats n WHERE e.request_id = n.request_id"
    )


async def _write_tools(connection: Any, rows: EventRows) -> None:
    columns = ("session_id", "request_id", "model_name", "tool_name", "call_count", "error_count")
    calls = [(*values, 0) for values in rows.tool_calls]
    await upsert(connection, "tool_calls", columns, calls, kept=("error_count",))
    await upsert(connection, "tool_call_executions", _CALL_COLUMNS, _by_key(rows.executions, 1, 4))
    await upsert(connection, "tool_call_executions", _RESULT_COLUMNS, _by_key(rows.results, 1, 5), kept=_KEPT_BY_RESULT)
    # request_id is second; tool_name is fifth of a result, fourth of a call, whose result may have come before it.
    changed = sorted({(row[1], row[4]) for row in rows.results} | {(row[1], row[3]) for row in rows.tool_calls})
    if changed:
        await connection.execute(_UPDATE_TOOL_CALLS, [key[0] for key in changed], [key[1] for key in changed])


async def _write_texts(connection: Any, rows: EventRows) -> None:
    if not rows.texts:
        return
    values, seen = [], dict[tuple[str, int], int]()
    for place, text in enumerate(rows.texts):
        number = seen[text.session_id, text.seq] = seen.get((text.session_id, text.seq), -1) + 1
        ids = (place, text.session_id, text.request_id)
        values.append((*ids, text.kind, text.content, text.seq, number, normal_text(text.content)))
    await stage(connection, "texts", _TEXT_COLUMNS, values)
    rest = ", ".join(_TEXT_COLUMNS[1:])
    await connection.execute(
        f"INSERT INTO texts (text_id, {rest}) SELECT nextval('text_ids'), {rest}"
        " FROM (SELECT * FROM new_texts ORDER BY text_id) AS n ON CONFLICT DO NOTHING"
    )


def _by_key(rows: Iterable[Values], *places: int) -> list[Values]:
    """One row for each key, the last one: a statement may change a row only once. What has no key stays as it is."""
    found: dict[object, Values] = {}
    for number, row in enumerate(rows):
        key = tuple(row[place] for place in places)
        found[number if None in key else key] = row
    return list(found.values())
