"""A finished session's rows made anew or taken out, and sums that are too old.

In: an open index. Out: the rows of the session as its file now says, or none; the sums of hours and days stay what they
were. Each function is one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from lunaroute.events.types import Event

from .batch import Batch
from .long_texts import plain_text
from .migrations import migrate
from .rollups import rows_of

_PER_SESSION = ("session_stats", "tool_calls", "tool_call_executions", "session_facets", "texts", "sessions")
_MERGE_PAGES = 500
_MERGES = 100
_SUMS = (
    *(("hourly_stats", "hour"), ("hourly_latencies", "hour")),
    *(("daily_stats", "day"), ("daily_latencies", "day"), ("daily_tool_stats", "day")),
)


def replace_session(index: sqlite3.Connection, session_id: str, events: Sequence[Event]) -> None:
    """Take the session's rows out and put in those of `events`, if any. Raises sqlite3.Error, nothing then being
    changed."""

    def work() -> None:
        texts = index.execute("SELECT text_id, content FROM texts WHERE session_id = ?", (session_id,)).fetchall()
        index.executemany(
            "INSERT INTO text_search (text_search, rowid, content) VALUES ('delete', ?, ?)",
            [(text_id, plain_text(content)) for text_id, content in texts],
        )
        for table in _PER_SESSION:
            index.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))
        if events:
            batch = Batch(index)
            for event in events:
                batch.add(event)
            batch.flush(has_sums=False)

    _in_transaction(index, work)


def delete_sums_before(index: sqlite3.Connection, day: str) -> int:
    """Delete sums of hours and days before this day (`YYYY-MM-DD`); how many. Raises sqlite3.Error."""
    deleted = 0

    def work() -> None:
        nonlocal deleted
        for table, column in _SUMS:
            deleted += index.execute(f"DELETE FROM {table} WHERE {column} < ?", (day,)).rowcount

    _in_transaction(index, work)
    return deleted


def sums_of(events: Sequence[Event]) -> tuple[list[Any], list[Any], list[Any]]:
    """What these events, all of a session, add to the sums: rows of hours, latencies and tools."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as alone:
        migrate(alone)
        batch = Batch(alone)
        for event in events:
            batch.add(event)
        batch.flush()
        return rows_of(alone)


def give_space_back(index: sqlite3.Connection) -> None:
    """Give pages that nothing stands in back to the file system. Raises sqlite3.Error."""
    _merge_words(index)
    index.executescript("PRAGMA incremental_vacuum")  # `execute` would stop after the first page
    index.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _merge_words(index: sqlite3.Connection) -> None:
    """Take deleted texts' words out of the full-text index, a bounded part of it in transactions of bounded size: the
    recorder writes in between."""
    pages = -_MERGE_PAGES  # the first of them begins a merge of everything
    for _ in range(_MERGES):
        before = index.total_changes
        index.execute("INSERT INTO text_search (text_search, rank) VALUES ('merge', ?)", (pages,))
        if index.total_changes - before < 2:
            return
        pages = _MERGE_PAGES


def _in_transaction(index: sqlite3.Connection, work: Callable[[], None]) -> None:
    index.execute("BEGIN IMMEDIATE")
    try:
        work()
        index.execute("COMMIT")
    except BaseException:
        index.execute("ROLLBACK")
        raise
