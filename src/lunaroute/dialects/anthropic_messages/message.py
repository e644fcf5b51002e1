"""One Anthropic message → MessageFacts.

In: the message's JSON, of a request or of an answer. Out: facts that depend on nothing else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.anthropic_messages.fields import SentBlock, SentMessage
from lunaroute.dialects.facts import ContentBlock, MessageFacts, Role, ToolResult
from lunaroute.dialects.loose import as_json, as_text, objects_in, read_as, read_objects, read_text
from lunaroute.dialects.message_digest import (
    call_piece,
    content_block,
    message_digest,
    other_piece,
    result_piece,
    text_piece,
)

_message_decoder = msgspec.json.Decoder(SentMessage)
_block_decoder = msgspec.json.Decoder(SentBlock)
_blocks_decoder = msgspec.json.Decoder(list[SentBlock])
_ROLES: dict[Any, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_REASONING = ("thinking", "redacted_thinking")


def read_message(raw: msgspec.Raw) -> MessageFacts:
    found = read_as(raw, _message_decoder) or SentMessage()
    role: Role = _ROLES.get(found.role, "other") if isinstance(found.role, str) else "other"
    size_bytes = len(memoryview(raw))
    whole = read_text(found.content)
    if whole is not None:
        return MessageFacts(
            role=role,
            size_bytes=size_bytes,
            texts=[whole],
            digest=message_digest(role, [text_piece(whole)]),
            blocks=[content_block("text", found.content, whole)],
        )
    raws = objects_in(found.content)
    blocks = [(one, read_as(one, _block_decoder) or SentBlock()) for one in raws]
    return MessageFacts(
        role=role,
        size_bytes=size_bytes,
        texts=[block.text for _, block in blocks if block.type == "text" and isinstance(block.text, str)],
        tool_results=[_tool_result(block) for _, block in blocks if _is_tool_result(block)],
        tool_call_ids=[block.id for _, block in blocks if block.type == "tool_use" and isinstance(block.id, str)],
        digest=message_digest(role, [_piece(one, block) for one, block in blocks]),
        blocks=[_content_block(one, block) for one, block in blocks],
    )


def read_answer(message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
    """The answer as a message: a response has a message's role and content."""
    found = None if message is None else read_message(as_json(message))
    return [found] if found is not None and found.role == "assistant" else []


def system_blocks(system: msgspec.Raw) -> list[ContentBlock]:
    """The blocks of a body's `system`, a string or a list."""
    whole = read_text(system)
    if whole is not None:
        return [content_block("text", system, whole)]
    return [_content_block(one, read_as(one, _block_decoder) or SentBlock()) for one in objects_in(system)]


def _content_block(raw: msgspec.Raw, block: SentBlock) -> ContentBlock:
    text = as_text(block.text) if block.type == "text" else None
    return content_block(as_text(block.type) or "", raw, text)


def _piece(raw: msgspec.Raw, block: SentBlock) -> str:
    if block.type == "text" and isinstance(block.text, str):
        return text_piece(block.text)
    if block.type in _REASONING:
        return ""
    if block.type == "tool_use":
        return call_piece(block.id, block.name, raw)
    return result_piece(block.tool_use_id, "", raw) if _is_tool_result(block) else other_piece(raw)


def _is_tool_result(block: SentBlock) -> bool:
    return block.type == "tool_result" and isinstance(block.tool_use_id, str)


def _tool_result(block: SentBlock) -> ToolResult:
    parts = read_objects(block.content, _blocks_decoder)
    whole = read_text(block.content)
    texts = [part.text for part in parts if part.type == "text" and isinstance(part.text, str)]
    output_text = "\n".join(texts) if whole is None else whole
    size = len(output_text.encode("utf-8", "replace"))
    if any(part.type != "text" for part in parts):
        size = len(bytes(block.content))
    return ToolResult(
        tool_call_id=block.tool_use_id,
        output_text=output_text,
        output_size_bytes=size,
        is_error=block.is_error if isinstance(block.is_error, bool) else None,
    )
