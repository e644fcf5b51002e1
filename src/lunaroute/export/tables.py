"""A row per exchange, with the columns of `session_stats` (docs/contract.md), as CSV or Parquet.

Parquet is compressed with zstd; times are UTC timestamps, flags are booleans; DuckDB, Polars and pandas read it as
it is.
"""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO

from lunaroute.errors import LunarouteError
from lunaroute.query.sessions import SessionSummary
from lunaroute.query.stores.base import Index
from lunaroute.query.stores.opening import dialect_of
from lunaroute.sinks.tables.described import TABLES

_COLUMNS = TABLES["session_stats"]


def write_csv(index: Index, sessions: Sequence[SessionSummary], out: BinaryIO) -> None:
    """With a header line; text that a spreadsheet would run as a formula is disarmed."""
    text = io.TextIOWrapper(out, encoding="utf-8", errors="replace", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([one.name for one in _COLUMNS])
    for row in _rows(index, sessions):
        # Truth values as SQLite has them, whatever store they are from.
        writer.writerow([int(value) if value is True or value is False else _disarmed(value) for value in row])
    text.detach()


def write_parquet(index: Index, sessions: Sequence[SessionSummary], out: BinaryIO) -> None:
    """Raises LunarouteError where pyarrow is not installed."""
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise LunarouteError("pyarrow is not installed: pip install 'lunaroute[arrow]'") from None
    kinds = {"text": arrow.string(), "integer": arrow.int64(), "real": arrow.float64()}
    rows = list(_rows(index, sessions))
    arrays, fields = [], []
    for at, column in enumerate(_COLUMNS):
        values = [row[at] for row in rows]
        if column.kind == "moment":
            fields.append(arrow.field(column.name, arrow.timestamp("us", "UTC")))
            values = [None if one is None else datetime.fromisoformat(one).replace(tzinfo=UTC) for one in values]
        elif column.kind == "flag":
            fields.append(arrow.field(column.name, arrow.bool_()))
            values = [None if one is None else bool(one) for one in values]
        else:
            fields.append(arrow.field(column.name, kinds[column.kind]))
        arrays.append(arrow.array(values, fields[-1].type))
    table = arrow.Table.from_arrays(arrays, schema=arrow.schema(fields))
    parquet.write_table(table, out, compression="zstd")


def _rows(index: Index, sessions: Sequence[SessionSummary]) -> Iterator[tuple[Any, ...]]:
    names = ", ".join(f"e.{one.name}" for one in _COLUMNS)
    query = (
        f"SELECT {names} FROM {dialect_of(index).exchanges} WHERE e.session_id = ? ORDER BY e.started_at, e.request_id"
    )
    for one in sessions:
        yield from index.execute(query, (one.session_id,))


def _disarmed(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
