"""One Gemini content → MessageFacts.

In: the content's JSON. Out: facts that depend on nothing else. Google takes field names in both spellings
(`functionCall`, `function_call`). A call and its result have an id only where the client gave one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import ContentBlock, MessageFacts, Role, ToolResult
from lunaroute.dialects.loose import as_dict, as_json, as_text, encode, objects_in, read_as
from lunaroute.dialects.message_digest import (
    call_piece,
    content_block,
    message_digest,
    other_piece,
    result_piece,
    text_piece,
)

_NOTHING = msgspec.Raw()


class _Content(msgspec.Struct):
    role: Any = None
    parts: msgspec.Raw = _NOTHING


class _Part(msgspec.Struct):
    text: Any = None
    thought: Any = None
    functionCall: Any = None
    function_call: Any = None
    functionResponse: Any = None
    function_response: Any = None


class _Candidate(msgspec.Struct):
    content: msgspec.Raw = _NOTHING


class _Response(msgspec.Struct):
    candidates: list[_Candidate] | None = None


_response_decoder = msgspec.json.Decoder(_Response)
_content_decoder = msgspec.json.Decoder(_Content)
_part_decoder = msgspec.json.Decoder(_Part)
_ROLES: dict[Any, Role] = {"user": "user", None: "user", "function": "tool", "model": "assistant", "system": "system"}


def read_message(raw: msgspec.Raw) -> MessageFacts:
    found = read_as(raw, _content_decoder) or _Content()
    role: Role = _ROLES.get(found.role, "other") if isinstance(found.role, str | None) else "other"
    parts = [(one, read_as(one, _part_decoder) or _Part()) for one in objects_in(found.parts)]
    parts = _without_repetitions(parts)
    return MessageFacts(
        role=role,
        size_bytes=len(memoryview(raw)),
        texts=[part.text for _, part in parts if isinstance(part.text, str) and part.thought is not True],
        tool_results=[_tool_result(result) for _, part in parts if (result := _result(part))],
        tool_call_ids=[call["id"] for _, part in parts if isinstance((call := _call(part)).get("id"), str)],
        digest=message_digest(role, [_piece(one, part) for one, part in parts]),
        blocks=[_block(one, part) for one, part in parts],
    )


def _without_repetitions(parts: list[tuple[msgspec.Raw, _Part]]) -> list[tuple[msgspec.Raw, _Part]]:
    """Each result once: in a resumed session gemini-cli sends every one of the earlier run twice."""
    seen: set[bytes] = set()
    kept = []
    for raw, part in parts:
        data = bytes(raw) if as_text(_result(part).get("id")) else None
        if data is None or data not in seen:
            kept.append((raw, part))
        if data is not None:
            seen.add(data)
    return kept


def read_answer(message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
    """The first candidate's content: a client repeats it as it is."""
    found = None if message is None else read_as(as_json(message), _response_decoder)
    candidates = [] if found is None else found.candidates or []
    return [read_message(candidates[0].content)] if candidates and candidates[0].content else []


def _call(part: _Part) -> dict[str, Any]:
    return as_dict(part.functionCall or part.function_call)


def _result(part: _Part) -> dict[str, Any]:
    return as_dict(part.functionResponse or part.function_response)


def _piece(raw: msgspec.Raw, part: _Part) -> str:
    if part.thought is True:
        return ""
    if isinstance(part.text, str):
        return text_piece(part.text)
    call, result = _call(part), _result(part)
    if call:  # not its id: clients add one of their own when they repeat a call
        return call_piece(None, call.get("name"), call.get("args"))
    return result_piece(None, result.get("name"), result.get("response")) if result else other_piece(raw)


def _block(raw: msgspec.Raw, part: _Part) -> ContentBlock:
    text = as_text(part.text)
    return content_block("part" if text is None else "text", raw, text)


def _tool_result(fields: dict[str, Any]) -> ToolResult:
    """Google's rule: `output` holds the result and `error` what went wrong; without either, all of it is the result."""
    response = fields.get("response")
    inner = as_dict(response)
    is_error = "error" in inner and "output" not in inner
    value = inner.get("error") if is_error else inner.get("output", response)
    output_text = value if isinstance(value, str) else encode(value).decode()
    return ToolResult(
        tool_call_id=as_text(fields.get("id")) or None,
        tool_name=as_text(fields.get("name")),
        output_text=output_text,
        output_size_bytes=len(output_text.encode("utf-8", "replace")),
        is_error=is_error if "error" in inner or "output" in inner else None,
    )
