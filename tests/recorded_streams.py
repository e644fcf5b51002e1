"""Streams of every framing and wire format, out of the corpus: as recorded, or real ones put into another framing."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from lunaroute.assemble.aws_events import AwsEventParser
from lunaroute.assemble.json_stream import JsonStreamParser
from lunaroute.assemble.sse import SseParser
from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects import framing_of
from lunaroute.dialects.facts import WireFormat
from tests.corpus import exchanges

SSE = "text/event-stream"
FORMAT_OF: dict[str, WireFormat] = {
    "anthropic_messages": "anthropic_messages",
    "openai_chat": "openai_chat",
    "openai_responses": "openai_responses",
    "gemini": "gemini",
    "gemini as an array": "gemini",
    "openai_completions": "openai_completions",
    "ollama": "ollama",
    "bedrock_converse": "bedrock_converse",
}
"""Kind of stream → its wire format."""
TYPE_OF = dict.fromkeys(FORMAT_OF, SSE) | {
    "gemini as an array": "application/json",
    "ollama": "application/x-ndjson",
    "bedrock_converse": "application/vnd.amazon.eventstream",
}
_PROVIDER_OF = {
    "anthropic_messages": "anthropic",
    "openai_chat": "openai-chat",
    "openai_responses": "openai-responses",
    "gemini": "gemini",
    "ollama": "ollama",
    "bedrock_converse": "bedrock-converse-stream",
}


@cache
def streams(kind: str) -> list[bytes]:
    """Whole streams, the shortest first."""
    return sorted(_made(kind), key=len)


def events_of(kind: str, stream: bytes) -> list[ServerSentEvent]:
    """The events of a stream that came in one read."""
    makers = {"application/vnd.amazon.eventstream": AwsEventParser, SSE: SseParser}
    parser = makers.get(TYPE_OF[kind], JsonStreamParser)()
    return [*parser.feed(stream, 0), *parser.finish()]


def _made(kind: str) -> Iterator[bytes]:
    match kind:
        case "gemini as an array":
            for stream in streams("gemini"):
                yield b"[" + b"\n,\r\n".join(event.data for event in events_of("gemini", stream)) + b"\n]\n"
        case "openai_completions":
            yield from (_as_completion(stream) for stream in streams("openai_chat") if b'"content"' in stream)
        case _:
            for exchange in exchanges(_PROVIDER_OF[kind]):
                body = _body(exchange)
                if framing_of(FORMAT_OF[kind], [(0, body)], TYPE_OF[kind]) != "whole" and len(body) > 0:
                    yield body


def _body(exchange: dict[str, Any]) -> bytes:
    raw = exchange.get("response_body_raw")
    return base64.b64decode(exchange["response_body_b64"]) if raw is None else raw.encode()


def _as_completion(stream: bytes) -> bytes:
    """A chat's stream as the text completion that says the same."""
    events = []
    for event in events_of("openai_chat", stream):
        if not event.data.startswith(b"{"):
            events.append(event.data)
            continue
        chunk = json.loads(event.data)
        for choice in chunk.get("choices") or []:
            delta = choice.pop("delta", None) or {}
            content = delta.get("content")
            choice["text"] = content if isinstance(content, str) else ""
        events.append(json.dumps(chunk, ensure_ascii=False).encode())
    return b"".join(b"data: " + data + b"\n\n" for data in events)
