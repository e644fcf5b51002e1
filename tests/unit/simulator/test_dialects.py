"""Each dialect's stream amounts to its non-streamed body: same content, same ids of calls, same usage."""

import json
from typing import Any

import msgspec
import pytest

from lunaroute.simulator import anthropic, openai_chat, openai_responses
from lunaroute.simulator.dialect import Conversations, Dialect
from lunaroute.simulator.ids import IdMint
from lunaroute.simulator.tokens import PromptCache
from lunaroute.simulator.turn import Reply, RequestRefusedError, Step, ToolCall, Turn

CALLS = tuple(ToolCall(id=f"call_{n}", name="grep", arguments='{"pattern":"tot\\u00e4l","n":[1,2]}') for n in (1, 2))
TURNS = [
    Turn(thinking="", text="Hello, wörld — 你好!\n  indented\n", calls=()),
    Turn(thinking="Let me think.", text="I'll look.", calls=CALLS),
    Turn(thinking="", text="", calls=CALLS[:1]),
    Turn(thinking="cut", text="", calls=(), is_cut_short=True),
]
BODIES: list[tuple[Dialect, dict[str, Any]]] = [
    (anthropic, {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]}),
    (
        openai_chat,
        {
            "model": "gpt-5",
            "messages": [{"role": "user", "content": "hi"}],
            "stream_options": {"include_usage": True},
        },
    ),
    (openai_responses, {"model": "gpt-5", "input": "hi", "reasoning": {"summary": "auto"}}),
]
ALL = pytest.mark.parametrize(("dialect", "body"), BODIES, ids=[d.NAME for d, _ in BODIES])


def make_reply(dialect: Dialect, body: dict[str, Any], turn: Turn, **fields: Any) -> Reply:
    prompt = dialect.read_prompt(body, Conversations())
    tokens = PromptCache().charge(prompt, turn)
    return Reply(body=body, prompt=prompt, turn=turn, tokens=tokens, id="id_1", created_s=1_800_000_000, **fields)


def events(steps: list[Step]) -> list[Any]:
    """The data of every event; checks the framing on the way."""
    found = []
    for block in b"".join(step.data for step in steps).decode().removesuffix("\n\n").split("\n\n"):
        *names, data = block.split("\n")
        payload = data.removeprefix("data: ")
        assert data != payload
        event = "[DONE]" if payload == "[DONE]" else json.loads(payload)
        assert names == ([f"event: {event['type']}"] if "type" in event else [])
        found.append(event)
    return found


def whole_of_anthropic(stream: list[Any]) -> dict[str, Any]:
    message = stream[0]["message"]
    for event in stream:
        match event["type"]:
            case "content_block_start":
                message["content"].append(event["content_block"] | {"_json": ""})
            case "content_block_delta":
                block, delta = message["content"][event["index"]], dict(event["delta"])
                kind = delta.pop("type")
                for key, piece in delta.items():
                    block["_json" if kind == "input_json_delta" else key] += piece
            case "content_block_stop":
                text = message["content"][event["index"]].pop("_json")
                if text:
                    message["content"][event["index"]]["input"] = json.loads(text)
            case "message_delta":
                message |= event["delta"]
                if "usage" in event:
                    message["usage"] |= event["usage"]
    return message


def whole_of_chat(stream: list[Any]) -> dict[str, Any]:
    assert stream.pop() == "[DONE]"
    text, calls, finish = "", {}, None  # type: str, dict[int, Any], str | None
    for chunk in stream:
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            finish = choice["finish_reason"] or finish
            for delta in choice["delta"].get("tool_calls", []):
                call = calls.setdefault(delta["index"], {k: v for k, v in delta.items() if k != "index"})
                if call is not delta and "id" not in delta:
                    call["function"]["arguments"] += delta["function"]["arguments"]
    return {"text": text or None, "calls": list(calls.values()), "finish": finish, "usage": stream[-1].get("usage")}


@pytest.mark.parametrize("turn", TURNS)
def test_an_anthropic_stream_amounts_to_the_body(turn: Turn) -> None:
    reply = make_reply(*BODIES[0], turn)
    whole = anthropic.whole(reply, IdMint("a"), Conversations())
    assert whole_of_anthropic(events(anthropic.stream(reply, IdMint("a"), Conversations()))) == whole


@pytest.mark.parametrize("turn", TURNS)
def test_a_chat_stream_amounts_to_the_body(turn: Turn) -> None:
    reply = make_reply(*BODIES[1], turn)
    whole = openai_chat.whole(reply, IdMint("a"), Conversations())
    choice = whole["choices"][0]
    found = whole_of_chat(events(openai_chat.stream(reply, IdMint("a"), Conversations())))
    assert found == {
        "text": choice["message"]["content"],
        "calls": choice["message"].get("tool_calls", []),
        "finish": choice["finish_reason"],
        "usage": whole["usage"],
    }


@pytest.mark.parametrize("turn", TURNS)
def test_a_responses_stream_amounts_to_the_body(turn: Turn) -> None:
    reply = make_reply(*BODIES[2], turn)
    stream = events(openai_responses.stream(reply, IdMint("a"), Conversations()))
    whole = openai_responses.whole(reply, IdMint("a"), Conversations())
    assert stream[-1]["response"] == whole
    assert [event["item"] for event in stream if event["type"] == "response.output_item.done"] == whole["output"]
    assert [event["sequence_number"] for event in stream] == list(range(len(stream)))
    said = [e["delta"] for e in stream if e["type"] == "response.output_text.delta"]
    assert "".join(said) == turn.text


NAMESPACED = {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}


