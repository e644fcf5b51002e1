"""Full-text search over what was new in each exchange: a text that is sent again with the history answers once.

In: words and a filter. Out: pages of `Hit`, the texts indexed last first (which is the order of time but for a
re-index, which goes session by session).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from typing import Any

import msgspec

from lunaroute.errors import FilterError
from lunaroute.sinks.sqlite.long_texts import plain_text

from .conditions import compile_filter, overlapping
from .filter import Among, Filter, Words
from .fragment import ALWAYS, Sql, is_among, limited
from .pages import Page, make_page, read_cursor
from .stores.base import Index, TextSearch
from .stores.opening import dialect_of
from .stores.sqlite import MARK_BEGIN, MARK_END, SNIPPET_WORDS, SqliteDialect, match_phrases
from .values import resolve


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    session_id: str
    request_id: str
    """The exchange in which the text was new."""
    kind: str
    """`user`, `assistant`, `tool_arguments` or `tool_result`."""
    session_started_at: str
    snippet: str
    """The words around what was found, which stands between MARK_BEGIN and MARK_END."""


def search(connection: Index, wanted: Filter, *, limit: int | None = 20, after: str | None = None) -> Page[Hit]:
    """Texts that have all words of the filter, in sessions that keep its other conditions. Raises FilterError,
    sqlite3.Error."""
    wanted = resolve(connection, wanted)
    dialect = dialect_of(connection)
    phrases, without = _phrases(wanted)
    texts = dialect.search(phrases, without)
    condition = texts.found & _kind(wanted)
    rest = Filter(
        conditions=tuple(one for one in wanted.conditions if not _is_about_text(one)),
        since=wanted.since,
        until=wanted.until,
    )
    if rest != Filter():
        sessions = compile_filter(rest, "sessions", dialect) & overlapping(rest)
        condition &= Sql(
            f"t.session_id IN (SELECT s.session_id FROM {dialect.sessions} WHERE {sessions.text})", sessions.parameters
        )
    if after is not None:
        condition &= Sql(f"{texts.place} < ?", read_cursor(after, tuple[int]))
    rows = _rows(connection, texts, condition, limit, once="")
    if texts.once and len({row[:3] for row in rows}) < len(rows):
        # Seldom so; and to leave one of each, the store has to find all before it takes the newest.
        rows = _rows(connection, texts, condition, limit, once=texts.once)
    starts = _starts(connection, {row[1] for row in rows})
    match = match_phrases(phrases, without)
    # SQLite has cut out what is short enough to stand in its index as it is.
    is_cut = isinstance(dialect, SqliteDialect)
    hits = [_hit(row, starts, None if is_cut and isinstance(row[4], str) else match) for row in rows]
    return make_page(hits, limit, [row[:1] for row in rows])


def _rows(connection: Index, texts: TextSearch, condition: Sql, limit: int | None, *, once: str) -> list[Any]:
    return connection.execute(
        f"SELECT {texts.place}, t.session_id, t.request_id, t.kind, {texts.shown.text} FROM {texts.source}"
        f" WHERE {condition.text} ORDER BY {texts.place} DESC{once}{limited(limit)}",
        (*texts.shown.parameters, *condition.parameters),
    ).fetchall()


def _is_about_text(condition: object) -> bool:
    return isinstance(condition, Words) or (isinstance(condition, Among) and condition.field == "kind")


def _phrases(wanted: Filter) -> tuple[list[str], list[str]]:
    """(to be found, not to be found). Raises FilterError where nothing is to be found."""
    words = [one for one in wanted.conditions if isinstance(one, Words)]
    found = [one.text for one in words if not one.is_negated]
    if not found:
        raise FilterError("say which words to look for")
    return found, [one.text for one in words if one.is_negated]


def _kind(wanted: Filter) -> Sql:
    condition = ALWAYS
    for one in wanted.conditions:
        if isinstance(one, Among) and one.field == "kind":
            condition &= is_among("t.kind", one.names, is_negated=one.is_negated)
    return condition


def _starts(connection: Index, session_ids: Collection[str]) -> dict[str, str]:
    found = is_among("session_id", tuple(session_ids))
    text = f"SELECT session_id, started_at FROM {dialect_of(connection).session_rows} WHERE {found.text}"
    return dict(connection.execute(text, found.parameters).fetchall())


def _snippet(content: str | bytes, match: str) -> str:
    """What SQLite's `snippet` says of a text, asked of an index of this text alone."""
    with closing(sqlite3.connect(":memory:")) as alone:
        alone.execute("CREATE VIRTUAL TABLE one USING fts5(content, tokenize='unicode61')")
        alone.execute("INSERT INTO one VALUES (?)", (plain_text(content),))
        asked = f"SELECT snippet(one, 0, ?, ?, '…', {SNIPPET_WORDS}) FROM one WHERE one MATCH ?"
        found = alone.execute(asked, (MARK_BEGIN, MARK_END, match)).fetchone()
    return "" if found is None else str(found[0])


def _hit(row: tuple[Any, ...], starts: dict[str, str], match: str | None) -> Hit:
    """`match` None: the row has the snippet already."""
    _, session_id, request_id, kind, found = row
    return Hit(
        session_id=session_id,
        request_id=request_id,
        kind=kind,
        session_started_at=starts[session_id],
        snippet=found if match is None else _snippet(found, match),
    )


__all__ = ["MARK_BEGIN", "MARK_END", "Hit", "search"]
