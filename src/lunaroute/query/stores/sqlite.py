"""[pure] How SQLite says it: by its full-text index, and with the planner told which index to go through."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from lunaroute.query.fragment import Sql

from .base import TEXTS_LOOKED_AT, Dialect, TextSearch, words_of

MARK_BEGIN: Final = "\x02"
MARK_END: Final = "\x03"
"""Around each found word of a snippet."""
SNIPPET_WORDS: Final = 16


class SqliteDialect(Dialect):
    is_told_the_way: ClassVar[bool] = True
    # Lists go through an index ten times smaller than the rows.
    sessions: ClassVar[str] = "sessions s INDEXED BY sessions_to_filter"
    exchanges_by_time: ClassVar[str] = "session_stats e INDEXED BY session_stats_by_time"
    # In the order of time, whatever the planner thinks of other indexes.
    exchanges_of_sessions: ClassVar[str] = (
        "session_stats e INDEXED BY session_stats_by_time CROSS JOIN sessions s ON s.session_id = e.session_id"
    )

    def hour(self, moment: str) -> str:
        return f"substr({moment}, 1, 13) || ':00:00'"

    def hour_of_day(self, moment: str) -> str:
        return f"substr({moment}, 12, 2)"

    def weekday(self, moment: str) -> str:
        # Counted from Sunday, 0.
        return f"substr('sunmontuewedthufrisat', 1 + 3 * strftime('%w', {moment}), 3)"

    def texts_with(self, column: str, phrase: str, since: datetime | None = None) -> Sql:
        return Sql(
            f"SELECT {column} FROM texts WHERE text_id IN (SELECT rowid FROM text_search WHERE text_search MATCH ?"
            f" ORDER BY rowid DESC LIMIT {TEXTS_LOOKED_AT})",
            (match_phrase(phrase),),
        )

    def search(self, phrases: Sequence[str], without: Sequence[str]) -> TextSearch:
        snippet = f"snippet(text_search, 0, ?, ?, '…', {SNIPPET_WORDS})"
        return TextSearch(
            source="text_search CROSS JOIN texts t ON t.text_id = text_search.rowid",
            place="text_search.rowid",
            found=Sql("text_search MATCH ?", (match_phrases(phrases, without),)),
            shown=Sql(f"iif(typeof(t.content) = 'blob', t.content, {snippet})", (MARK_BEGIN, MARK_END)),
        )


def match_phrase(text: str) -> str:
    """The FTS5 expression for a phrase: its words next to each other; a word that ends with `*` is the beginning of
    one. Raises FilterError where there is no word in it."""
    words = words_of(text)
    is_beginning = words[-1].endswith("*")
    phrase = " ".join(word.rstrip("*") for word in words)
    return f'"{phrase}"*' if is_beginning else f'"{phrase}"'


def match_phrases(phrases: Sequence[str], without: Sequence[str]) -> str:
    """The FTS5 expression for texts with all of the first and none of the second."""
    found = " AND ".join(match_phrase(one) for one in phrases)
    return found + "".join(f" NOT {match_phrase(one)}" for one in without)


SQLITE: Final = SqliteDialect()
