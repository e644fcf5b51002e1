"""Bedrock: Converse, and Anthropic's models behind `invoke`, in AWS's own framing of streams."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lunaroute.dialects import framing_of, read_response_body, reader_for
from lunaroute.dialects.facts import RequestFacts, ResponseFacts, ToolResult, WireFormat
from tests.aws_frames import aws_frame
from tests.unit.dialects.streams import message_of

EVENT_STREAM = "application/vnd.amazon.eventstream"


def read_frames(wire_format: WireFormat, *frames: bytes) -> ResponseFacts:
    chunks = [(number * 10, frame) for number, frame in enumerate(frames, 1)]
    assert framing_of(wire_format, chunks, EVENT_STREAM) == "aws_events"
    return read_response_body(wire_format, chunks, EVENT_STREAM, 200)


def read_whole(body: dict[str, Any], status_code: int = 200) -> ResponseFacts:
    return read_response_body("bedrock_converse", [(1, json.dumps(body).encode())], "application/json", status_code)


def test_a_converse_request() -> None:
    body = {
        "system": [{"text": "s"}],
        "messages": [
            {"role": "user", "content": [{"text": "first"}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]},
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "t1",
                            "content": [{"json": {"a": 1}}, {"text": "b"}],
                            "status": "error",
                        }
                    },
                    {"text": "next"},
                ],
            },
        ],
        "toolConfig": {"tools": [{"toolSpec": {}}, {"systemTool": {}}]},
    }
    facts = reader_for("bedrock_converse").read_request(json.dumps(body).encode())

    assert (facts.request_text, facts.message_count, facts.tool_count) == ("next", 3, 2)
    assert facts.tool_results == [
        ToolResult(tool_call_id="t1", output_text='{"a":1}\nb', output_size_bytes=9, is_error=True)
    ]


def converse_request(**fields: Any) -> RequestFacts:
    return reader_for("bedrock_converse").read_request(json.dumps(fields).encode())


def test_what_a_cache_sees_of_a_converse_request() -> None:
    system, tool = {"text": "you are"}, {"toolSpec": {"name": "ls"}}
    facts = converse_request(system=[system], toolConfig={"tools": [tool]}, messages=[])
    assert [(block.kind, block.excerpt) for block in facts.system_blocks] == [("text", "you are")]
    assert [block.kind for block in facts.tool_blocks] == ["tool"]
    assert (facts.has_system_prompt, facts.has_tools) == (True, True)
    choice = {"tools": [tool], "toolChoice": {"any": {}}}
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    asked = [
        facts,
        converse_request(toolConfig=choice),
        converse_request(additionalModelRequestFields=thinking),
        converse_request(additionalModelRequestFields={"top_k": 4}),
    ]
    settings = [one.cache_settings for one in asked]
    assert settings[0] == settings[3] == b""
    assert len(set(settings)) == 3


def test_cache_points_come_and_go_and_say_nothing() -> None:
    point = {"cachePoint": {"type": "default"}}
    tools, texts = [{"toolSpec": {"name": "ls"}}], [{"text": "a"}]
    plain = converse_request(system=texts, toolConfig={"tools": tools}, messages=[{"role": "user", "content": texts}])
    marked = converse_request(
        system=[*texts, point],
        toolConfig={"tools": [*tools, point]},
        messages=[{"role": "user", "content": [*texts, point]}],
    )
    assert marked.tool_count == 1
    assert (marked.tool_blocks, marked.system_blocks) == (plain.tool_blocks, plain.system_blocks)
    [one], [other] = marked.messages, plain.messages
    assert (one.digest, one.blocks) == (other.digest, other.blocks)
    assert marked.marks.chain == plain.marks.chain
    assert not converse_request(system=[point], messages=[]).has_system_prompt


def test_a_converse_answer_counts_the_cache_into_the_input() -> None:
    content = [
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        {"text": "hi"},
        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
        {"toolUse": {"toolUseId": "t2", "name": "nova_code_interpreter", "input": {}, "type": "server_tool_use"}},
    ]
    usage = {
        "inputTokens": 3,
        "outputTokens": 12,
        "cacheReadInputTokens": 170,
        "cacheWriteInputTokens": 23,
        "cacheDetails": [{"inputTokens": 20, "ttl": "5m"}, {"inputTokens": 3, "ttl": "1h"}],
        "totalTokens": 208,
    }
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use", "usage": usage}
    facts = read_whole(body)

    assert (facts.text, facts.thinking_text, facts.finish_reason) == ("hi", "hm", "tool_use")
    assert [(c.tool_name, c.tool_call_id, c.arguments) for c in facts.tool_calls] == [("f", "t1", '{"a":1}')]
    assert [c.tool_call_id for c in facts.server_tool_calls] == ["t2"]
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (196, 12)
    assert (facts.usage.cache_creation_5m_tokens, facts.usage.cache_creation_1h_tokens) == (20, 3)


def test_a_converse_stream() -> None:
    facts = read_frames(
        "bedrock_converse",
        aws_frame("messageStart", {"role": "assistant", "p": "abc"}),
        aws_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
        aws_frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Hel"}}),
        aws_frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "lo"}}),
        aws_frame("contentBlockStop", {"contentBlockIndex": 1}),
        aws_frame("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}),
        aws_frame("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"a"'}}}),
        aws_frame("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": ":1}"}}}),
        aws_frame("contentBlockStop", {"contentBlockIndex": 2}),
        aws_frame("messageStop", {"stopReason": "tool_use"}),
        aws_frame("metadata", {"usage": {"inputTokens": 5, "outputTokens": 6}, "metrics": {"latencyMs": 9}}),
    )
    assert (facts.text, facts.thinking_text, facts.finish_reason) == ("Hello", "hm", "tool_use")
    assert [(c.tool_name, c.arguments, c.t_ns) for c in facts.tool_calls] == [("f", '{"a":1}', 90)]
    assert facts.is_finished
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (5, 6)
    assert message_of(facts)["output"]["message"]["content"][1] == {"text": "Hello"}


def test_a_converse_stream_that_breaks_off() -> None:
    facts = read_frames(
        "bedrock_converse",
        aws_frame("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}),
        aws_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": '{"a"'}}}),
        aws_frame("throttlingException", {"message": "slow down"}, message_type="exception"),
    )
    assert facts.error is not None
    assert (facts.error.type, facts.error.message) == ("throttlingException", "slow down")
    assert [(c.tool_name, c.arguments) for c in facts.tool_calls] == [("f", '{"a"')]
    assert not facts.is_finished


def test_anthropics_events_are_taken_out_of_their_wrapping() -> None:
    events = [
        {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 3}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}},
    ]
    frames = [
        aws_frame("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "a"})
        for event in events
    ]
    facts = read_frames("anthropic_messages", *frames)

    assert (facts.text, facts.finish_reason, facts.is_finished) == ("hi", "end_turn", True)
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (3, 4)


@pytest.mark.parametrize(
    ("event", "counts"),
    [
        ({"metadata": {"usage": {"inputTokens": 30, "outputTokens": 55}}}, (30, 55)),
        ({"amazon-bedrock-invocationMetrics": {"inputTokenCount": 20, "outputTokenCount": 10}}, (20, 10)),
    ],
)
def test_what_invoke_reports_of_other_models(event: dict[str, Any], counts: tuple[int, int]) -> None:
    wrapped = aws_frame("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode()})
    usage = read_frames("metered", wrapped).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == counts


def test_bytes_that_are_no_frames_tell_nothing() -> None:
    facts = read_response_body("bedrock_converse", [(1, b"AAAAmAAAAFIBMYNgCzpldmVudA==")], EVENT_STREAM, 200)
    assert facts == ResponseFacts()
