"""What a wire format must offer; the modules `anthropic`, `openai_chat`, `openai_responses` and `gemini` each are
one.

Every function is a plain mapping between JSON and the values of `turn`; state (ids, the cache, stored
conversations) is handed in.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from lunaroute.simulator.ids import IdMint
from lunaroute.simulator.turn import DialectName, Part, Prompt, Reply, Step


class Conversations:
    """What the provider keeps of answered requests, by response id, for those that continue one by its id."""

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._kept: dict[str, dict[str, Any]] = {}

    def keep(self, response_id: str, body: dict[str, Any]) -> None:
        self._kept[response_id] = body
        if len(self._kept) > self._limit:
            del self._kept[next(iter(self._kept))]

    def find(self, response_id: str) -> dict[str, Any] | None:
        return self._kept.get(response_id)


class Dialect(Protocol):
    NAME: DialectName

    def read_prompt(self, body: dict[str, Any], kept: Conversations) -> Prompt:
        """Raises RequestRefusedError for a body the provider would refuse."""

    def mint_id(self, ids: IdMint) -> str: ...

    def mint_call_id(self, ids: IdMint, model: str) -> str:
        """Empty for models that give their calls no id."""

    def mint_request_id(self, ids: IdMint) -> str:
        """Empty where the provider tells none."""

    def usage(self, reply: Reply) -> dict[str, Any]:
        """The provider's own usage object, in full, as a non-streamed body has it."""

    def whole(self, reply: Reply, ids: IdMint, kept: Conversations) -> dict[str, Any]:
        """The body of a non-streamed response."""

    def stream(self, reply: Reply, ids: IdMint, kept: Conversations) -> list[Step]:
        """The writes of a streamed response."""

    def stream_type(self, body: dict[str, Any]) -> str:
        """The content type of a streamed response."""

    def error(self, status: int, message: str | None, code: str | None, request_id: str) -> dict[str, Any]: ...

    def error_event(self) -> bytes:
        """How the provider reports an error in a stream that has begun."""

    def headers(self, request_id: str, processing_ms: int, count: int) -> list[tuple[str, str]]:
        """The provider's headers: request id, rate limits, after `count` requests."""


def part_of(value: Any) -> Part:
    """A prompt part; cache markers do not count as content, and a lone string equals one text block."""
    raw = msgspec.json.encode(value)
    is_marked = b'"cache_control"' in raw
    if is_marked or isinstance(value, dict):
        raw = msgspec.json.encode(_normal(value))
    return Part(
        canonical=raw,
        is_marked=is_marked,
        is_one_hour=is_marked and b'"ttl":"1h"' in msgspec.json.encode(value),
    )


def _normal(value: Any) -> Any:
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if not isinstance(value, dict):
        return value
    normal = {key: _normal(item) for key, item in value.items() if key != "cache_control"}
    if "role" in normal and isinstance(normal.get("content"), str):
        normal["content"] = [{"type": "text", "text": normal["content"]}]
    return normal


def text_of(content: Any) -> str:
    """The text in a message's content: a string, or a list of blocks that may carry text."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(
        block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str)
    )


def sse(data: Any, event: str | None = None) -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + msgspec.json.encode(data) + b"\n\n"
