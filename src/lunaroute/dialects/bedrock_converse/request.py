"""Converse request bodies → RequestFacts.

In: the decoded body. Out: facts; the model stands in the path. Only the outline is decoded; contents stay raw unless
they hold a tool's result or are this turn's user text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import RequestFacts, ToolResult
from lunaroute.dialects.loose import as_dict, as_list, as_text, encode, length_of, read_object, read_objects
from lunaroute.dialects.user_text import new_turn, user_text

_NOTHING = msgspec.Raw()


class _Message(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = _NOTHING


class _Body(msgspec.Struct):
    messages: list[_Message] | None = None
    system: msgspec.Raw = _NOTHING
    toolConfig: Any = None


class _Block(msgspec.Struct):
    text: Any = None
    toolResult: Any = None


_body_decoder = msgspec.json.Decoder(_Body)
_blocks_decoder = msgspec.json.Decoder(list[_Block])


def read_request(body: bytes) -> RequestFacts:
    found = read_object(body, _body_decoder, ("messages",))
    if found is None:
        return RequestFacts(is_valid=False)
    messages = found.messages or []
    tool_count = len(as_list(as_dict(found.toolConfig).get("tools")))
    return RequestFacts(
        request_text=_request_text(messages),
        message_count=len(messages),
        has_system_prompt=length_of(found.system) > 0,
        has_tools=tool_count > 0,
        tool_count=tool_count,
        tool_results=_tool_results(messages),
    )


def _request_text(messages: list[_Message]) -> str:
    texts: list[str] = []
    for message in messages[new_turn([message.role for message in messages])]:
        if message.role == "user":
            texts += [b.text for b in read_objects(message.content, _blocks_decoder) if isinstance(b.text, str)]
    return user_text(texts)


def _tool_results(messages: list[_Message]) -> list[ToolResult]:
    results = []
    for message in messages:
        if b'"toolResult"' not in bytes(message.content):
            continue
        for block in read_objects(message.content, _blocks_decoder):
            fields = as_dict(block.toolResult)
            if isinstance(fields.get("toolUseId"), str):
                results.append(_tool_result(fields))
    return results


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
