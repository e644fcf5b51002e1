"""Ollama's answers → ResponseFacts.

In: the body of a response that is no stream, or the answer rebuilt from one. Out: facts. `/api/chat` answers with a
`message`, `/api/generate` with `response` and `thinking`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import ResponseFacts, ToolCall
from lunaroute.dialects.loose import as_dict, as_list, as_text, encode, read_any
from lunaroute.dialects.ollama.usage import usage_of
from lunaroute.dialects.provider_error import error_in, read_error_body


def read_response(body: bytes, status_code: int) -> ResponseFacts:
    if status_code >= 400:
        return read_error_body(body)
    value = read_any(body)
    error = error_in(value)
    if not isinstance(value, dict):
        return ResponseFacts(message=msgspec.Raw(body) if value is not None else None, error=error)
    message = as_dict(value.get("message"))
    text = as_text(message.get("content")) or as_text(value.get("response")) or ""
    thinking = as_text(message.get("thinking")) or as_text(value.get("thinking")) or ""
    calls = [_tool_call(as_dict(entry)) for entry in as_list(message.get("tool_calls"))]
    return ResponseFacts(
        model=as_text(value.get("model")),
        text=text,
        thinking_text=thinking,
        message=msgspec.Raw(body),
        usage=usage_of(value),
        tool_calls=calls,
        content_blocks=["thinking"] * bool(thinking) + ["text"] * bool(text) + ["tool_call"] * len(calls),
        finish_reason=as_text(value.get("done_reason")),
        error=error,
    )


def _tool_call(entry: dict[str, Any]) -> ToolCall:
    function = as_dict(entry.get("function"))
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else encode({} if arguments is None else arguments).decode()
    return ToolCall(
        tool_call_id=as_text(entry.get("id")) or None,
        tool_name=as_text(function.get("name")) or "",
        call_type="tool_call",
        arguments=text,
        input_size_bytes=len(text.encode("utf-8", "replace")),
    )
