from __future__ import annotations

from typing import Any

import pytest

from lunaroute.dialects.facts import ProviderError
from tests.unit.dialects.streams import message_of, read_stream, times

DONE = "[DONE]"


def chunk(delta: Any = None, finish: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "gpt-x"}
    return head | {"choices": [choice]} | fields


def call(index: int | None, call_id: str | None = None, name: str | None = None, arguments: str = "") -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    entry: dict[str, Any] = {"function": function} | ({} if index is None else {"index": index})
    return entry | ({"id": call_id, "type": "function"} if call_id else {})


def test_a_stream_becomes_the_completion_a_plain_call_returns() -> None:
    facts = read_stream(
        "openai_chat",
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": 'Hi "'}, obfuscation="aaa"),
        chunk({"content": "é\n"}, obfuscation="b"),
        chunk({"content": "there"}, obfuscation=""),
        chunk({}, "stop", system_fingerprint="fp"),
        chunk(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}),
        DONE,
    )

    assert message_of(facts) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 5,
        "model": "gpt-x",
        "system_fingerprint": "fp",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": 'Hi "é\nthere'},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens, facts.usage.thinking_tokens) == (7, 3, None)
    assert (facts.text, facts.finish_reason, facts.is_finished) == ('Hi "é\nthere', "stop", True)
    assert times(facts) == [
        ("block_start", 20, "text"),
        ("first_token", 20, None),
        ("block_stop", 50, "text"),
        ("completion", 70, "stop"),
    ]


def test_parallel_tool_calls_end_when_the_next_begins() -> None:
    facts = read_stream(
        "openai_chat",
        chunk({"tool_calls": [call(0, "c0", "a")]}),
        chunk({"tool_calls": [call(0, arguments='{"x"')]}),
        chunk({"tool_calls": [call(0, arguments=":1}")]}),
        chunk({"tool_calls": [call(1, "c1", "b", "{}")]}),
        chunk({}, "tool_calls"),
        DONE,
    )

    found = [(c.tool_call_id, c.tool_name, c.arguments, c.t_ns) for c in facts.tool_calls]
    assert found == [("c0", "a", '{"x":1}', 40), ("c1", "b", "{}", 50)]
    assert message_of(facts)["choices"][0]["message"]["content"] is None
    assert facts.content_blocks == ["tool_call", "tool_call"]


@pytest.mark.parametrize(
    "entries",
    [
        [[call(None, "c0", "a", "{}"), call(None, "c1", "b", "[]")]],  # no index, in one chunk (Mistral)
        [[call(0, "c0", "a", "{}")], [call(0, "c1", "b", "[]")]],  # index 0 for each
        [[call(0, "c0", "a", "{")], [call(0, "c0", "a", "}"), call(1, "c1", "b", "[]")]],  # id and name repeated
        [[call(None, "c0", "a", "{")], [call(None, arguments="}")], [call(None, "c1", "b", "[]")]],
    ],
)
def test_tool_calls_are_told_apart_without_a_proper_index(entries: list[list[Any]]) -> None:
    facts = read_stream("openai_chat", *[chunk({"tool_calls": entry}) for entry in entries], chunk({}, "stop"))

    found = [(c.tool_call_id, c.tool_name, c.arguments) for c in facts.tool_calls]
    assert found == [("c0", "a", "{}"), ("c1", "b", "[]")]


def test_the_legacy_function_call_is_a_call_without_id() -> None:
    facts = read_stream(
        "openai_chat",
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk({}, "function_call"),
    )

    (found,) = facts.tool_calls
    assert (found.tool_call_id, found.tool_name, found.arguments, found.t_ns) == (None, "f", "{}", 30)


def test_first_non_empty_id_and_model_count_and_padding_is_not_kept() -> None:
    facts = read_stream(
        "openai_chat",
        {"id": "", "model": "", "choices": [], "prompt_filter_results": [{"index": 0}]},
        chunk({"content": "a"}, obfuscation="xyz", usage=None),
        chunk({"content": "b"}, id="other", usage=None),
        chunk({}, "stop"),
        chunk({}, "stop"),
    )

    message = message_of(facts)
    assert (facts.response_id, facts.model) == ("chatcmpl-1", "gpt-x")
    assert message["prompt_filter_results"] == [{"index": 0}]
    assert "obfuscation" not in message
    assert facts.usage is None
    assert facts.is_finished


