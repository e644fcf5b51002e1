"""Chat completion objects → ResponseFacts.

In: the body of a response that is no stream, or the completion rebuilt from one. Out: facts. The body is read as
plain values, because compatible providers agree on little more than its outline.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import Billing, ProviderError, ResponseFacts, ToolCall
from lunaroute.dialects.loose import as_dict, as_list, as_text, encode, read_any
from lunaroute.dialects.openai_chat.usage import find_usage, usage_of
from lunaroute.dialects.provider_error import error_in, read_error_body
from lunaroute.dialects.stream_notes import counted

THINKING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
"""Names under which compatible providers return thinking text (the last is Copilot's); some send the same text under
two of them."""

_KNOWN_PARTS = frozenset({"text", "output_text", "thinking", "refusal", "image_url", "reference", "audio"})


def read_response(body: bytes, status_code: int) -> ResponseFacts:
    if status_code >= 400:
        return read_error_body(body)
    value = read_any(body)
    if not isinstance(value, dict):
        error = error_in(value)
        return ResponseFacts(message=msgspec.Raw(body) if value is not None else None, error=error)
    choices = [choice for choice in as_list(value.get("choices")) if isinstance(choice, dict)]
    messages = [as_dict(choice.get("message")) for choice in choices]
    content_blocks = [kind for message in messages for kind in _content_blocks(message)]
    refusals = [message["refusal"] for message in messages if as_text(message.get("refusal"))]
    return ResponseFacts(
        response_id=as_text(value.get("id")),
        model=as_text(value.get("model")),
        text=_joined([_text(message) for message in messages]) or "\n".join(refusals),
        thinking_text=_joined([_thinking_text(message) for message in messages]),
        message=msgspec.Raw(body),
        usage=usage_of(find_usage(value)),
        billing=Billing(service_tier=as_text(value.get("service_tier"))),
        tool_calls=[call for message in messages for call in _tool_calls(message)],
        content_blocks=content_blocks,
        finish_reason=_finish_reason(choices),
        has_refusal=bool(refusals),
        error=error_in(value) or _choice_error(choices),
        unknown_events=counted(kind for kind in content_blocks if kind not in _KNOWN_BLOCKS),
    )


_KNOWN_BLOCKS = _KNOWN_PARTS | {"reasoning", "tool_call", "function_call"}


def _joined(texts: list[str]) -> str:
    return "\n".join([text for text in texts if text])


def _finish_reason(choices: list[dict[str, Any]]) -> str | None:
    return as_text(choices[0].get("finish_reason")) if choices else None


def _choice_error(choices: list[dict[str, Any]]) -> ProviderError | None:
    for choice in choices:
        error = error_in(choice)
        if error is not None:
            return error
    return None


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = [as_dict(part) for part in as_list(content)]
    return "".join([part["text"] for part in parts if isinstance(part.get("text"), str)])


def _thinking_text(message: dict[str, Any]) -> str:
    for field in THINKING_FIELDS:
        text = as_text(message.get(field))
        if text:
            return text
    pieces = []
    for part in as_list(message.get("content")):
        if as_dict(part).get("type") == "thinking":
            thinking = part.get("thinking")
            inner = [as_dict(piece).get("text") for piece in as_list(thinking)]
            pieces += [thinking] if isinstance(thinking, str) else [text for text in inner if isinstance(text, str)]
    return "".join(pieces)


def _content_blocks(message: dict[str, Any]) -> list[str]:
    blocks = []
    if any(as_text(message.get(field)) for field in THINKING_FIELDS):
        blocks.append("reasoning")
    content = message.get("content")
    if isinstance(content, str) and content:
        blocks.append("text")
    blocks += [as_text(as_dict(part).get("type")) or "" for part in as_list(content)]
    if as_text(message.get("refusal")):
        blocks.append("refusal")
    if as_text(as_dict(message.get("audio")).get("data")):
        blocks.append("audio")
    return blocks + ["tool_call"] * len(_tool_calls(message))


def _tool_calls(message: dict[str, Any]) -> list[ToolCall]:
    calls = []
    for entry in as_list(message.get("tool_calls")):
        fields = as_dict(entry)
        if fields.get("type") == "custom" and isinstance(fields.get("custom"), dict):
            custom = fields["custom"]
            calls.append(_tool_call("custom", fields.get("id"), custom.get("name"), custom.get("input")))
        elif isinstance(fields.get("function"), dict):
            function = fields["function"]
            calls.append(_tool_call("function", fields.get("id"), function.get("name"), function.get("arguments")))
    legacy = as_dict(message.get("function_call"))
    # Some re-serialised replies carry an empty one beside the real calls.
    if legacy.get("name"):
        calls.append(_tool_call("function_call", None, legacy.get("name"), legacy.get("arguments")))
    return calls


def _tool_call(kind: str, call_id: Any, name: Any, arguments: Any) -> ToolCall:
    # Ollama's family returns arguments as an object instead of as JSON text.
    text = arguments if isinstance(arguments, str) else encode(arguments).decode() if arguments is not None else ""
    return ToolCall(
        tool_call_id=as_text(call_id) or None,
        tool_name=as_text(name) or "",
        call_type=kind,
        arguments=text,
        input_size_bytes=len(text.encode("utf-8", "replace")),
    )
