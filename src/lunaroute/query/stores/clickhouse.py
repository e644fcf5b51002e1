"""How ClickHouse says it, and a connection to it for reading.

Rows are read with FINAL, which leaves one of those that were written again. What other stores add up in the program,
single durations, is counted by bucket in the server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from lunaroute.errors import SqlRefused
from lunaroute.query.fragment import ALWAYS, Sql
from lunaroute.query.tenant import SCOPES, condition_of
from lunaroute.sinks.clickhouse.connection import ClickHouse, Refused
from lunaroute.sinks.clickhouse.migrations import check_version, has_day_sums, server_year
from lunaroute.sinks.clickhouse.reading import Answer, ask
from lunaroute.sinks.clickhouse.schema import OLDEST_WITH_TEXT_INDEX, RETURNED_AT, place_of_text

from .answer import Rows
from .words import WordsDialect, like_pattern

_MARK: Final = re.compile(r"\?|'(?:[^'\\]|\\.)*'")
_ESCAPED: Final = str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\0"})
_TOO_SLOW: Final = 159
_READ_ONLY: Final = {"readonly": 2}
"""2: reading only, though with settings."""


class ClickHouseDialect(WordsDialect):
    sessions: ClassVar[str] = "sessions AS s FINAL"
    session_rows: ClassVar[str] = "sessions FINAL"
    exchanges: ClassVar[str] = "session_stats AS e FINAL"
    exchanges_by_time: ClassVar[str] = "session_stats AS e FINAL"
    calls: ClassVar[str] = "tool_call_executions AS c FINAL"
    returned_at: ClassVar[str] = RETURNED_AT
    texts: ClassVar[str] = "texts AS t"
    # With FINAL and a condition on the session, all texts would be read before the newest were taken.
    texts_once: ClassVar[str] = " LIMIT 1 BY t.text_id, t.session_id, t.request_id"
    exchanges_of_sessions: ClassVar[str] = "session_stats AS e FINAL"
    client: ClassVar[str] = "e.session_client_name"
    hourly_latencies: ClassVar[str] = "(SELECT *, 1 AS exchanges FROM exchange_sums FINAL) AS e"
    is_asked_by_days: ClassVar[bool] = True
    has_buckets: ClassVar[bool] = True
    has_days: ClassVar[bool] = False

    def __init__(self, *, has_day_sums: bool = False, has_tokens: bool = False) -> None:
        """`has_tokens`: the server knows `hasAllTokens`, which a full-text index answers."""
        self.bucket_days = "bucket_days" if has_day_sums else ""
        self.tool_days = "tool_days" if has_day_sums else ""
        self._has_tokens = has_tokens

    def said_since(self, since: datetime | None) -> Sql:
        return ALWAYS if since is None else Sql("text_id >= ?", (place_of_text(since),))

    def has_phrase(self, column: str, phrase: str) -> Sql:
        """Where the server has an index of words, a word is looked up in it and no text is read; of several words,
        those texts are read that have them all."""
        like = super().has_phrase(column, phrase)
        pattern = like_pattern(phrase)
        words = [word for word in pattern.split() if "%" not in word]
        if not words or not self._has_tokens:
            return like
        listed = ", ".join("?" * len(words))
        found = Sql(f"hasAllTokens({column}, [{listed}])", tuple(words))
        return found if pattern == f"% {words[0]} %" else found & like

    def hour(self, moment: str) -> str:
        return f"concat(substring(toString({moment}), 1, 13), ':00:00')"

    def hour_of_day(self, moment: str) -> str:
        return f"substring(toString({moment}), 12, 2)"

    def weekday(self, moment: str) -> str:
        day = f"toDate(substring(ifNull(toString({moment}), '1970-01-01'), 1, 10))"
        return f"['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][toDayOfWeek({day})]"

    def negated(self, condition: Sql) -> Sql:
        # To old servers, false and unknown is unknown.
        return Sql(f"ifNull(NOT ({condition.text}), 1)", condition.parameters)

    def names(self, kind: str) -> Sql:
        return Sql("SELECT DISTINCT value FROM session_facets WHERE kind = ? ORDER BY value", (kind,))

    def called_tool(self, has_name: Sql) -> Sql:
        rows = f"tool_call_executions AS t WHERE t.called_at IS NOT NULL AND {has_name.text}"
        return Sql(f"e.request_id IN (SELECT t.request_id FROM {rows})", has_name.parameters)


class ClickHouseIndex:
    """A connection for reading. One thread at a time."""

    schema_sql = (
        'SELECT table AS "table", name AS "column", type FROM system.columns WHERE database = currentDatabase()'
        " AND table NOT LIKE '%\\_local' ORDER BY table, name"
    )

    def __init__(self, url: str, tenant: str | None = None) -> None:
        """`tenant`: only what is this one's is in it. Raises StoreUnavailable; LunarouteError where there are no
        tables, or other ones."""
        self._tenant = tenant
        self._server = ClickHouse(url)
        try:
            check_version(self._server)
            self.dialect = ClickHouseDialect(
                has_day_sums=has_day_sums(self._server), has_tokens=server_year(self._server) >= OLDEST_WITH_TEXT_INDEX
            )
        except BaseException:
            self.close()
            raise

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Rows:
        """Raises StoreUnavailable."""
        values = iter(parameters)
        text = sql if self._tenant is None else narrowed(sql, _literal(self._tenant))
        # What is in quotes stays as it is.
        text = _MARK.sub(lambda found: _literal(next(values)) if found[0] == "?" else found[0], text)
        return Rows(self._ask(text, {}).data)

    def ask(self, statement: str, max_rows: int, max_seconds: float) -> tuple[list[str], list[tuple[object, ...]]]:
        """Columns and rows of a statement of somebody's own. Raises SqlRefused."""
        if self._tenant is not None:
            raise SqlRefused("a tenant cannot ask in SQL")
        limits = {"max_execution_time": max(1, round(max_seconds)), "max_result_rows": max_rows}
        try:
            answer = self._ask(statement, {**limits, "result_overflow_mode": "break"})
        except Refused as error:
            if error.code == _TOO_SLOW:
                raise SqlRefused(
                    f"it took longer than {max_seconds:g} s and was stopped; narrow it, or allow more time"
                ) from error
            raise SqlRefused(str(error).partition(": ")[2]) from error
        return [one.name for one in answer.meta], [tuple(row) for row in answer.data[:max_rows]]

    def close(self) -> None:
        self._server.close()

    def _ask(self, statement: str, settings: dict[str, str | int]) -> Answer:
        return ask(self._server, statement, {**_READ_ONLY, **settings})


_SOURCE: Final = re.compile(
    r"\b(FROM|JOIN) (\w+)(?: AS)?(?: (?!FINAL|WHERE|ON|GROUP|ORDER|LIMIT|UNION)(\w+))?( FINAL)?"
)


def narrowed(sql: str, tenant: str) -> str:
    """A statement of ours with the tenant's rows in the place of every table; `tenant` as a literal. A statement that
    reads what is not known here finds nothing, too. There are no views of a connection's own over HTTP."""

    def own(found: re.Match[str]) -> str:
        word, table, alias, final = found.groups(default="")
        condition = condition_of(SCOPES.get(table, "none"), tenant, "session_facets AS")
        return f"{word} (SELECT t.* FROM {table} AS t{final} WHERE {condition}) AS {alias or table}"

    return _SOURCE.sub(own, sql)


def _literal(value: object) -> str:
    """Old servers have no parameters."""
    if isinstance(value, str):
        return f"'{value.translate(_ESCAPED)}'"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"no value of SQL: {value!r}")
