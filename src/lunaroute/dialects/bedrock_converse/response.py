"""Converse responses → ResponseFacts.

In: the body of a response that is no stream, or the response rebuilt from one. Out: facts. A block is named by the one
field it has; a `toolUse` of the type `server_tool_use` is executed by Bedrock.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.bedrock_converse.usage import usage_of
from lunaroute.dialects.facts import Billing, ResponseFacts, ToolCall
from lunaroute.dialects.loose import as_dict, as_list, as_text, encode, read_any
from lunaroute.dialects.provider_error import error_in, read_error_body
from lunaroute.dialects.stream_notes import counted

_KNOWN_BLOCKS = frozenset(
    {"text", "toolUse", "toolResult", "reasoningContent", "image", "document", "video", "guardContent", "cachePoint"}
    | {"citationsContent", "searchResult"}
)


def read_response(body: bytes, status_code: int) -> ResponseFacts:
    if status_code >= 400:
        return read_error_body(body)
    value = read_any(body)
    error = error_in(value)
    if not isinstance(value, dict):
        return ResponseFacts(message=msgspec.Raw(body) if value is not None else None, error=error)
    message = as_dict(as_dict(value.get("output")).get("message"))
    blocks = [block for block in as_list(message.get("content")) if isinstance(block, dict)]
    kinds = [next(iter(block), "") for block in blocks]
    calls = [as_dict(block["toolUse"]) for block in blocks if "toolUse" in block]
    return ResponseFacts(
        text="".join([block["text"] for block in blocks if isinstance(block.get("text"), str)]),
        thinking_text="\n".join([text for block in blocks if (text := _thinking(block))]),
        message=msgspec.Raw(body),
        usage=usage_of(value.get("usage")),
        billing=Billing(service_tier=as_text(as_dict(value.get("serviceTier")).get("type"))),
        tool_calls=[_tool_call(call) for call in calls if call.get("type") != "server_tool_use"],
        server_tool_calls=[_tool_call(call) for call in calls if call.get("type") == "server_tool_use"],
        content_blocks=kinds,
        finish_reason=as_text(value.get("stopReason")),
        error=error,
        unknown_events=counted(kind for kind in kinds if kind not in _KNOWN_BLOCKS),
    )


def _thinking(block: dict[str, Any]) -> str:
    return as_text(as_dict(as_dict(block.get("reasoningContent")).get("reasoningText")).get("text")) or ""


def _tool_call(call: dict[str, Any]) -> ToolCall:
    given = call.get("input")
    # An input that was cut in a stream is kept as a JSON string of what had arrived.
    arguments = given if isinstance(given, str) else encode({} if given is None else given).decode()
    return ToolCall(
        tool_call_id=as_text(call.get("toolUseId")),
        tool_name=as_text(call.get("name")) or "",
        call_type=as_text(call.get("type")) or "toolUse",
        arguments=arguments,
        input_size_bytes=len(arguments.encode("utf-8", "replace")),
    )
