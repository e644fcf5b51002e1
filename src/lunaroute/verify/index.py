"""[io] The index against one made anew from the same files: each row that is not the same, and in which columns.

Both are only read. Sessions that are not over are left out, and with them the sums over sessions and the search index:
the recorder may be a batch ahead or behind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

_KEYS = {
    "sessions": ("session_id",),
    "session_stats": ("session_id", "request_id"),
    "tool_calls": ("session_id", "request_id", "tool_name"),
    "tool_call_executions": ("session_id", "request_id", "tool_call_id"),
    "session_facets": ("session_id", "kind", "value"),
    "texts": ("session_id", "request_id", "kind", "content"),
}
"""Tables of single sessions, and what names a row of them."""

_SUMS = {
    "daily_stats": ("day", "provider", "model_name"),
    "hourly_stats": ("hour", "provider", "model_name", "client_name"),
    "hourly_latencies": ("hour", "provider", "model_name", "client_name"),
    "daily_latencies": ("day", "provider", "model_name", "client_name"),
    "daily_tool_stats": ("day", "model_name", "client_name", "tool_name"),
}
"""Tables of sums over sessions."""

_ROW_NUMBERS = {"text_id"}
"""Columns that depend on the order in which things were recorded."""
_MOST_ROWS = 1000
"""Of one table that are told."""
_MOST_KEY_CHARS = 80


def compare_indexes(live: Path, anew: Path, left_out: Collection[str], *, is_quiet: bool) -> Iterator[str]:
    """What is wrong with `live`, if `anew` is right. `left_out` are ids of sessions that are not over; `is_quiet`:
    there are none, and nobody writes. Raises sqlite3.Error where `live` cannot be read."""
    with closing(sqlite3.connect(f"{anew.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("ATTACH ? AS live", (f"{live.absolute().as_uri()}?mode=ro",))
        connection.execute("CREATE TEMP TABLE left_out (session_id TEXT PRIMARY KEY)")
        connection.executemany("INSERT INTO left_out VALUES (?)", [(one,) for one in left_out])
        for (text,) in connection.execute("PRAGMA live.quick_check(20)"):
            if text != "ok":
                yield f"damaged: {text}"
        for table, key in _KEYS.items():
            where = "WHERE session_id NOT IN (SELECT session_id FROM left_out)"
            yield from _compare_tables(connection, table, key, where)
        if is_quiet:
            for table, key in _SUMS.items():
                yield from _compare_tables(connection, table, key, "")
            yield from _compare_search(connection)


def _compare_tables(connection: sqlite3.Connection, table: str, key: Sequence[str], where: str) -> Iterator[str]:
    columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})") if row[1] not in _ROW_NUMBERS]
    names = ", ".join(columns)
    # Counted, because a row of some tables may rightly be there twice.
    rows = [f"SELECT {names}, count(*) FROM {place}.{table} {where} GROUP BY {names}" for place in ("main", "live")]
    wanted = _by_key(connection, columns, key, f"{rows[0]} EXCEPT {rows[1]}")
    found = _by_key(connection, columns, key, f"{rows[1]} EXCEPT {rows[0]}")
    for one in sorted(wanted.keys() | found.keys(), key=repr):
        which = f"{table} {' '.join(str(part)[:_MOST_KEY_CHARS] for part in one)}"
        if one not in found:
            yield f"{which}: the row is missing"
        elif one not in wanted:
            yield f"{which}: the row is of nothing in the files"
        else:
            yield f"{which}: {', '.join(_differences((*columns, 'rows'), found[one], wanted[one]))}"


def _by_key(
    connection: sqlite3.Connection, columns: Sequence[str], key: Sequence[str], query: str
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    places = [columns.index(name) for name in key]
    rows = connection.execute(f"{query} LIMIT {_MOST_ROWS}")
    return {tuple(row[place] for place in places): row for row in rows}


def _differences(names: Sequence[str], found: Sequence[Any], wanted: Sequence[Any]) -> Iterator[str]:
    for name, has, should_have in zip(names, found, wanted, strict=True):
        if has != should_have:
            yield f"{name} is {_short(has)}, the files say {_short(should_have)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_KEY_CHARS else f"{text[:_MOST_KEY_CHARS]}…"


def _compare_search(connection: sqlite3.Connection) -> Iterator[str]:
    """The words of the search index, and how often each is in it."""
    for place in ("main", "live"):
        connection.execute(f"CREATE VIRTUAL TABLE temp.{place}_words USING fts5vocab({place}, text_search, row)")
    wanted = _words(connection, "main_words EXCEPT SELECT * FROM live_words")
    found = _words(connection, "live_words EXCEPT SELECT * FROM main_words")
    for word in sorted(wanted.keys() | found.keys()):
        has, should_have = found.get(word, (0, 0)), wanted.get(word, (0, 0))
        yield f"search: the word {word!r} is there {has[1]} times, the files have it {should_have[1]} times"


def _words(connection: sqlite3.Connection, tables: str) -> dict[str, tuple[int, int]]:
    """{word: (texts with it, times in all)}."""
    rows = connection.execute(f"SELECT * FROM {tables} LIMIT {_MOST_ROWS}")
    return {word: (texts, times) for word, texts, times in rows}
