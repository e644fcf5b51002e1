"""Gemini responses → ResponseFacts.

In: the body of a response that is no stream, or the response rebuilt from one. Out: facts. A candidate's text is the
text of its parts that are no thoughts; `functionCall` parts are calls of the client's tools, `executableCode` and
`toolCall` those of Google's own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import ResponseFacts, ToolCall
from lunaroute.dialects.gemini.usage import billing_of, usage_of
from lunaroute.dialects.loose import as_dict, as_int, as_list, as_text, encode, read_any
from lunaroute.dialects.provider_error import error_in, read_error_body
from lunaroute.dialects.stream_notes import counted

_KINDS = (
    "functionCall",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "inlineData",
    "fileData",
    "functionResponse",
    "text",
)
_DECORATION = frozenset({"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"})
"""What may stand in a part beside what it is."""

_PER_PROMPT = ("gemini-1", "gemini-2")
"""Of these models a grounded prompt is billed once; of later ones every search query is."""


def read_response(body: bytes, status_code: int) -> ResponseFacts:
    if status_code >= 400:
        return read_error_body(body)
    value = read_any(body)
    error = error_in(value)
    if not isinstance(value, dict):
        return ResponseFacts(message=msgspec.Raw(body) if value is not None else None, error=error)
    inner = unwrapped(value)
    candidates = [candidate for candidate in as_list(inner.get("candidates")) if isinstance(candidate, dict)]
    answers = [_parts(candidate) for candidate in candidates]
    parts = [part for answer in answers for part in answer]
    kinds = [kind_of(part) for part in parts]
    model = as_text(inner.get("modelVersion"))
    return ResponseFacts(
        response_id=as_text(inner.get("responseId")),
        model=model,
        text=_joined([_text(answer, is_thought=False) for answer in answers]),
        thinking_text=_joined([_text(answer, is_thought=True) for answer in answers]),
        message=msgspec.Raw(body),
        usage=usage_of(inner.get("usageMetadata")),
        billing=billing_of(inner.get("usageMetadata"), _web_searches(candidates, model)),
        tool_calls=[_tool_call(as_dict(part["functionCall"])) for part in parts if "functionCall" in part],
        server_tool_calls=[
            _server_call(part, kind) for part, kind in zip(parts, kinds, strict=True) if is_server(kind)
        ],
        content_blocks=kinds,
        finish_reason=finish_reason(inner),
        error=error,
        unknown_events=counted(kind for kind in kinds if kind not in (*_KINDS, "thought")),
    )


def unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """The response itself; Code Assist wraps it in `response`."""
    inner = value.get("response")
    return inner if isinstance(inner, dict) and "candidates" not in value else value


def kind_of(part: dict[str, Any]) -> str:
    """What a part is, by the field that says it."""
    for kind in _KINDS:
        if kind in part:
            return "thought" if kind == "text" and part.get("thought") is True else kind
    return next((name for name in part if name not in _DECORATION), "text")


def is_server(kind: str) -> bool:
    """Whether a part of this kind is a call that the provider executes itself."""
    return kind in ("executableCode", "toolCall")


def finish_reason(response: dict[str, Any]) -> str | None:
    """Of the first candidate, or why the prompt was blocked. Vertex AI's Python client sends numbers: kept as such,
    because the two APIs count differently."""
    candidates = as_list(response.get("candidates"))
    if candidates:
        return _name(as_dict(candidates[0]).get("finishReason"))
    return _name(as_dict(response.get("promptFeedback")).get("blockReason"))


def _name(value: Any) -> str | None:
    number = as_int(value)
    return as_text(value) or (None if number is None else str(number))


def _parts(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in as_list(as_dict(candidate.get("content")).get("parts")) if isinstance(part, dict)]


def _text(parts: list[dict[str, Any]], *, is_thought: bool) -> str:
    texts = [
        part["text"]
        for part in parts
        if isinstance(part.get("text"), str) and (part.get("thought") is True) is is_thought
    ]
    return "".join(texts)


def _joined(texts: list[str]) -> str:
    return "\n".join([text for text in texts if text])


def _tool_call(call: dict[str, Any]) -> ToolCall:
    arguments = encode(call["args"]).decode() if call.get("args") is not None else "{}"
    return _call("functionCall", as_text(call.get("id")), as_text(call.get("name")), arguments)


def _server_call(part: dict[str, Any], kind: str) -> ToolCall:
    fields = as_dict(part.get(kind))
    if kind == "executableCode":
        return _call(kind, as_text(fields.get("id")), "code_execution", as_text(fields.get("code")) or "")
    arguments = encode(fields["args"]).decode() if fields.get("args") is not None else "{}"
    return _call(kind, as_text(fields.get("id")), as_text(fields.get("toolType")), arguments)


def _call(kind: str, call_id: str | None, name: str | None, arguments: str) -> ToolCall:
    return ToolCall(
        tool_call_id=call_id or None,
        tool_name=name or "",
        call_type=kind,
        arguments=arguments,
        input_size_bytes=len(arguments.encode("utf-8", "replace")),
    )


def _web_searches(candidates: list[dict[str, Any]], model: str | None) -> int:
    """Searches as Google bills them; empty queries are not billed, and one that is made twice is billed once."""
    queries = set()
    for candidate in candidates:
        for query in as_list(as_dict(candidate.get("groundingMetadata")).get("webSearchQueries")):
            if isinstance(query, str) and query:
                queries.add(query)
    return min(len(queries), 1) if (model or "").startswith(_PER_PROMPT) else len(queries)
