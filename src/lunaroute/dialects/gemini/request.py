"""Gemini request bodies → RequestFacts.

In: the decoded body. Out: facts; the model stands in the path, not here. Only the outline is decoded; parts stay raw
unless they are a tool's result or this turn's user text. Google takes field names in both spellings (`functionCall`,
`function_call`), and Code Assist wraps the body in `request`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import RequestFacts, ToolResult
from lunaroute.dialects.loose import as_dict, as_list, as_text, encode, read_any, read_object, read_objects
from lunaroute.dialects.user_text import new_turn, user_text

_NOTHING = msgspec.Raw()


class _Content(msgspec.Struct):
    role: Any = None
    parts: msgspec.Raw = _NOTHING


class _Body(msgspec.Struct):
    model: Any = None
    contents: list[_Content] | None = None
    systemInstruction: msgspec.Raw = _NOTHING
    system_instruction: msgspec.Raw = _NOTHING
    tools: msgspec.Raw = _NOTHING
    request: msgspec.Raw = _NOTHING


class _Part(msgspec.Struct):
    text: Any = None
    functionResponse: Any = None
    function_response: Any = None


_body_decoder = msgspec.json.Decoder(_Body)
_parts_decoder = msgspec.json.Decoder(list[_Part])
_EMPTY = (b"", b'""', b"{}", b"null")
_DECLARATIONS = ("functionDeclarations", "function_declarations")


def read_request(body: bytes) -> RequestFacts:
    found = read_object(body, _body_decoder, ("contents",))
    if found is None:
        return RequestFacts(is_valid=False)
    model = as_text(found.model)
    if found.contents is None and bytes(found.request):
        found = read_object(found.request, _body_decoder, ("contents",)) or found
    contents = found.contents or []
    tool_count = _tool_count(found.tools)
    has_system_prompt = any(bytes(raw) not in _EMPTY for raw in (found.systemInstruction, found.system_instruction))
    return RequestFacts(
        model=model,
        request_text=_request_text(contents),
        message_count=len(contents),
        has_system_prompt=has_system_prompt,
        has_tools=tool_count > 0,
        tool_count=tool_count,
        tool_results=[result for content in contents for result in _tool_results(content)],
    )


def _tool_count(tools: msgspec.Raw) -> int:
    """Every declared function, and every tool of Google's own, counts as one."""
    count = 0
    for tool in as_list(read_any(tools)) if bytes(tools) else []:
        for name, value in as_dict(tool).items():
            count += len(as_list(value)) if name in _DECLARATIONS else 1
    return count


def _request_text(contents: list[_Content]) -> str:
    roles = ["assistant" if content.role == "model" else content.role for content in contents]
    texts: list[str] = []
    for content in contents[new_turn(roles)]:
        if content.role in ("user", None):
            texts += [part.text for part in read_objects(content.parts, _parts_decoder) if isinstance(part.text, str)]
    return user_text(texts)


def _tool_results(content: _Content) -> list[ToolResult]:
    if b"unctionResponse" not in bytes(content.parts) and b"function_response" not in bytes(content.parts):
        return []
    found = []
    for part in read_objects(content.parts, _parts_decoder):
        fields = as_dict(part.functionResponse or part.function_response)
        # Most carry no id; such a result belongs to no call that could be named.
        if isinstance(fields.get("id"), str) and fields["id"]:
            found.append(_tool_result(fields["id"], fields.get("response")))
    return found


def _tool_result(call_id: str, response: Any) -> ToolResult:
    """Google's rule: `output` holds the result and `error` what went wrong; without either, all of it is the result."""
    fields = as_dict(response)
    is_error = "error" in fields and "output" not in fields
    value = fields.get("error") if is_error else fields.get("output", response)
    output_text = value if isinstance(value, str) else encode(value).decode()
    return ToolResult(
        tool_call_id=call_id,
        output_text=output_text,
        output_size_bytes=len(output_text.encode("utf-8", "replace")),
        is_error=is_error if "error" in fields or "output" in fields else None,
    )
