"""A whole Anthropic message as the events that the provider streams it by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_EMPTY: dict[str, dict[str, Any]] = {
    "thinking": {"thinking": "", "signature": ""},
    "text": {"text": ""},
    "tool_use": {"input": {}},
}
"""What of a block comes in deltas; blocks of other kinds come whole."""


def anthropic_events(message: dict[str, Any]) -> Iterator[bytes]:
    """Each event's bytes; the blocks' text in pieces, the output tokens only at the end."""
    usage = message.get("usage") or {}
    start = message | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    yield _event("message_start", message=start)
    for index, block in enumerate(message["content"]):
        yield _event("content_block_start", index=index, content_block=block | _EMPTY.get(block["type"], {}))
        for delta in _deltas(block):
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    end = {name: count for name, count in usage.items() if name == "output_tokens"}
    yield _event("message_delta", delta={"stop_reason": message.get("stop_reason")}, usage=end)
    yield _event("message_stop")


def pieces(text: str, size: int = 12) -> list[str]:
    """A text as a provider sends it."""
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"]))
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in pieces(block["text"]))
    elif block["type"] == "tool_use":
        given = json.dumps(block["input"])
        yield from ({"type": "input_json_delta", "partial_json": piece} for piece in pieces(given))


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()
