"""A re-sent history is looked through once, and that can be seen in nothing but the time it takes."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.redact import known
from lunaroute.redact.finder import Finder
from lunaroute.redact.settings import RedactionSettings
from tests.secrets import SECRETS

TEXTS = [text for text, _ in SECRETS.values()]
WORDS = ["some words about nothing", 'he said "no"', "a\nb\tc", "é", "\\", *TEXTS]


def _body(messages: list[str]) -> bytes:
    content = [{"role": "user", "content": message} for message in messages]
    return json.dumps({"model": "m", "messages": content}).encode()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_SMALLEST_BYTES", 200)
    monkeypatch.setattr(known, "_MARGIN_BYTES", 50)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(WORDS), min_size=5, max_size=60), st.lists(st.integers(1, 60), max_size=5), st.data())
def test_findings_are_the_same_whatever_was_known(words: list[str], turns: list[int], data: st.DataObject) -> None:
    finder = Finder(RedactionSettings())
    for turn in [*turns, len(words)]:
        body = _body([*words[:turn], data.draw(st.sampled_from(WORDS))])
        assert finder.find(body) == Finder(RedactionSettings()).find(body)


def test_a_text_cut_or_changed_anywhere_is_found_in_as_if_it_were_new() -> None:
    chance = random.Random(3)
    whole = _body([chance.choice(WORDS) for _ in range(80)])
    fresh = Finder(RedactionSettings())
    finder = Finder(RedactionSettings())
    for _ in range(60):
        at = chance.randrange(200, len(whole))
        changed = chance.choice(
            [whole[:at], whole[:at] + b"x" + whole[at:], whole[:at] + TEXTS[3].encode() + whole[at:]]
        )
        finder.find(whole)
        fresh._known = known.KnownTexts()
        assert finder.find(changed) == fresh.find(changed)


def test_most_of_a_re_sent_history_is_not_looked_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = Finder(RedactionSettings())
    words = ["some words about nothing"] * 500
    finder.find(_body(words))
    seen: list[int] = []
    looked = finder._find_all
    monkeypatch.setattr(finder, "_find_all", lambda text: seen.append(len(text)) or looked(text))
    finder.find(_body([*words, "one more"]))
    assert seen[0] < 3000


def test_memory_for_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_MOST_BYTES", 100_000)
    texts = known.KnownTexts()
    for number in range(200):
        texts.keep(b"%d" % number * 1000, [])
    assert texts._size_bytes <= 100_000
    assert sum(len(one.text) for one in texts._texts) == texts._size_bytes


def test_the_shared_beginning_is_measured_to_the_byte() -> None:
    for size in (0, 1, 65_535, 65_536, 65_537, 200_000):
        one, other = b"a" * size + b"b" + b"c" * 70_000, b"a" * size + b"d" + b"c" * 70_000
        assert known._common_bytes(one, other) == size
        assert known._common_bytes(b"a" * size, one) == size
