from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.dialects import reader_for
from lunaroute.dialects.facts import Dialect, IdentityHints, RequestFacts, ToolResult
from lunaroute.dialects.marks import marked

DIALECTS: list[Dialect] = ["anthropic_messages", "openai_chat", "openai_responses"]


def read(dialect: Dialect, **body: Any) -> RequestFacts:
    return reader_for(dialect).read_request(json.dumps(body).encode())


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def test_anthropic_outline() -> None:
    facts = read(
        "anthropic_messages",
        model="claude",
        stream=True,
        system=[text("be good")],
        tools=[{"name": "a"}, {"name": "b"}],
        messages=[user("hi"), assistant("yes"), user([text("one"), text("two")])],
        metadata={"user_id": "u"},
        thread={"type": "continue", "previous_message_id": "msg_1"},
    )

    assert [message.role for message in facts.messages] == ["user", "assistant", "user"]
    assert facts == RequestFacts(
        messages=facts.messages,
        marks=marked(facts.messages),
        tool_blocks=facts.tool_blocks,
        system_blocks=facts.system_blocks,
        cache_settings=facts.cache_settings,
        model="claude",
        is_streaming=True,
        request_text="one\ntwo",
        message_count=3,
        has_system_prompt=True,
        has_tools=True,
        tool_count=2,
        hints=IdentityHints(metadata_user_id="u", previous_response_id="msg_1"),
    )


@pytest.mark.parametrize("dialect", ["anthropic_messages", "openai_chat"])
@pytest.mark.parametrize(
    ("messages", "request_text"),
    [
        ([user("one"), user("two")], "one\ntwo"),
        ([user("old"), assistant("answer"), user("new")], "new"),
        ([user("question"), assistant("prefill:")], "question"),
        ([user([text("<system-reminder>\nx\n</system-reminder>"), text("mine")])], "mine"),
        ([user("<system-reminder>x</system-reminder>\n<system-reminder>y</system-reminder>\nmine")], "mine"),
        ([user("mine\n\n<system-reminder>x</system-reminder>")], "mine"),
        ([user([text("<system-reminder>never closed")])], ""),
        ([user("about <system-reminder> in prose")], "about <system-reminder> in prose"),
        ([user([{"type": "image", "source": {}}, text("look")])], "look"),
        ([{"role": "system", "content": "not the user's"}, user("mine")], "mine"),
        ([], ""),
    ],
)
def test_request_text_is_what_the_user_said_since_the_last_answer(
    dialect: Dialect, messages: list[Any], request_text: str
) -> None:
    assert read(dialect, messages=messages).request_text == request_text


def test_anthropic_tool_results_of_the_whole_history_are_found_and_are_not_user_text() -> None:
    def result(**fields: Any) -> dict[str, Any]:
        return {"type": "tool_result"} | fields

    image = {"type": "image", "source": {"data": "AAAA"}}
    facts = read(
        "anthropic_messages",
        messages=[
            user([result(tool_use_id="t1", content="plain é")]),
            assistant([{"type": "tool_use", "id": "t2", "name": "x", "input": {}}]),
            user(
                [
                    result(tool_use_id="t2", content=[text("a"), text("b")], is_error=True),
                    result(tool_use_id="t3"),
                    result(tool_use_id="t4", content=[text("a"), image], is_error=False),
                    result(content="no id"),
                    text("and now this"),
                ]
            ),
        ],
    )

    blocks_json = json.dumps([text("a"), image])
    assert facts.tool_results == [
        ToolResult(tool_call_id="t1", output_text="plain é", output_size_bytes=8),
        ToolResult(tool_call_id="t2", output_text="a\nb", output_size_bytes=3, is_error=True),
        ToolResult(tool_call_id="t3", output_text="", output_size_bytes=0),
        ToolResult(tool_call_id="t4", output_text="a", output_size_bytes=len(blocks_json), is_error=False),
    ]
    assert facts.request_text == "and now this"


@pytest.mark.parametrize(
    ("body", "has_system_prompt"),
    [
        ({"system": ""}, False),
        ({"system": []}, False),
        ({"system": None}, False),
        ({}, False),
        ({"system": "x"}, True),
        ({"messages": [{"role": "system", "content": "x"}]}, True),
    ],
)
def test_anthropic_system_prompt_may_stand_in_two_places(body: dict[str, Any], has_system_prompt: bool) -> None:
    assert read("anthropic_messages", **body).has_system_prompt is has_system_prompt


def test_chat_tool_results_tools_and_hints() -> None:
    facts = read(
        "openai_chat",
        model="gpt",
        messages=[
            {"role": "developer", "content": "rules"},
            user("hi"),
            {"role": "tool", "tool_call_id": "c1", "content": "out"},
            {"role": "tool", "tool_call_id": "c2", "content": [text("a"), text("b")]},
            {"role": "function", "name": "old", "content": "no id"},
        ],
        functions=[{}],
        prompt_cache_key="key",
    )

    assert facts.has_system_prompt
    assert (facts.has_tools, facts.tool_count, facts.message_count) == (True, 1, 5)
    assert facts.hints == IdentityHints(prompt_cache_key="key")
    assert facts.tool_results == [
        ToolResult(tool_call_id="c1", output_text="out", output_size_bytes=3),
        ToolResult(tool_call_id="c2", output_text="a\nb", output_size_bytes=3),
        ToolResult(tool_call_id=None, output_text="no id", output_size_bytes=5, tool_name="old"),
    ]


