"""One Chat Completions message → MessageFacts.

In: the message's JSON, of a request or of an answer. Out: facts that depend on nothing else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import ContentBlock, MessageFacts, Role, ToolResult
from lunaroute.dialects.loose import as_dict, as_json, as_list, as_text, objects_in, read_as, read_text
from lunaroute.dialects.message_digest import (
    call_piece,
    content_block,
    message_digest,
    other_piece,
    result_piece,
    text_piece,
)

_NOTHING = msgspec.Raw()


class _Message(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = _NOTHING
    refusal: Any = None
    name: Any = None
    tool_call_id: Any = None
    tool_calls: Any = None
    function_call: Any = None


class _Part(msgspec.Struct):
    type: Any = None
    text: Any = None
    refusal: Any = None


class _Choice(msgspec.Struct):
    message: msgspec.Raw = _NOTHING


class _Response(msgspec.Struct):
    choices: list[_Choice] | None = None


_response_decoder = msgspec.json.Decoder(_Response)
_message_decoder = msgspec.json.Decoder(_Message)
_part_decoder = msgspec.json.Decoder(_Part)
_ROLES: dict[Any, Role] = {
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
    "system": "system",
    "developer": "system",
}
_REASONING = ("thinking", "reasoning", "reasoning_content")


def read_message(raw: msgspec.Raw) -> MessageFacts:
    found = read_as(raw, _message_decoder) or _Message()
    role: Role = _ROLES.get(found.role, "other") if isinstance(found.role, str) else "other"
    parts = _parts(found.content)
    texts = [part.text for _, part in parts if isinstance(part.text, str)]
    calls = [as_dict(call) for call in as_list(found.tool_calls)]
    return MessageFacts(
        role=role,
        size_bytes=len(memoryview(raw)),
        texts=texts,
        tool_results=[_tool_result(found, texts, parts)] if _is_tool_result(found) else [],
        tool_call_ids=[call["id"] for call in calls if isinstance(call.get("id"), str)],
        digest=message_digest(role, _pieces(found, role, parts, calls)),
        blocks=_blocks(raw, found, parts),
    )


def read_answer(message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
    """The first choice: of several, a client goes on with one, and says not with which."""
    found = None if message is None else read_as(as_json(message), _response_decoder)
    choices = [] if found is None else found.choices or []
    return [read_message(choices[0].message)] if choices and choices[0].message else []


def _parts(content: msgspec.Raw) -> list[tuple[msgspec.Raw, _Part]]:
    """A string is one part of text."""
    whole = read_text(content)
    if whole is not None:
        return [(content, _Part(type="text", text=whole))]
    return [(one, read_as(one, _part_decoder) or _Part()) for one in objects_in(content)]


def _pieces(
    found: _Message, role: Role, parts: list[tuple[msgspec.Raw, _Part]], calls: list[dict[str, Any]]
) -> list[str]:
    if role == "tool":
        return [result_piece(found.tool_call_id, found.name, [part.text for _, part in parts])]
    pieces = [_piece(one, part) for one, part in parts]
    if not any(pieces) and isinstance(found.refusal, str):
        pieces = [text_piece(found.refusal)]
    for call in calls:
        function = as_dict(call.get("function")) or as_dict(call.get("custom"))
        pieces.append(call_piece(call.get("id"), function.get("name"), function.get("arguments")))
    if isinstance(found.function_call, dict):
        pieces.append(call_piece(None, found.function_call.get("name"), found.function_call.get("arguments")))
    return pieces


def _piece(raw: msgspec.Raw, part: _Part) -> str:
    if part.type in _REASONING:
        return ""
    text = part.text if isinstance(part.text, str) else part.refusal
    return text_piece(text) if isinstance(text, str) else other_piece(raw)


def _blocks(raw: msgspec.Raw, found: _Message, parts: list[tuple[msgspec.Raw, _Part]]) -> list[ContentBlock]:
    """Its parts; a message that is more than its content is one block."""
    if found.tool_calls is not None or found.function_call is not None or not parts:
        return [content_block(as_text(found.role) or "", raw)]
    return [content_block(as_text(part.type) or "", one, as_text(part.text)) for one, part in parts]


def _is_tool_result(found: _Message) -> bool:
    """The older role `function` carries its tool's name in place of the call's id."""
    return found.role == "function" or (found.role == "tool" and isinstance(found.tool_call_id, str))


def _tool_result(found: _Message, texts: list[str], parts: list[tuple[msgspec.Raw, _Part]]) -> ToolResult:
    output_text = "\n".join(texts)
    size = len(output_text.encode("utf-8", "replace"))
    if any(not isinstance(part.text, str) for _, part in parts):
        size = len(bytes(found.content))
    return ToolResult(
        tool_call_id=as_text(found.tool_call_id),
        output_text=output_text,
        output_size_bytes=size,
        tool_name=as_text(found.name),
    )
