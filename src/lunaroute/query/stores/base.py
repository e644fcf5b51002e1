"""What the questions need of a store: somebody who executes SQL, and how this store says what is not said alike
everywhere.

The tables and their columns have the same names in every store (docs/contract.md), and a store answers with the same
values: moments as text, whole numbers, and truth values as such or as 0 and 1.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Protocol, runtime_checkable

import msgspec

from lunaroute.errors import FilterError
from lunaroute.query.fragment import Sql

_WORD: Final = re.compile(r"\w+\*?", re.UNICODE)

TEXTS_LOOKED_AT: Final = 20_000
"""A word that everybody says is looked for in so many of the newest texts that have it."""


class Answer(Protocol):
    """Rows, as `sqlite3.Cursor` has them."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Index(Protocol):
    """A connection for reading; one of `sqlite3` is one."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Answer:
        """Raises sqlite3.Error or LunarouteError."""

    def close(self) -> None: ...


@runtime_checkable
class AskingIndex(Protocol):
    """One that answers statements of others, and sees to it itself that they only read."""

    def ask(self, statement: str, max_rows: int, max_seconds: float) -> tuple[list[str], list[tuple[object, ...]]]:
        """Columns and rows. Raises SqlRefused."""

    @property
    def schema_sql(self) -> str:
        """The statement that lists tables, columns and their types."""


class TextSearch(msgspec.Struct, frozen=True, kw_only=True):
    """How texts are found that have all of some phrases."""

    source: str
    """Rows of `texts`, as `t`, and what is needed beside them."""
    place: str
    """A number by which the texts that came last are the largest."""
    found: Sql
    """The condition."""
    shown: Sql
    """The text, or the words around what was found."""
    once: str = ""
    """The clause that leaves one of texts that the store has twice; they are the same in `place`, session and
    request."""


class Dialect(ABC):
    """What is said differently."""

    sessions: ClassVar[str] = "sessions s"
    """Of many sessions, those that a filter lets through."""
    session_rows: ClassVar[str] = "sessions"
    """Sessions by their ids, in full."""
    exchanges: ClassVar[str] = "session_stats e"
    exchanges_by_time: ClassVar[str] = "session_stats e"
    """In the order of time, whatever the filter."""
    calls: ClassVar[str] = "tool_call_executions c"
    returned_at: ClassVar[str] = "c.returned_at"
    """When its result came, of a call that has one."""
    exchanges_of_sessions: ClassVar[str] = "session_stats e JOIN sessions s ON s.session_id = e.session_id"
    """Exchanges in the order of time, with what is needed for `client`."""
    client: ClassVar[str] = "s.client_name"
    """The client of an exchange's session, in `exchanges_of_sessions`."""
    hourly_latencies: ClassVar[str] = "hourly_latencies"
    """With `has_buckets`, rows of so many `exchanges` in the same buckets instead of one for each hour."""
    bucket_days: str = ""
    """With `has_buckets`, the same by `day`; empty where there is no such thing."""
    tool_days: str = ""
    """With `has_buckets`, sums of calls and results by day, tool, model and bucket; empty where there is no such
    thing."""
    is_told_the_way: ClassVar[bool] = False
    """Its planner is told through which index to go (`query.ways`)."""
    is_asked_by_days: ClassVar[bool] = False
    """It finds the newest rows of some days sooner than the newest of all (`query.newest`)."""
    has_buckets: ClassVar[bool] = False
    """Rows say which bucket of a histogram their durations are counted in (`latency_bucket`, `ttft_bucket`,
    `execution_bucket`), so that the store can count them; and there are no sums of tools by day."""
    has_days: ClassVar[bool] = True
    """Sums by day are rows of their own and so quicker to add up than those of hours."""

    @abstractmethod
    def hour(self, moment: str) -> str:
        """The UTC hour of a column, `YYYY-MM-DD HH:00:00`."""

    @abstractmethod
    def hour_of_day(self, moment: str) -> str:
        """`00` to `23`, UTC."""

    @abstractmethod
    def weekday(self, moment: str) -> str:
        """`mon` to `sun`, UTC."""

    @abstractmethod
    def texts_with(self, column: str, phrase: str, since: datetime | None = None) -> Sql:
        """A column of the newest TEXTS_LOOKED_AT texts with the phrase; with `is_asked_by_days`, of those since a
        moment. Raises FilterError where it has no word."""

    @abstractmethod
    def search(self, phrases: Sequence[str], without: Sequence[str]) -> TextSearch:
        """Raises FilterError where a phrase has no word."""

    def negated(self, condition: Sql) -> Sql:
        """That it is not so; true also where the condition is neither true nor false."""
        return Sql(f"NOT ({condition.text})", condition.parameters)

    def names(self, kind: str) -> Sql:
        """Every value of `session_facets` of a kind, in order."""
        # Jumps from each name to the next one through the key: as many steps as there are names, not sessions.
        return Sql(
            "WITH RECURSIVE names (name) AS (SELECT min(value) FROM session_facets WHERE kind = ? UNION ALL"
            " SELECT (SELECT min(value) FROM session_facets WHERE kind = ? AND value > name) FROM names"
            " WHERE name IS NOT NULL) SELECT name FROM names WHERE name IS NOT NULL",
            (kind, kind),
        )

    def called_tool(self, has_name: Sql) -> Sql:
        """Exchanges `e` that have a row `t` of `tool_calls` of which `has_name` is true."""
        text = f"EXISTS (SELECT 1 FROM tool_calls t WHERE t.request_id = e.request_id AND {has_name.text})"
        return Sql(text, has_name.parameters)


def words_of(text: str) -> list[str]:
    """The words of a phrase, with a `*` where one is only a beginning. Raises FilterError where there are none."""
    words = _WORD.findall(text)
    if not words:
        raise FilterError(f"there is no word to look for in {text!r}")
    return words
