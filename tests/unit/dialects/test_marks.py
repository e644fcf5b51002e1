"""Marks beside messages: going on from those of the beginning gives the same as making all of them."""

from __future__ import annotations

import json

import pytest

from lunaroute.dialects import reader_for
from lunaroute.dialects.facts import Marks, RequestFacts
from lunaroute.dialects.marks import DIGEST_BYTES, NO_MARKS, first_of, marked, marks_of

MESSAGES = [
    {"role": "user", "content": "one"},
    {"role": "system", "content": []},
    {"role": "assistant", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]},
    {"role": "user", "content": "four"},
]
FACTS = reader_for("anthropic_messages").read_request(json.dumps({"messages": MESSAGES}).encode())


def test_marks_count_up() -> None:
    marks = marked(FACTS.messages)
    assert marks.block_counts == [1, 1, 3, 4]
    assert marks.sizes[-1] == sum(message.size_bytes for message in FACTS.messages)
    assert len(marks.blocks) == 4 * DIGEST_BYTES
    assert marks.chain[0] == marks.chain[1]  # a message that says nothing
    assert len(set(marks.chain)) == 3


@pytest.mark.parametrize("known", range(len(MESSAGES) + 1))
def test_marks_go_on_from_those_of_the_beginning(known: int) -> None:
    whole = marked(FACTS.messages)
    before = first_of(whole, known)
    assert before == marked(FACTS.messages[:known])
    assert marked(FACTS.messages[known:], before) == whole


def test_marks_that_a_reader_did_not_make_are_made() -> None:
    assert marks_of(RequestFacts(messages=FACTS.messages)) == FACTS.marks == marked(FACTS.messages)
    assert marks_of(RequestFacts()) == NO_MARKS == Marks()
