"""One Converse message → MessageFacts.

In: the message's JSON. Out: facts that depend on nothing else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import ContentBlock, MessageFacts, Role, ToolResult
from lunaroute.dialects.loose import as_dict, as_json, as_list, as_text, encode, objects_in, read_as
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


class _Block(msgspec.Struct):
    text: Any = None
    toolUse: Any = None
    toolResult: Any = None
    reasoningContent: Any = None
    cachePoint: Any = None


class _Output(msgspec.Struct):
    message: msgspec.Raw = _NOTHING


class _Response(msgspec.Struct):
    output: _Output


_response_decoder = msgspec.json.Decoder(_Response)
_message_decoder = msgspec.json.Decoder(_Message)
_block_decoder = msgspec.json.Decoder(_Block)
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


def read_message(raw: msgspec.Raw) -> MessageFacts:
    found = read_as(raw, _message_decoder) or _Message()
    role: Role = _ROLES.get(found.role, "other") if isinstance(found.role, str) else "other"
    blocks = _blocks(found.content)
    results = [as_dict(block.toolResult) for _, block in blocks]
    call_ids = [as_text(as_dict(block.toolUse).get("toolUseId")) for _, block in blocks]
    return MessageFacts(
        role=role,
        size_bytes=len(memoryview(raw)),
        texts=[block.text for _, block in blocks if isinstance(block.text, str)],
        tool_results=[_tool_result(fields) for fields in results if isinstance(fields.get("toolUseId"), str)],
        tool_call_ids=[call_id for call_id in call_ids if call_id],
        digest=message_digest(role, [_piece(one, block) for one, block in blocks]),
        blocks=[_content_block(one, block) for one, block in blocks],
    )


def system_blocks(system: msgspec.Raw) -> list[ContentBlock]:
    return [_content_block(one, block) for one, block in _blocks(system)]


def tool_blocks(tools: msgspec.Raw) -> list[ContentBlock]:
    return [content_block("tool", one) for one, _ in _blocks(tools)]


def read_answer(message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
    found = None if message is None else read_as(as_json(message), _response_decoder)
    return [] if found is None or not found.output.message else [read_message(found.output.message)]


def _blocks(content: msgspec.Raw) -> list[tuple[msgspec.Raw, _Block]]:
    """Without the cache points: markers that move from request to request, here blocks of their own."""
    found = [(one, read_as(one, _block_decoder) or _Block()) for one in objects_in(content)]
    return [(one, block) for one, block in found if block.cachePoint is None]


def _content_block(raw: msgspec.Raw, block: _Block) -> ContentBlock:
    return content_block("text" if isinstance(block.text, str) else "block", raw, as_text(block.text))


def _piece(raw: msgspec.Raw, block: _Block) -> str:
    if isinstance(block.text, str):
        return text_piece(block.text)
    if block.reasoningContent is not None:
        return ""
    call, result = as_dict(block.toolUse), as_dict(block.toolResult)
    if call:
        return call_piece(call.get("toolUseId"), call.get("name"), call.get("input"))
    return result_piece(result.get("toolUseId"), "", result.get("content")) if result else other_piece(raw)


def _tool_result(fields: dict[str, Any]) -> ToolResult:
    texts = []
    for part in as_list(fields.get("content")):
        value = as_dict(part)
        if "json" in value:
            texts.append(encode(value["json"]).decode())
        elif (text := as_text(value.get("text"))) is not None:
            texts.append(text)
    output_text = "\n".join(texts)
    return ToolResult(
        tool_call_id=fields["toolUseId"],
        output_text=output_text,
        output_size_bytes=len(output_text.encode("utf-8", "replace")),
        is_error=fields["status"] == "error" if isinstance(fields.get("status"), str) else None,
    )
