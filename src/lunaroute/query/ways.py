"""The way to the exchanges and calls that a filter names: through the index that leaves the fewest of them to look at.

In: a filter with recorded names. Out: a `Way`. SQLite keeps no statistics that would tell it that a tag is rare, so it
is told; what is taken changes nothing but the time of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from .conditions import within
from .filter import Among, Condition, Filter, Flag, Words
from .fragment import ALWAYS, Sql
from .stores.base import TEXTS_LOOKED_AT, Index

_FIRST_ERROR_STATUS = 400
_FEW = 50_000
"""So many exchanges are read one after the other in the time that looking for a better way would save."""
_MOST_COUNTED = 300_000
"""Of a span of time; that takes 10 ms. In a longer one everything is taken to lie."""
_DETOUR = 3
"""A row that another index leads to takes so many times the time of one in a row of them."""
_OF_SESSIONS: Final = ("tag", "client", "source")


class Way(msgspec.Struct, frozen=True):
    """How the rows of a table are reached, `session_stats e` where nothing else is said."""

    index: str
    condition: Sql = ALWAYS
    """What the index needs to be told; it holds for all that is wanted."""
    answered: Condition | None = None
    """What of the filter need not be asked again."""


BY_TIME: Final = Way("session_stats_by_time")
_BY_SESSION: Final = Way("session_stats_by_session")
_BY_REQUEST: Final = Way("sqlite_autoindex_session_stats_1")
"""The index that SQLite makes itself for the one UNIQUE column."""
_FAILURES: Final = Way("session_stats_failed", Sql("e.success = 0"))
_FAILED_CALLS: Final = Way("tool_call_executions_failed", Sql("c.success = 0"))


def way_to_exchanges(connection: Index, wanted: Filter) -> Way:
    """Raises sqlite3.Error."""
    in_time = within(wanted, "started_at")
    everything = Sql(f"session_stats INDEXED BY {BY_TIME.index} WHERE {in_time.text}", in_time.parameters)
    best, fewest = BY_TIME, _count(connection, everything, _MOST_COUNTED)
    if fewest < _FEW:
        return best
    if fewest == _MOST_COUNTED:
        fewest = _last_rowid(connection)
    for one in wanted.conditions:
        for way, count in _ways(connection, one, fewest // _DETOUR):
            if count * _DETOUR < fewest:
                best, fewest = way, count * _DETOUR
    return best


def way_to_calls(wanted: Filter) -> Way | None:
    """The same of `tool_call_executions c`; None = as SQLite thinks best."""
    return _FAILED_CALLS if Flag(field="error", is_so=True) in wanted.conditions else None


def _ways(connection: Index, condition: Condition, most: int) -> Iterator[tuple[Way, int]]:
    """Ways that a condition opens, and about how many exchanges each leads to; more than `most` need not be counted."""
    if _is_of_failures(condition):
        failed = Sql(f"session_stats INDEXED BY {_FAILURES.index} WHERE success = 0")
        yield _FAILURES, _count(connection, failed, most)
    elif isinstance(condition, Words) and not condition.is_negated:
        yield _BY_REQUEST, TEXTS_LOOKED_AT
    elif isinstance(condition, Among) and not condition.is_negated:
        marks = ", ".join("?" * len(condition.names))
        if condition.field in _OF_SESSIONS:
            named = Sql(f"session_facets WHERE kind = ? AND value IN ({marks})", (condition.field, *condition.names))
            per_session = _exchanges_per_session(connection)
            yield _BY_SESSION, _count(connection, named, most // per_session + 1) * per_session
        elif condition.field == "tool":
            called = Sql(f"tool_calls WHERE tool_name IN ({marks})", condition.names)
            count = _count(connection, called, most)
            found = Sql(f"e.request_id IN (SELECT request_id FROM {called.text})", called.parameters)
            yield Way(_BY_REQUEST.index, found, condition), count


def _is_of_failures(condition: Condition) -> bool:
    """Whether it can only hold for exchanges without success."""
    if isinstance(condition, Flag):
        return condition.field == "error" and condition.is_so
    if not isinstance(condition, Among) or condition.is_negated:
        return False
    if condition.field == "status":
        return all(name.isdigit() and int(name) >= _FIRST_ERROR_STATUS for name in condition.names)
    return condition.field == "outcome" and "completed" not in condition.names


def _exchanges_per_session(connection: Index) -> int:
    (sessions,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM sessions").fetchone()
    return max(1, _last_rowid(connection) // max(1, int(sessions)))


def _last_rowid(connection: Index) -> int:
    """About how many exchanges there are, without counting them."""
    (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM session_stats").fetchone()
    return int(last)


def _count(connection: Index, source: Sql, most: int) -> int:
    """How many rows there are, or `most`."""
    statement = f"SELECT count(*) FROM (SELECT 1 FROM {source.text} LIMIT {most})"
    (count,) = connection.execute(statement, source.parameters).fetchone()
    return int(count)
