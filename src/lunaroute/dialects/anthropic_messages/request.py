"""Anthropic request bodies → RequestFacts.

In: the decoded body. Out: facts. Bodies grow to hundreds of kilobytes because agents resend their history, so only
the outline is decoded; message contents stay raw unless they hold a tool result or are this turn's user text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import IdentityHints, RequestFacts, ToolResult
from lunaroute.dialects.loose import as_dict, as_text, length_of, opening_of, read_object, read_objects, read_text
from lunaroute.dialects.user_text import new_turn, user_text

_NOTHING = msgspec.Raw()


class _Message(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = _NOTHING


class _Body(msgspec.Struct):
    model: Any = None
    stream: Any = None
    system: msgspec.Raw = _NOTHING
    tools: msgspec.Raw = _NOTHING
    messages: list[_Message] | None = None
    metadata: Any = None
    thread: Any = None
    diagnostics: Any = None


class _Block(msgspec.Struct):
    type: Any = None
    text: Any = None
    tool_use_id: Any = None
    content: msgspec.Raw = _NOTHING
    is_error: Any = None


_body_decoder = msgspec.json.Decoder(_Body)
_blocks_decoder = msgspec.json.Decoder(list[_Block])
_EMPTY = (b"", b'""', b"[]", b"null")


def read_request(body: bytes) -> RequestFacts:
    found = read_object(body, _body_decoder, ("messages",))
    if found is None:
        return RequestFacts(is_valid=False)
    messages = found.messages or []
    tool_count = length_of(found.tools)
    has_system_prompt = bytes(found.system) not in _EMPTY or any(m.role == "system" for m in messages)
    return RequestFacts(
        model=as_text(found.model),
        is_streaming=found.stream is True,
        request_text=_request_text(messages),
        message_count=len(messages),
        has_system_prompt=has_system_prompt,
        has_tools=tool_count > 0,
        tool_count=tool_count,
        tool_results=_tool_results(messages),
        hints=_hints(found),
    )


def _hints(body: _Body) -> IdentityHints:
    previous = as_dict(body.thread).get("previous_message_id")
    if not isinstance(previous, str):
        previous = as_dict(body.diagnostics).get("previous_message_id")
    return IdentityHints(
        metadata_user_id=as_text(as_dict(body.metadata).get("user_id")),
        previous_response_id=as_text(previous),
    )


def _request_text(messages: list[_Message]) -> str:
    texts: list[str] = []
    for message in messages[new_turn([message.role for message in messages])]:
        if message.role == "user":
            texts += _texts(message.content)
    return user_text(texts)


def _texts(content: msgspec.Raw) -> list[str]:
    whole = read_text(content)
    if whole is not None:
        return [whole]
    blocks = read_objects(content, _blocks_decoder)
    return [block.text for block in blocks if block.type == "text" and isinstance(block.text, str)]


def _tool_results(messages: list[_Message]) -> list[ToolResult]:
    results = []
    for message in messages:
        if b'"tool_result"' not in bytes(message.content):
            continue
        for block in read_objects(message.content, _blocks_decoder):
            if block.type == "tool_result" and isinstance(block.tool_use_id, str):
                results.append(_tool_result(block))
    return results


def _tool_result(block: _Block) -> ToolResult:
    output_text = "\n".join(_texts(block.content))
    size = len(output_text.encode("utf-8", "replace"))
    if opening_of(block.content) == b"[":
        parts = read_objects(block.content, _blocks_decoder)
        if any(part.type != "text" for part in parts):
            size = len(bytes(block.content))
    return ToolResult(
        tool_call_id=block.tool_use_id,
        output_text=output_text,
        output_size_bytes=size,
        is_error=block.is_error if isinstance(block.is_error, bool) else None,
    )
