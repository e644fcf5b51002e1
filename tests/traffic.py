"""Builders for traffic: Anthropic exchanges with known numbers, as bytes of the wire.

request = anthropic_request("hi", results=[("toolu_1", "out")])
response = anthropic_response("hello", calls=["toolu_2"], input_tokens=10, output_tokens=5)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lunaroute.assemble.exchange import Assembled
from lunaroute.capture.records import HeaderList
from tests.exchanges import EVENT_STREAM, ExchangeScript

MODEL = "claude-haiku-4-5"


def session_header(session_id: str) -> HeaderList:
    return [(b"X-Claude-Code-Session-Id", session_id.encode())]


def anthropic_request(
    text: str,
    *,
    results: Sequence[tuple[str, str]] = (),
    errors: Sequence[str] = (),
    stream: bool = False,
    **more: Any,
) -> bytes:
    """A request with one user message that carries tool results first, then the text."""
    content: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": call_id, "content": output, "is_error": call_id in errors}
        for call_id, output in results
    ]
    content.append({"type": "text", "text": text})
    messages: list[dict[str, Any]] = [{"role": "user", "content": "start"}] if results else []
    messages += [
        {"role": "assistant", "content": [{"type": "tool_use", "id": call_id, "name": "Bash", "input": {}}]}
        for call_id, _ in results
    ]
    messages.append({"role": "user", "content": content})
    body = {"model": MODEL, "max_tokens": 100, "messages": messages, "stream": stream, **more}
    return json.dumps(body, separators=(",", ":")).encode()


def anthropic_response(
    text: str,
    *,
    calls: Sequence[str] = (),
    tool_name: str = "Bash",
    input_tokens: int = 10,
    output_tokens: int = 5,
    response_id: str = "msg_1",
    **usage: Any,
) -> bytes:
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    content += [{"type": "tool_use", "id": call_id, "name": tool_name, "input": {"n": 1}} for call_id in calls]
    body = {
        "id": response_id,
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content,
        "stop_reason": "tool_use" if calls else "end_turn",
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens, **usage},
    }
    return json.dumps(body, separators=(",", ":")).encode()


def anthropic_stream(text: str, *, input_tokens: int = 10, output_tokens: int = 5) -> list[bytes]:
    """The events of a streamed response, one read each."""
    start = {"id": "msg_s", "type": "message", "role": "assistant", "model": MODEL, "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**start, "usage": {"input_tokens": input_tokens, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": output_tokens}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def exchange_of(
    number: int,
    request: bytes,
    response: bytes | list[bytes],
    *,
    at_ms: int,
    session: str | None = "run-1",
    status: int = 200,
    **more: Any,
) -> ExchangeScript:
    """A whole exchange: sent 10 ms after `at_ms`, first byte after 100 ms, over after 200 ms (or a little later)."""
    headers = session_header(session) if session is not None else None
    script = ExchangeScript(number, body=request, headers=headers, opened_ms=at_ms, sent_ms=at_ms + 10, **more)
    chunks = response if isinstance(response, list) else [response]
    script.answer(status, at_ms=at_ms + 100, headers=EVENT_STREAM if isinstance(response, list) else None)
    for index, data in enumerate(chunks):
        script.chunk(data, at_ms=at_ms + 110 + 10 * index)
    script.close(at_ms=at_ms + 200)
    return script


def both(script: ExchangeScript) -> list[Assembled]:
    return [script.received, script.ended]