@pytest.mark.parametrize(
    "last",
    [
        chunk({}, "stop", usage={"prompt_tokens": 1, "completion_tokens": 9}),
        chunk({}, "stop", x_groq={"id": "r", "usage": {"prompt_tokens": 1, "completion_tokens": 9}}),
        chunk({}, "stop")
        | {"choices": [{"index": 0, "delta": {}, "usage": {"prompt_tokens": 1, "completion_tokens": 9}}]},
    ],
)
def test_the_last_cumulative_usage_counts_wherever_it_stands(last: dict[str, Any]) -> None:
    early = {"prompt_tokens": 1, "completion_tokens": 2}
    facts = read_stream("openai_chat", chunk({"content": "a"}, usage=early), last, chunk({"content": ""}))

    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (1, 9)


def test_content_may_be_a_list_of_parts() -> None:
    def thinking(text: str) -> list[Any]:
        return [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]

    facts = read_stream(
        "openai_chat",
        chunk({"content": thinking("h")}),
        chunk({"content": thinking("m")}),
        chunk({"content": "answer"}),
        chunk({}, "stop"),
    )

    assert (facts.text, facts.thinking_text) == ("answer", "hm")
    assert facts.content_blocks == ["thinking", "text"]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_reasoning_text_is_thinking_and_not_text(field: str) -> None:
    facts = read_stream("openai_chat", chunk({field: "h"}), chunk({field: "m"}), chunk({"content": "a"}), DONE)

    assert (facts.thinking_text, facts.text) == ("hm", "a")
    assert message_of(facts)["choices"][0]["message"][field] == "hm"
    assert [kind for event, _, kind in times(facts) if event == "block_start"] == ["reasoning", "text"]


def test_an_error_in_the_middle_keeps_the_text_before_it() -> None:
    error = {"error": {"message": "Failed to call a function", "type": "invalid_request_error"}}
    facts = read_stream("openai_chat", chunk({"content": "so far"}), error)

    assert facts.error == ProviderError(type="invalid_request_error", message="Failed to call a function")
    assert facts.text == "so far"
    assert not facts.is_finished
    assert times(facts)[-1] == ("error", 20, "Failed to call a function")


def test_a_refusal_is_the_text_where_there_is_no_other() -> None:
    facts = read_stream("openai_chat", chunk({"refusal": "I "}), chunk({"refusal": "won't"}), chunk({}, "stop"), DONE)

    assert (facts.has_refusal, facts.text) == (True, "I won't")


def test_each_choice_of_several_keeps_its_own_text() -> None:
    facts = read_stream(
        "openai_chat",
        chunk({"content": "a"}, index=1),
        chunk({"content": "b"}),
        chunk({"content": "c"}, index=1),
        chunk({}, "length", index=1),
        chunk({}, "stop"),
    )

    choices = message_of(facts)["choices"]
    assert [choice["message"]["content"] for choice in choices] == ["b", "ac"]
    assert facts.finish_reason == "stop"


def test_what_has_no_rule_is_merged_and_kept() -> None:
    def audio(**fields: Any) -> dict[str, Any]:
        return chunk({"audio": fields})

    with_logprobs = chunk({"content": "a"})
    with_logprobs["choices"][0]["logprobs"] = {"content": [{"token": "a"}]}
    facts = read_stream(
        "openai_chat",
        audio(id="x", data="AA"),
        audio(id="x", data="BB"),
        with_logprobs,
        with_logprobs,
        chunk({}, "stop"),
    )

    (choice,) = message_of(facts)["choices"]
    assert choice["message"]["audio"] == {"id": "x", "data": "AABB"}
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "a"}]}


def test_the_message_so_far_beside_a_delta_is_not_added_again() -> None:
    def both(delta: str, so_far: str) -> dict[str, Any]:
        choice = {"index": 0, "message": {"content": so_far}, "delta": {"content": delta}}
        return {"id": "1", "choices": [choice]}

    facts = read_stream("openai_chat", both("ha", "ha"), both("ha", "haha"), both("ha", "hahaha"), DONE)

    assert facts.text == "hahaha"


def test_a_cut_stream_is_not_finished() -> None:
    facts = read_stream("openai_chat", chunk({"content": "a"}), chunk({"tool_calls": [call(0, "c", "f", '{"x')]}))

    assert not facts.is_finished
    assert facts.text == "a"
    assert facts.tool_calls[0].arguments == '{"x'
