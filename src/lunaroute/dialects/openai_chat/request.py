"""Chat Completions request bodies → RequestFacts.

In: the decoded body. Out: facts. Only the outline is decoded; message contents stay raw unless they are a tool's
result or this turn's user text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import IdentityHints, RequestFacts, ToolResult
from lunaroute.dialects.loose import as_dict, as_text, length_of, read_object, read_objects, read_text
from lunaroute.dialects.user_text import new_turn, user_text

_NOTHING = msgspec.Raw()


class _Message(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = _NOTHING
    tool_call_id: Any = None


class _Body(msgspec.Struct):
    model: Any = None
    stream: Any = None
    messages: list[_Message] | None = None
    tools: msgspec.Raw = _NOTHING
    functions: msgspec.Raw = _NOTHING
    prompt_cache_key: Any = None
    client_metadata: Any = None
    previous_response_id: Any = None


class _Part(msgspec.Struct):
    type: Any = None
    text: Any = None


_body_decoder = msgspec.json.Decoder(_Body)
_parts_decoder = msgspec.json.Decoder(list[_Part])


def read_request(body: bytes) -> RequestFacts:
    found = read_object(body, _body_decoder, ("messages",))
    if found is None:
        return RequestFacts(is_valid=False)
    messages = found.messages or []
    # `functions` is the older name of `tools`.
    tool_count = length_of(found.tools) + length_of(found.functions)
    return RequestFacts(
        model=as_text(found.model),
        is_streaming=found.stream is True,
        request_text=_request_text(messages),
        message_count=len(messages),
        has_system_prompt=any(message.role in ("system", "developer") for message in messages),
        has_tools=tool_count > 0,
        tool_count=tool_count,
        tool_results=_tool_results(messages),
        hints=_hints(found),
    )


def _hints(body: _Body) -> IdentityHints:
    metadata = {key: value for key, value in as_dict(body.client_metadata).items() if isinstance(value, str)}
    return IdentityHints(
        prompt_cache_key=as_text(body.prompt_cache_key),
        client_metadata=metadata or None,
        previous_response_id=as_text(body.previous_response_id),
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
    return [part.text for part in read_objects(content, _parts_decoder) if isinstance(part.text, str)]


def _tool_results(messages: list[_Message]) -> list[ToolResult]:
    results = []
    for message in messages:
        # The older role `function` carries no id, so its result belongs to no call.
        if message.role != "tool" or not isinstance(message.tool_call_id, str):
            continue
        output_text = "\n".join(_texts(message.content))
        size = len(output_text.encode("utf-8", "replace"))
        if any(not isinstance(part.text, str) for part in read_objects(message.content, _parts_decoder)):
            size = len(bytes(message.content))
        result = ToolResult(tool_call_id=message.tool_call_id, output_text=output_text, output_size_bytes=size)
        results.append(result)
    return results
