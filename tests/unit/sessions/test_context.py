"""What of a request is new: sizes that add up, and the first thing that differs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.dialects import reader_for
from lunaroute.sessions.context import change_since, prompt_of
from lunaroute.sessions.prompts import Change

MARKER = {"type": "ephemeral"}
TOOLS = [{"name": "ls", "input_schema": {}}, {"name": "cat", "input_schema": {}}]
BASE: dict[str, Any] = {
    "model": "claude",
    "system": [{"type": "text", "text": "be good"}, {"type": "text", "text": "be brief", "cache_control": MARKER}],
    "tools": TOOLS,
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hello", "cache_control": MARKER}]},
    ],
}
NEXT: dict[str, Any] = BASE | {
    "messages": [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]},
        {"role": "user", "content": [{"type": "text", "text": "more", "cache_control": MARKER}]},
    ]
}


def change(earlier: dict[str, Any] | None, later: dict[str, Any], dialect: Any = "anthropic_messages") -> Change:
    reader = reader_for(dialect)
    body = json.dumps(later).encode()
    facts = reader.read_request(body)
    before = None if earlier is None else prompt_of(reader.read_request(json.dumps(earlier).encode()))
    found = change_since(before, prompt_of(facts), facts, len(body))
    assert found.new_bytes + found.resent_bytes == len(body)
    assert min(found.new_bytes, found.resent_bytes) >= 0
    return found


def test_the_first_request_is_all_new() -> None:
    found = change(None, BASE)
    assert (found.resent_bytes, found.new_message_count, found.is_continued) == (0, 1, False)
    assert found.difference is None


def test_a_turn_that_goes_on_re_sends_the_beginning_wherever_the_cache_marker_is() -> None:
    found = change(BASE, NEXT)
    assert (found.is_continued, found.difference) == (True, None)
    assert (found.new_message_count, found.new_block_count) == (2, 3)
    fixed = len(json.dumps(NEXT["messages"][0]))
    assert found.resent_bytes > fixed
    assert found.new_bytes < len(json.dumps(NEXT)) - fixed


def test_the_same_request_again_is_new_in_nothing_but_its_frame() -> None:
    found = change(NEXT, NEXT)
    assert (found.is_continued, found.new_message_count, found.new_block_count) == (True, 0, 0)


@pytest.mark.parametrize(
    ("more", "part", "kind", "excerpt"),
    [
        ({"model": "other"}, "model", None, "other"),
        ({"tools": [TOOLS[0], {"name": "rm"}]}, "tools", "tool", '{"name": "rm"}'),
        ({"tools": TOOLS[:1]}, "tools", None, None),
        ({"tools": []}, "tools", None, None),
        ({"system": [{"type": "text", "text": "be bad"}]}, "system", "text", "be bad"),
        ({"system": "be good"}, "system", None, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1}}, "settings", None, None),
        ({"tool_choice": {"type": "any"}}, "settings", None, None),
    ],
)
def test_what_comes_before_the_messages_and_differs(
    more: dict[str, Any], part: str, kind: str | None, excerpt: str | None
) -> None:
    found = change(BASE, NEXT | more)
    assert found.difference is not None
    assert not found.is_continued
    difference = found.difference
    assert (difference.part, difference.message_index, difference.block_kind, difference.excerpt) == (
        part,
        None,
        kind,
        excerpt,
    )


def test_the_first_block_that_differs_in_the_messages() -> None:
    edited = json.loads(json.dumps(NEXT))
    edited["messages"][1]["content"][1]["text"] = "edited"
    edited["messages"].append({"role": "user", "content": "and on"})
    found = change(NEXT, edited)
    assert found.difference is not None
    assert (found.difference.part, found.difference.message_index) == ("messages", 1)
    assert (found.difference.block_kind, found.difference.excerpt) == ("text", "edited")
    assert found.new_message_count == 3
    assert 0 < found.difference.bytes_before <= found.resent_bytes + len("hi")


def test_a_history_that_became_shorter_differs_where_it_ends() -> None:
    found = change(NEXT, BASE)
    assert found.difference is not None
    assert (found.difference.message_index, found.difference.block_kind) == (1, None)


def test_a_history_that_the_provider_holds_cannot_be_compared() -> None:
    first = {"model": "m", "input": "hello", "tools": TOOLS}
    held = {"model": "m", "input": "more", "tools": TOOLS, "previous_response_id": "resp_1"}
    found = change(first, held, "openai_responses")
    assert (found.is_continued, found.difference, found.new_message_count) == (True, None, 1)
    assert found.resent_bytes > 0  # the tools
    whole = first | {"input": [{"role": "user", "content": "hello"}, {"role": "user", "content": "more"}]}
    assert not change(held, whole, "openai_responses").is_continued


@pytest.mark.parametrize(
    ("dialect", "first", "second", "part"),
    [
        (
            "openai_chat",
            {"response_format": {"type": "text"}},
            {"response_format": {"type": "json"}},
            "settings",
        ),
        ("openai_chat", {"functions": [{"name": "a"}]}, {"functions": [{"name": "b"}]}, "tools"),
        ("openai_responses", {"instructions": "a"}, {"instructions": "b"}, "system"),
        ("gemini", {"systemInstruction": {"parts": []}}, {"systemInstruction": {"parts": [{}]}}, "system"),
        ("gemini", {"tools": [{"a": 1}]}, {"tools": [{"b": 1}]}, "tools"),
    ],
)
def test_each_dialect_knows_what_stands_before_its_messages(
    dialect: str, first: dict[str, Any], second: dict[str, Any], part: str
) -> None:
    found = change(first, second, dialect)
    assert found.difference is not None
    assert found.difference.part == part
