"""A row per exchange, with the columns of `session_stats` (docs/contract.md), as CSV or Parquet.

Parquet is compressed with zstd; times are UTC timestamps, flags are booleans; DuckDB, Polars and pandas read it as
it is.
"""

from __future__ import annotations

import csv
import importlib
import io
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO

from lunaroute.errors import LunarouteError
from lunaroute.query.sessions import SessionSummary

_FLAGS = {"is_streaming", "success", "has_system_prompt", "has_tools", "has_refusal", "thinking_is_estimated"}
_FLAGS |= {"is_request_complete"}
_TIMES = {"started_at", "completed_at"}


def write_csv(index: sqlite3.Connection, sessions: Sequence[SessionSummary], out: BinaryIO) -> None:
    """With a header line; text that a spreadsheet would run as a formula is disarmed."""
    text = io.TextIOWrapper(out, encoding="utf-8", errors="replace", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    columns = [name for name, _ in _columns(index)]
    writer.writerow(columns)
    for row in _rows(index, columns, sessions):
        writer.writerow([_disarmed(value) for value in row])
    text.detach()


def write_parquet(index: sqlite3.Connection, sessions: Sequence[SessionSummary], out: BinaryIO) -> None:
    """Raises LunarouteError where pyarrow is not installed."""
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise LunarouteError("pyarrow is not installed: pip install 'lunaroute[arrow]'") from None
    columns = _columns(index)
    kinds = {"TEXT": arrow.string(), "INTEGER": arrow.int64(), "REAL": arrow.float64()}
    rows = list(_rows(index, [name for name, _ in columns], sessions))
    arrays, fields = [], []
    for at, (name, kind) in enumerate(columns):
        values = [row[at] for row in rows]
        if name in _TIMES:
            fields.append(arrow.field(name, arrow.timestamp("us", "UTC")))
            values = [None if one is None else datetime.fromisoformat(one).replace(tzinfo=UTC) for one in values]
        elif name in _FLAGS:
            fields.append(arrow.field(name, arrow.bool_()))
            values = [None if one is None else bool(one) for one in values]
        else:
            fields.append(arrow.field(name, kinds[kind]))
        arrays.append(arrow.array(values, fields[-1].type))
    table = arrow.Table.from_arrays(arrays, schema=arrow.schema(fields))
    parquet.write_table(table, out, compression="zstd")


def _columns(index: sqlite3.Connection) -> list[tuple[str, str]]:
    return [(row[1], row[2]) for row in index.execute("PRAGMA table_info(session_stats)")]


def _rows(
    index: sqlite3.Connection, columns: list[str], sessions: Sequence[SessionSummary]
) -> Iterator[tuple[Any, ...]]:
    query = f"SELECT {', '.join(columns)} FROM session_stats WHERE session_id = ? ORDER BY started_at, rowid"
    for one in sessions:
        yield from index.execute(query, (one.session_id,))


def _disarmed(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
