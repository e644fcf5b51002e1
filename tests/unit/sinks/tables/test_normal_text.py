"""A text's words are those of SQLite's full-text index, so that every store finds the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.sinks.tables.normal_text import normal_text, words_of

_LATIN = st.characters(codec="latin-1", exclude_characters="\0ªº¹²³¼½¾")
_WRITTEN = st.text(alphabet=st.one_of(_LATIN, st.sampled_from("漢字кирилЛИЦΑΒγςſ…„“–—€😀\u200b_-.")), max_size=60)


def _indexed(text: str) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as alone:
        alone.execute("CREATE VIRTUAL TABLE one USING fts5(content, tokenize='unicode61')")
        alone.execute("CREATE VIRTUAL TABLE words USING fts5vocab(one, instance)")
        alone.execute("INSERT INTO one VALUES (?)", (text,))
        return [row[0] for row in alone.execute("SELECT term FROM words ORDER BY offset")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("...", []),
        ("Buy milk, then_more", ["buy", "milk", "then", "more"]),
        ("Übermäßig naïve CAFÉ", ["ubermaßig", "naive", "cafe"]),
        ("a.txt 100% 漢字", ["a", "txt", "100", "漢字"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words == _indexed(text)
    assert normal_text(text) == (f" {' '.join(words)} " if words else "")


@settings(max_examples=150, deadline=None)
@given(_WRITTEN)
def test_words_are_those_of_sqlite(text: str) -> None:
    assert words_of(text) == _indexed(text)
