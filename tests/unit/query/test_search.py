"""Search finds what was said by anybody, once, where it was new."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lunaroute.errors import FilterError
from lunaroute.query.grammar import parse_filter
from lunaroute.query.index import open_index
from lunaroute.query.search import MARK_BEGIN, MARK_END, search
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import TEN_OCLOCK, SessionScript
from tests.traffic import anthropic_request, anthropic_response, both, exchange_of


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Three exchanges of one conversation; each sends the whole history again."""
    ask = anthropic_request("why does the zebra test fail?")
    call = anthropic_response("I look at the giraffe.", calls=["toolu_1"])
    results = anthropic_request("", results=[("toolu_1", "the hippo is missing")])
    scripts = [
        exchange_of(1, ask, call, at_ms=0),
        exchange_of(2, results, anthropic_response("found it", response_id="msg_2"), at_ms=2000),
        exchange_of(3, anthropic_request("thanks, zebra fan"), anthropic_response("bye", response_id="m3"), at_ms=3000),
    ]
    pipeline = Pipeline(PipelineSettings())
    sink = SqliteSink(tmp_path / "sessions.db", tmp_path)
    sink.open()
    sink.write_batch([event for one in scripts for item in both(one) for event in pipeline.feed(item)])
    sink.close()
    opened = open_index(tmp_path / "sessions.db")
    assert opened is not None
    yield opened
    opened.close()


def _found(connection: sqlite3.Connection, text: str) -> list[str]:
    return [hit.kind for hit in search(connection, parse_filter(text, TEN_OCLOCK)).items]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("giraffe", ["assistant"]),
        ("hippo", ["tool_result"]),
        ('"zebra test"', ["user"]),
        ("zebra", ["user", "user"]),
        ("zeb*", ["user", "user"]),
        ("zebra -thanks", ["user"]),
        ("zebra fail", ["user"]),
        ("zebra kind:assistant", []),
        ("zebra provider:anthropic", ["user", "user"]),
        ("zebra error:true", []),
        ("elephant", []),
    ],
)
def test_words_are_found_once_where_they_were_new(connection: sqlite3.Connection, text: str, kinds: list[str]) -> None:
    assert _found(connection, text) == kinds


def test_arguments_of_tools_are_found(connection: sqlite3.Connection) -> None:
    (arguments,) = connection.execute("SELECT content FROM texts WHERE kind = 'tool_arguments'").fetchone()
    word = next(part for part in arguments.split('"') if part.isalpha())
    assert "tool_arguments" in _found(connection, word)


def test_a_snippet_marks_the_words(connection: sqlite3.Connection) -> None:
    (hit,) = search(connection, parse_filter("hippo", TEN_OCLOCK)).items
    assert hit.snippet == f"the {MARK_BEGIN}hippo{MARK_END} is missing"


def test_hits_come_in_pages(connection: sqlite3.Connection) -> None:
    wanted = parse_filter("zebra", TEN_OCLOCK)
    first = search(connection, wanted, limit=1)
    second = search(connection, wanted, limit=1, after=first.next)
    assert (first.items[0].request_id != second.items[0].request_id, second.next) == (True, None)


@pytest.mark.parametrize("text", ["", "error:true", "-zebra", "...", '"!?"'])
def test_a_search_without_a_word_is_refused(connection: sqlite3.Connection, text: str) -> None:
    with pytest.raises(FilterError, match="word"):
        _found(connection, text)


def test_a_long_text_is_kept_small_and_found_like_any_other(tmp_path: Path) -> None:
    words = " ".join(f"word{number}" for number in range(5000))
    script = SessionScript().turn(f"{words} the zebra is here {words}", "short zebra").complete()
    sink = SqliteSink(tmp_path / "sessions.db", tmp_path)
    sink.open()
    sink.write_batch(script.events)
    sink.close()
    connection = open_index(tmp_path / "sessions.db")
    assert connection is not None
    with closing(connection):
        short, long = search(connection, parse_filter("zebra", TEN_OCLOCK)).items
        sizes = connection.execute("SELECT typeof(content), length(content) FROM texts ORDER BY text_id").fetchall()
    assert f"the {MARK_BEGIN}zebra{MARK_END} is" in long.snippet
    assert len(long.snippet) < 300
    assert (short.snippet, short.kind, long.kind) == (f"short {MARK_BEGIN}zebra{MARK_END}", "assistant", "user")
    assert sizes[0][0] == "blob"
    assert sizes[0][1] < len(words) / 2
    assert sizes[1] == ("text", len("short zebra"))