def test_responses_tools_of_every_kind_are_offered_to_the_model() -> None:
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    added = {"type": "additional_tools", "role": "developer", "tools": [NAMESPACED]}
    user = {"role": "user", "content": "hi"}
    body = {"model": "m", "input": [added, user], "tools": [function, {"type": "web_search"}]}
    tools = openai_responses.read_prompt(body, Conversations()).tools
    assert [(tool.name, tool.namespace, tool.is_freeform) for tool in tools] == [
        ("f", None, False),
        ("exec", "functions", True),
    ]


def test_a_custom_call_has_its_text_as_it_is() -> None:
    call = ToolCall(id="call_1", name="exec", arguments='text("x")\n', namespace="functions", is_freeform=True)
    reply = make_reply(*BODIES[2], Turn(thinking="", text="", calls=(call,)))
    (item,) = openai_responses.whole(reply, IdMint("a"), Conversations())["output"]
    assert (item["type"], item["input"], item["namespace"]) == ("custom_tool_call", 'text("x")\n', "functions")
    stream = events(openai_responses.stream(reply, IdMint("a"), Conversations()))
    deltas = [e["delta"] for e in stream if e["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == call.arguments


def test_a_sub_agent_is_told_its_task_by_another_agent() -> None:
    task = {
        "type": "agent_message",
        "author": "/root",
        "recipient": "/root/a",
        "content": [
            {"type": "input_text", "text": "Message Type: NEW_TASK\nPayload:"},
            {"type": "encrypted_content", "encrypted_content": "count"},
        ],
    }
    report = {"type": "agent_message", "content": [{"type": "input_text", "text": "Message Type: FINAL_ANSWER"}]}
    output = {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"}
    body = {"model": "m", "input": [{"role": "user", "content": "env"}, task, output, report]}
    prompt = openai_responses.read_prompt(body, Conversations())
    assert (prompt.user_text, prompt.round_count) == ("Message Type: NEW_TASK\nPayload:\ncount", 1)


@ALL
def test_hidden_usage_is_told_nowhere(dialect: Dialect, body: dict[str, Any]) -> None:
    reply = make_reply(dialect, body, TURNS[1], is_usage_hidden=True)
    steps = dialect.stream(reply, IdMint("a"), Conversations())
    whole = msgspec.json.encode(dialect.whole(reply, IdMint("a"), Conversations()))
    for text in (whole, b"".join(step.data for step in steps)):
        assert b'_tokens":1' not in text
        assert b'"total_tokens"' not in text
        assert b'"usage":{' not in text


def test_chat_usage_needs_include_usage() -> None:
    dialect, body = BODIES[1]
    reply = make_reply(dialect, {**body, "stream_options": {}}, TURNS[0])
    assert b"usage" not in b"".join(step.data for step in dialect.stream(reply, IdMint("a"), Conversations()))


def test_anthropic_usage_without_thinking_count_lacks_the_field() -> None:
    reply = make_reply(*BODIES[0], TURNS[1], is_thinking_usage_hidden=True)
    assert "output_tokens_details" not in anthropic.usage(reply)
    assert anthropic.usage(reply)["output_tokens"] == reply.tokens.output_tokens


@ALL
def test_totals_are_consistent(dialect: Dialect, body: dict[str, Any]) -> None:
    reply = make_reply(dialect, body, TURNS[1])
    usage = dialect.usage(reply)
    assert reply.tokens.thinking_tokens <= reply.tokens.output_tokens
    if dialect is not anthropic:
        sent, received = reply.tokens.input_tokens, reply.tokens.output_tokens
        assert usage["total_tokens"] == sent + received


@ALL
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529, 418])
def test_every_error_has_the_dialects_shape(dialect: Dialect, body: dict[str, Any], status: int) -> None:
    error = dialect.error(status, None, None, "req_1")
    assert error["error"]["message"]
    assert error["error"]["type"]
    if dialect is anthropic:
        assert (error["type"], error["request_id"]) == ("error", "req_1")
    else:
        assert set(error["error"]) == {"message", "type", "param", "code"}


@ALL
def test_a_request_without_content_is_refused(dialect: Dialect, body: dict[str, Any]) -> None:
    with pytest.raises(RequestRefusedError):
        dialect.read_prompt({"model": "m"}, Conversations())


def test_a_response_is_continued_by_its_id() -> None:
    kept, body = Conversations(), {"model": "gpt-5", "input": "first"}
    reply = make_reply(openai_responses, body, TURNS[0])
    openai_responses.whole(reply, IdMint("a"), kept)
    more = openai_responses.read_prompt({"model": "m", "input": "second", "previous_response_id": "id_1"}, kept)
    assert len(more.parts) == 3
    with pytest.raises(RequestRefusedError, match="not found"):
        openai_responses.read_prompt({"model": "m", "input": "x", "previous_response_id": "resp_none"}, kept)


def test_an_anthropic_thread_is_continued_by_its_message() -> None:
    kept = Conversations()
    body = {"model": "m", "system": "s", "messages": [{"role": "user", "content": "a"}], "thread": {"type": "create"}}
    anthropic.whole(make_reply(anthropic, body, TURNS[0]), IdMint("a"), kept)
    thread = {"type": "continue", "previous_message_id": "id_1"}
    more = anthropic.read_prompt({"model": "m", "messages": [{"role": "user", "content": "b"}], "thread": thread}, kept)
    assert (len(more.parts), more.user_text) == (4, "b")


@ALL
def test_a_hidden_reasoning_model_takes_time_to_think(dialect: Dialect, body: dict[str, Any]) -> None:
    """No text of its own in chat, but the same total pause."""
    quiet, thinking = (make_reply(dialect, body, t) for t in (TURNS[0], Turn(thinking="w " * 99, text="x", calls=())))
    pauses = [sum(s.delay_ms for s in dialect.stream(r, IdMint("a"), Conversations())) for r in (quiet, thinking)]
    assert pauses[1] > pauses[0] + 500
