"""Messages read one by one: what a repetition has in common with its original, and what a cache would see."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.dialects import reader_for
from lunaroute.dialects.facts import Dialect, MessageFacts
from lunaroute.dialects.loose import encode

MARKER = {"type": "ephemeral", "ttl": "1h"}


def messages(dialect: Dialect, *given: dict[str, Any]) -> list[MessageFacts]:
    field = {"openai_responses": "input", "gemini": "contents"}.get(dialect, "messages")
    return reader_for(dialect).read_request(json.dumps({field: given}).encode()).messages


def digests(dialect: Dialect, *given: dict[str, Any]) -> list[bytes | None]:
    return [message.digest for message in messages(dialect, *given)]


def answer_digests(dialect: Dialect, response: dict[str, Any]) -> list[bytes]:
    return [one.digest for one in reader_for(dialect).read_answer(response) if one.digest is not None]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


ANTHROPIC_FORMS = [
    user("hello"),
    user([text("hello")]),
    user([text("hello", cache_control=MARKER)]),
    user([text("hello \n", citations=None)]),
    user([text("<system-reminder>\nnow\n</system-reminder>"), text("hello")]),
    {"content": "hello", "role": "user"},
]


def test_what_clients_change_in_a_repetition_does_not_change_its_digest() -> None:
    assert len(set(digests("anthropic_messages", *ANTHROPIC_FORMS))) == 1
    chat = [user("hello"), user([text("hello")]), user([text("hello", cache_control=MARKER)]), user("hello\n")]
    assert len(set(digests("openai_chat", *chat))) == 1
    part = {"type": "input_text", "text": "hello"}
    items = [user("hello"), user([part]), {"type": "message", "id": "msg_1", "status": "completed", **user([part])}]
    assert len(set(digests("openai_responses", *items))) == 1
    places = [f"<session_context>\n{files}\n</session_context>" for files in ("a.txt", "a.txt b.txt")]
    contents = [{"role": "user", "parts": [{"text": place}, {"text": "hello"}]} for place in places]
    assert len(set(digests("gemini", *contents))) == 1


@pytest.mark.parametrize("dialect", ["anthropic_messages", "openai_chat", "openai_responses"])
def test_other_words_another_speaker_or_another_order_is_another_digest(dialect: Dialect) -> None:
    given = [user("a"), user("b"), {"role": "assistant", "content": "a"}, user([text("a"), text("b")]), user("a\nb")]
    found = digests(dialect, *given)
    assert None not in found
    assert len(set(found)) == len(given)


@pytest.mark.parametrize("dialect", ["anthropic_messages", "openai_chat", "openai_responses"])
def test_what_says_nothing_about_the_conversation_has_no_digest(dialect: Dialect) -> None:
    silent = [{"role": "system", "content": "rules"}, user(""), user([]), user("<system-reminder>x</system-reminder>")]
    assert digests(dialect, *silent) == [None] * 4


def test_anthropics_answer_and_its_repetition_have_one_digest() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        text("I look", citations=None),
        {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {"path": "."}},
    ]
    response = {"id": "msg_1", "type": "message", "role": "assistant", "content": content, "stop_reason": "tool_use"}
    repeated = [
        text("I look"),
        {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {}, "cache_control": MARKER},
    ]

    echo = {"role": "assistant", "content": repeated}
    assert answer_digests("anthropic_messages", response) == digests("anthropic_messages", echo)
    assert messages("anthropic_messages", echo)[0].tool_call_ids == ["toolu_1"]


def test_chats_answer_and_its_repetition_have_one_digest() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "ls", "arguments": '{"path": "."}'}}
    answer = {"role": "assistant", "content": None, "refusal": None, "annotations": [], "tool_calls": [call]}
    echo = {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [call | {"index": 0}]}

    response = {"choices": [{"index": 0, "message": answer, "finish_reason": "tool_calls"}]}
    assert answer_digests("openai_chat", response) == digests("openai_chat", echo)
    assert messages("openai_chat", echo)[0].tool_call_ids == ["call_1"]


def test_responses_output_and_its_repetition_have_the_same_digests() -> None:
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "ls", "arguments": "{}"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}},
    ]
    echo = [
        {"role": "assistant", "content": "hi"},
        {"type": "function_call", "call_id": "call_1", "name": "ls", "arguments": "{ }"},
        {"action": {"query": "q"}, "type": "web_search_call"},
    ]
    assert answer_digests("openai_responses", {"output": output}) == digests("openai_responses", *echo)
    assert [one.role for one in messages("openai_responses", *output)] == ["assistant"] * 4


@pytest.mark.parametrize("message", [None, {}, {"choices": 3}, {"output": {}}, {"role": 4}, {"choices": [{}]}])
@pytest.mark.parametrize("dialect", ["anthropic_messages", "openai_chat", "openai_responses", "unknown"])
def test_a_response_without_an_answer_has_no_messages(dialect: Dialect, message: Any) -> None:
    assert reader_for(dialect).read_answer(message) == []


def test_a_block_differs_for_a_cache_in_anything_but_the_markers() -> None:
    def block(**fields: Any) -> bytes:
        return messages("anthropic_messages", user([fields]))[0].blocks[0].digest

    image = {"type": "image", "source": {"type": "base64", "data": "AAAA"}}
    assert block(**image) == block(**image, cache_control=MARKER) == block(cache_control=None, **image)
    assert block(**image) != block(**image | {"source": {"data": "AAAB"}})
    assert block(**text("a")) == messages("anthropic_messages", user("a"))[0].blocks[0].digest
    assert block(**text("a")) != block(**text("a "))
    quoting = {"type": "tool_result", "tool_use_id": "t", "content": 'x,"cache_control":{"a":1}'}
    assert block(**quoting) != block(**quoting | {"content": "x"})


def test_a_message_tells_its_size_and_its_blocks() -> None:
    long = "é" * 300
    raw = encode({"messages": [user([text(long), {"type": "image", "source": {}}])]})
    found = reader_for("anthropic_messages").read_request(raw).messages[0]
    assert found.size_bytes == len(raw) - len('{"messages":[]}')
    assert [(one.kind, one.size_bytes, len(one.excerpt)) for one in found.blocks] == [
        ("text", 600, 120),
        ("image", len('{"type":"image","source":{}}'), len('{"type":"image","source":{}}')),
    ]
