"""Full-text search over what was new in each exchange: a text that is sent again with the history answers once.

In: words and a filter. Out: pages of `Hit`, the texts indexed last first (which is the order of time but for a
re-index, which goes session by session).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any, Final

import msgspec

from lunaroute.errors import FilterError
from lunaroute.sinks.sqlite.long_texts import plain_text

from .conditions import Sql, compile_filter, match_text, overlapping
from .filter import Among, Filter, Words
from .pages import Page, make_page, read_cursor
from .values import resolve

MARK_BEGIN: Final = "\x02"
MARK_END: Final = "\x03"
"""Around each found word of a snippet."""

_SNIPPET_WORDS = 16


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    session_id: str
    request_id: str
    """The exchange in which the text was new."""
    kind: str
    """`user`, `assistant`, `tool_arguments` or `tool_result`."""
    session_started_at: str
    snippet: str
    """The words around what was found, which stands between MARK_BEGIN and MARK_END."""


def search(
    connection: sqlite3.Connection, wanted: Filter, *, limit: int | None = 20, after: str | None = None
) -> Page[Hit]:
    """Texts that have all words of the filter, in sessions that keep its other conditions. Raises FilterError,
    sqlite3.Error."""
    wanted = resolve(connection, wanted)
    condition = Sql("text_search MATCH ?", (_match(wanted),)) & _kind(wanted)
    rest = Filter(
        conditions=tuple(one for one in wanted.conditions if not _is_about_text(one)),
        since=wanted.since,
        until=wanted.until,
    )
    if rest != Filter():
        sessions = compile_filter(rest, "sessions") & overlapping(rest)
        condition &= Sql(
            "t.session_id IN (SELECT s.session_id FROM sessions s INDEXED BY sessions_to_filter"
            f" WHERE {sessions.text})",
            sessions.parameters,
        )
    if after is not None:
        condition &= Sql("text_search.rowid < ?", read_cursor(after, tuple[int]))
    rows = connection.execute(
        "SELECT t.text_id, t.session_id, t.request_id, t.kind, (SELECT started_at FROM sessions s WHERE"
        " s.session_id = t.session_id),"
        f" iif(typeof(t.content) = 'blob', t.content, snippet(text_search, 0, ?, ?, '…', {_SNIPPET_WORDS}))"
        " FROM text_search CROSS JOIN texts t ON t.text_id = text_search.rowid"
        f" WHERE {condition.text} ORDER BY text_search.rowid DESC LIMIT ?",
        (MARK_BEGIN, MARK_END, *condition.parameters, -1 if limit is None else limit + 1),
    ).fetchall()
    return make_page([_hit(row, wanted) for row in rows], limit, [row[:1] for row in rows])


def _is_about_text(condition: object) -> bool:
    return isinstance(condition, Words) or (isinstance(condition, Among) and condition.field == "kind")


def _match(wanted: Filter) -> str:
    words = [one for one in wanted.conditions if isinstance(one, Words)]
    found = [match_text(one.text) for one in words if not one.is_negated]
    if not found:
        raise FilterError("say which words to look for")
    return " AND ".join(found) + "".join(f" NOT {match_text(one.text)}" for one in words if one.is_negated)


def _kind(wanted: Filter) -> Sql:
    condition = Sql("1")
    for one in wanted.conditions:
        if isinstance(one, Among) and one.field == "kind":
            marks = ", ".join("?" * len(one.names))
            condition &= Sql(f"t.kind {'NOT ' if one.is_negated else ''}IN ({marks})", one.names)
    return condition


def _snippet_of_long(content: bytes, match: str) -> str:
    """What `snippet` would say of a text that the index keeps compressed: asked of an index of this text alone."""
    with closing(sqlite3.connect(":memory:")) as alone:
        alone.execute("CREATE VIRTUAL TABLE one USING fts5(content, tokenize='unicode61')")
        alone.execute("INSERT INTO one VALUES (?)", (plain_text(content),))
        asked = f"SELECT snippet(one, 0, ?, ?, '…', {_SNIPPET_WORDS}) FROM one WHERE one MATCH ?"
        found = alone.execute(asked, (MARK_BEGIN, MARK_END, match)).fetchone()
    return "" if found is None else str(found[0])


def _hit(row: tuple[Any, ...], wanted: Filter) -> Hit:
    *values, found = row
    _, session_id, request_id, kind, started_at = (str(value) for value in values)
    snippet = _snippet_of_long(found, _match(wanted)) if isinstance(found, bytes) else str(found)
    return Hit(
        session_id=session_id,
        request_id=request_id,
        kind=kind,
        session_started_at=started_at,
        snippet=snippet,
    )
