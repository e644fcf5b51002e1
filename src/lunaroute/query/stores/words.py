"""[pure] Stores that keep each text as its words (`sinks.tables.normal_text`): a phrase is in the texts whose words
hold its own, next to each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from lunaroute.query.fragment import ALWAYS, Sql
from lunaroute.sinks.tables import normal_text

from .base import TEXTS_LOOKED_AT, Dialect, TextSearch, words_of


class WordsDialect(Dialect):
    """What such stores say alike."""

    texts: ClassVar[str] = "texts t"
    texts_once: ClassVar[str] = ""

    def has_phrase(self, column: str, phrase: str) -> Sql:
        """Whether a text has the phrase. Raises FilterError where there is no word in it."""
        return Sql(f"{column} LIKE ?", (like_pattern(phrase),))

    def said_since(self, since: datetime | None) -> Sql:
        """Of texts, those since a moment, where their numbers say when that was."""
        return ALWAYS

    def texts_with(self, column: str, phrase: str, since: datetime | None = None) -> Sql:
        found = self.said_since(since) & self.has_phrase("words", phrase)
        newest = f"ORDER BY text_id DESC LIMIT {TEXTS_LOOKED_AT}"
        return Sql(f"SELECT {column} FROM texts WHERE {found.text} {newest}", found.parameters)

    def search(self, phrases: Sequence[str], without: Sequence[str]) -> TextSearch:
        found = ALWAYS
        for one in phrases:
            found &= self.has_phrase("t.words", one)
        for one in without:
            found &= Sql("t.words NOT LIKE ?", (like_pattern(one),))
        return TextSearch(
            source=self.texts, place="t.text_id", found=found, shown=Sql("t.content"), once=self.texts_once
        )


def like_pattern(phrase: str) -> str:
    """For texts that contain the phrase's words, with spaces around them but where a `*` stands. Words have no sign
    that means something to LIKE. Raises FilterError where there is no word in it."""
    typed = words_of(phrase)
    words = " ".join(normal_text.words_of(" ".join(typed)))
    if not words:
        return ""  # only signs that no word has: that is in no text
    return f"% {words}%" if typed[-1].endswith("*") else f"% {words} %"