def test_responses_input_may_be_a_string() -> None:
    facts = read("openai_responses", model="gpt", input="hello", instructions="rules", stream=True)

    assert (facts.request_text, facts.message_count) == ("hello", 1)
    assert facts.has_system_prompt
    assert facts.is_streaming


def test_responses_items_of_an_agent() -> None:
    def message(role: str, value: str) -> dict[str, Any]:
        return {"type": "message", "role": role, "content": [{"type": "input_text", "text": value}]}

    facts = read(
        "openai_responses",
        input=[
            message("developer", "rules"),
            message("user", "<environment_context>\n<cwd>/</cwd>\n</environment_context>"),
            message("user", "old"),
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "call_id": "c1", "name": "x", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "out"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "é"}]},
            {"type": "apply_patch_call_output", "call_id": "c3", "status": "failed", "output": "no"},
            {"type": "program_output", "call_id": "c4", "output": "the provider's"},
            message("user", "new"),
            user("plain"),
        ],
        tools=[{}],
        prompt_cache_key="root",
        client_metadata={"thread_id": "t", "n": 1},
        previous_response_id="resp_1",
    )

    assert facts.request_text == "new\nplain"
    assert facts.has_system_prompt
    assert facts.tool_results == [
        ToolResult(tool_call_id="c1", output_text="out", output_size_bytes=3),
        ToolResult(tool_call_id="c2", output_text="é", output_size_bytes=2),
        ToolResult(tool_call_id="c3", output_text="no", output_size_bytes=2, is_error=True),
    ]
    assert facts.hints == IdentityHints(
        prompt_cache_key="root", client_metadata={"thread_id": "t"}, previous_response_id="resp_1"
    )


def test_responses_tools_are_counted_wherever_they_are_offered() -> None:
    offered = [
        {"type": "namespace", "name": "functions", "tools": [{"type": "custom"}, {"type": "function"}]},
        {"type": "namespace", "name": "empty"},
        {"type": "web_search"},
    ]
    item = {"type": "additional_tools", "role": "developer", "tools": offered}
    in_the_body = read("openai_responses", input="x", tools=offered)
    in_an_item = read("openai_responses", input=[item, user("x")])
    in_both = read("openai_responses", input=[item, user("x")], tools=[{"type": "function"}])

    assert [facts.tool_count for facts in (in_the_body, in_an_item, in_both)] == [3, 3, 4]
    assert in_an_item.has_tools
    assert not read("openai_responses", input=[{**item, "tools": "none"}]).has_tools


def test_responses_task_of_a_sub_agent_is_what_its_user_said_and_a_report_is_not() -> None:
    def agent_message(author: str, recipient: str, text: str) -> dict[str, Any]:
        return {
            "type": "agent_message",
            "author": author,
            "recipient": recipient,
            "content": [
                {"type": "input_text", "text": text},
                {"type": "encrypted_content", "encrypted_content": "gAAA"},
            ],
        }

    task = agent_message("/root", "/root/counter", "Task name: /root/counter")
    report = agent_message("/root/counter", "/root", "Done.")

    assert read(
        "openai_responses", input=[user("<environment_context>x</environment_context>"), task]
    ).request_text == ("Task name: /root/counter")
    assert read("openai_responses", input=[user("old"), {"type": "reasoning"}, report]).request_text == ""


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"3", b'"x"', b"\xff\xfe", b"[" * 5000, b'{"a":' * 5000])
def test_a_body_that_is_no_json_object_is_not_valid(dialect: Dialect, body: bytes) -> None:
    assert reader_for(dialect).read_request(body) == RequestFacts(is_valid=False)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_lone_surrogates_and_bad_utf8_do_not_hide_the_body(dialect: Dialect) -> None:
    field = b"input" if dialect == "openai_responses" else b"messages"
    body = b'{"model":"m","' + field + b'":[{"role":"user","content":"cut \\ud83d here \xff"}]}'

    facts = reader_for(dialect).read_request(body)

    assert facts.is_valid
    assert (facts.model, facts.request_text) == ("m", "cut \ufffd here \ufffd")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_wrong_types_are_left_out_and_the_rest_is_read(dialect: Dialect) -> None:
    items = [3, None, [], "x", {"role": 7, "content": {}}, user([7, None, text("kept")]), user(5)]

    facts = read(dialect, model=7, stream="yes", tools={}, messages=items, input=items, metadata=[], thread=3)

    assert facts.is_valid
    assert facts.model is None
    assert not facts.is_streaming
    assert facts.request_text == "kept"


def test_the_unknown_dialect_derives_nothing() -> None:
    assert read("unknown", model="m", messages=[user("hi")]) == RequestFacts()
