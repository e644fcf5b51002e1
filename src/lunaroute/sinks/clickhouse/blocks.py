"""[pure] A batch of rows as the blocks that are inserted, table by table.

In: the rows of a batch, and the halves of rows that are stored already. Out: bytes, the same for the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from lunaroute.sinks.tables.event_rows import EventRows
from lunaroute.sinks.tables.exchange_columns import REQUEST_COLUMNS, RESPONSE_COLUMNS
from lunaroute.sinks.tables.normal_text import normal_text
from lunaroute.sinks.tables.rows import Values
from lunaroute.stats import histogram

from .known import CALL_COLUMNS, CallKey, Stored
from .schema import WRITTEN, place_of_text

Block = tuple[str, bytes]
"""A table, and its rows as JSONEachRow."""

_ANSWER_COLUMNS: Final = (*REQUEST_COLUMNS, *RESPONSE_COLUMNS)
_STARTED_AT: Final = _ANSWER_COLUMNS.index("started_at")
_OUTCOME: Final = _ANSWER_COLUMNS.index("outcome")
_LATENCY: Final = _ANSWER_COLUMNS.index("provider_latency_ms")
_TTFT: Final = _ANSWER_COLUMNS.index("time_to_first_token_ms")
_CALLED: Final = (
    *("session_id", "request_id", "model_name", "tool_name", "tool_call_id", "call_number", "arguments", "called_at"),
    "input_size_bytes",
)
_RETURNED: Final = (
    *("session_id", "request_id", "result_request_id", "model_name", "tool_name", "tool_call_id", "arguments"),
    *("returned_at", "execution_time_ms", "is_shared_bound", "input_size_bytes", "output_size_bytes", "success"),
    *("error", "exit_code", "success_evidence", "success_confidence", "parallel_count"),
)
_SUMMED: Final = ("session_stats", "tool_call_executions")
"""Of which days are summed; they are the first that are written."""
_EXECUTION: Final = CALL_COLUMNS.index("execution_time_ms")
_RETURNED_AT: Final = CALL_COLUMNS.index("returned_at")
_MOST: Final = 1 << 63

_KINDS: Final[dict[str, Any]] = {
    name: msgspec.defstruct(name, [(one.name, Any, None) for one in table.columns], omit_defaults=True)
    for name, table in WRITTEN.items()
}
"""A struct per table: encoding one is faster than encoding a dictionary, and NULLs are left out."""
_encoder = msgspec.json.Encoder()


class Blocks(msgspec.Struct):
    """What a batch inserts, and what is to be remembered once it is stored."""

    blocks: list[Block]
    requests: dict[str, Values]
    """Without an answer, as of now."""
    calls: dict[CallKey, Values]
    """Without a result, as of now."""


def make_blocks(rows: EventRows, stored: Stored, late_before: str | None = None) -> Blocks:
    """`late_before`: exchanges and calls of days before this one leave marks (`day_sums`). Raises ValueError,
    UnicodeError or OverflowError where a value cannot be stored."""
    exchanges = _exchanges(rows, stored)
    calls = _calls(rows, stored)
    values: dict[str, list[Values]] = {
        "session_stats": [
            (*row, rows.sessions[row[0]].client_name, _bucket(row[_LATENCY]), _bucket(row[_TTFT]), version)
            for row in exchanges.values()
            for version in [0 if row[_OUTCOME] is None else 1]
        ],
        "tool_call_executions": [
            (*row, _bucket(row[_EXECUTION]), 0 if row[_RETURNED_AT] is None else 1) for row in calls.values()
        ],
        "session_facets": list(rows.facets),
        "texts": list(_texts(rows)),
        "sessions": [msgspec.structs.astuple(row) for row in rows.sessions.values()],
    }
    blocks = [(name, _encoded(name, values[name])) for name in WRITTEN if values[name]]
    if late_before is not None:
        late = sorted(day for day in _days(exchanges.values(), rows) if day < late_before)
        # After the rows that are summed, and before the session that counts them.
        marked = sum(name in _SUMMED for name, _ in blocks)
        if late:
            blocks.insert(marked, ("late_rows", _marks(late, blocks[:marked])))
    return Blocks(
        blocks=blocks,
        requests={key: row[: len(REQUEST_COLUMNS)] for key, row in exchanges.items() if row[_OUTCOME] is None},
        calls={key: row for key, row in calls.items() if row[_RETURNED_AT] is None},
    )


def _days(exchanges: Iterable[Values], rows: EventRows) -> set[str]:
    """Those to whose sums a batch adds."""
    moments = [row[_STARTED_AT] for row in exchanges]
    moments += [row[_CALLED.index("called_at")] for row in rows.executions]
    moments += [row[_RETURNED.index("returned_at")] for row in rows.results]
    return {moment[:10] for moment in moments if moment is not None}


def _marks(days: Sequence[str], blocks: Sequence[Block]) -> bytes:
    """One for each day, the same for the same batch."""
    batch = hashlib.sha256(b"".join(block for _, block in blocks)).hexdigest()[:32]
    return _encoder.encode_lines([{"day": day, "batch": batch} for day in days])


def answered(blocks: Blocks, rows: EventRows) -> set[str]:
    """Requests that wait no more."""
    return {str(values[-1]) for values in rows.responses} - blocks.requests.keys()


def _exchanges(rows: EventRows, stored: Stored) -> dict[str, Values]:
    found = {str(row[1]): row for row in rows.exchanges()}
    for *response, request_id in rows.responses:
        found[request_id] = (*stored.requests[request_id], *response)
    return found


def _calls(rows: EventRows, stored: Stored) -> dict[CallKey, Values]:
    """A call with its result, where that has come: what each says of itself, the call first."""
    found: dict[CallKey, dict[str, Any]] = {}
    for row in rows.executions:
        call = dict(zip(_CALLED, row, strict=True))
        found[call["request_id"], call["tool_call_id"]] = call
    for row in rows.results:
        result = dict(zip(_RETURNED, row, strict=True))
        key = (result["request_id"], result["tool_call_id"])
        known = found.get(key)
        if known is None and key in stored.calls:
            known = dict(zip(CALL_COLUMNS, stored.calls[key], strict=True))
        asked = {} if known is None else {name: known[name] for name in _CALLED}
        found[key] = result | asked
    return {key: tuple(call.get(name) for name in CALL_COLUMNS) for key, call in found.items()}


def _texts(rows: EventRows) -> Iterable[Values]:
    seen: dict[tuple[str, int], int] = {}
    for text in rows.texts:
        number = seen[text.session_id, text.seq] = seen.get((text.session_id, text.seq), -1) + 1
        place = place_of_text(datetime.fromisoformat(f"{text.at}+00:00"), number)
        ids = (place, text.session_id, text.request_id)
        yield (*ids, text.kind, text.content, text.seq, number, normal_text(text.content))


def _bucket(duration_ms: float | None) -> int | None:
    return None if duration_ms is None else histogram.bucket_of(duration_ms)


def _encoded(name: str, rows: list[Values]) -> bytes:
    kind, columns = _KINDS[name], WRITTEN[name].columns
    order = [column.name for column in columns]
    given = {
        "session_stats": (*_ANSWER_COLUMNS, "session_client_name", "latency_bucket", "ttft_bucket", "version"),
    }.get(name, order)
    if any(type(value) is int and not -_MOST <= value < _MOST for row in rows for value in row):
        raise OverflowError("a number is too large")
    if list(given) == order:
        return _encoder.encode_lines([kind(*row) for row in rows])
    return _encoder.encode_lines([kind(**dict(zip(given, row, strict=True))) for row in rows])
