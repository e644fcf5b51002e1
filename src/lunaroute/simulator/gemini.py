"""The Gemini dialect: body → prompt, reply → body or chunks, errors, headers.

Chunks are ordered as the provider sends them: thought summaries (where asked for), text, function calls, and a last one
with the finish reason; each carries the usage so far. They are events with CRLF (`alt=sse`) or the elements of one JSON
array. Nothing tells a request id, and models before Gemini 3 give calls no id.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any
from urllib.parse import parse_qs

import msgspec

from lunaroute.simulator.dialect import Conversations, part_of, text_of
from lunaroute.simulator.ids import IdMint
from lunaroute.simulator.pace import first_gap_ms, gap_ms, pieces
from lunaroute.simulator.tokens import token_count
from lunaroute.simulator.turn import DialectName, Prompt, Reply, RequestRefusedError, Step, Tool, ToolCall

NAME: DialectName = "gemini"

_TARGET = re.compile(r"/(?:v1|v1beta|v1alpha)/(?:.*/)?models/([^/:]+):(\w+)")
_PIECES_PER_CHUNK = 8
_ERRORS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission."),
    404: ("NOT_FOUND", "The model is not found for API version v1beta. Call ListModels to see the available models."),
    429: ("RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    500: ("INTERNAL", "An internal error has occurred. Please retry."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
}


def method_of(path: str) -> str | None:
    """`generateContent`, `streamGenerateContent`, `countTokens` …; None when the path is not Gemini's."""
    found = _TARGET.fullmatch(path)
    return found[2] if found else None


def asked(target: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body with what this API says in the URL: the model, and how it shall be answered."""
    path, _, query = target.partition("?")
    found = _TARGET.fullmatch(path)
    if found is None:
        raise RequestRefusedError(404, f"not a Gemini path: {path}")
    is_sse = parse_qs(query).get("alt") == ["sse"]
    return {**body, "model": found[1], "stream": found[2] == "streamGenerateContent", "is_sse": is_sse}


def read_prompt(body: dict[str, Any], kept: Conversations) -> Prompt:
    if "generateContentRequest" in body:  # countTokens, second form
        body = {**body["generateContentRequest"], "model": body["model"]}
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise RequestRefusedError(400, "* GenerateContentRequest.contents: contents is not specified")
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    declared = [one for tool in body.get("tools") or [] for one in tool.get("functionDeclarations") or []]
    forced = (calling.get("allowedFunctionNames") or [None])[0] if calling.get("mode") == "ANY" else None
    user_text, rounds, last_result = _position(contents)
    model = str(body.get("model"))
    config = body.get("generationConfig") or {}
    return Prompt(
        model=model,
        is_stream=bool(body.get("stream")),
        user_text=user_text,
        round_count=rounds,
        last_result=last_result,
        tools=() if calling.get("mode") == "NONE" else tuple(_tool(one) for one in declared),
        forced_tool=forced,
        is_thinking=_is_thinking(model) and (config.get("thinkingConfig") or {}).get("thinkingBudget") != 0,
        max_output_tokens=config.get("maxOutputTokens"),
        parts=tuple(part_of(part) for part in [body.get("tools"), body.get("systemInstruction"), *contents] if part),
        is_auto_cached=True,
    )


def _position(contents: list[dict[str, Any]]) -> tuple[str, int, str]:
    """(newest user text, rounds of tool calls since, newest tool results)."""
    rounds, last_result = 0, ""
    for content in reversed(contents):
        parts = content.get("parts") or []
        results = [part["functionResponse"].get("response") for part in parts if "functionResponse" in part]
        if content.get("role") == "model":
            rounds += any("functionCall" in part for part in parts)
        elif results:
            last_result = last_result or "\n".join(msgspec.json.encode(result).decode() for result in results)
        else:
            return text_of(parts), rounds, last_result
    return "", rounds, last_result


def _tool(declared: dict[str, Any]) -> Tool:
    schema = declared.get("parametersJsonSchema") or declared.get("parameters") or {}
    return Tool(name=declared["name"], schema=_lower_types(schema))


def _lower_types(schema: Any) -> Any:
    """`parameters` writes OBJECT and STRING where JSON Schema has object and string."""
    if isinstance(schema, list):
        return [_lower_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else _lower_types(value)
        for key, value in schema.items()
    }


def _is_thinking(model: str) -> bool:
    return model.startswith(("gemini-2.5", "gemini-3"))


def mint_id(ids: IdMint) -> str:
    return ids.text("", 23)


def mint_call_id(ids: IdMint, model: str) -> str:
    return ids.text("", 8).lower() if model.startswith("gemini-3") else ""


def mint_request_id(ids: IdMint) -> str:
    return ""


def usage(reply: Reply) -> dict[str, Any]:
    return _usage(reply, reply.tokens.output_tokens - reply.tokens.thinking_tokens)


def _usage(reply: Reply, said_tokens: int) -> dict[str, Any]:
    """The usage after so many tokens have been said; thoughts are not among them here."""
    tokens = reply.tokens
    found: dict[str, Any] = {"promptTokenCount": tokens.input_tokens}
    if said_tokens:
        found["candidatesTokenCount"] = said_tokens
    found["totalTokenCount"] = tokens.input_tokens + said_tokens + tokens.thinking_tokens
    if tokens.cache_read_tokens:
        found["cachedContentTokenCount"] = tokens.cache_read_tokens
    found["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": tokens.input_tokens}]
    if tokens.cache_read_tokens:
        found["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": tokens.cache_read_tokens}]
    if tokens.thinking_tokens and not reply.is_thinking_usage_hidden:
        found["thoughtsTokenCount"] = tokens.thinking_tokens
    return found


def whole(reply: Reply, ids: IdMint, kept: Conversations) -> dict[str, Any]:
    turn = reply.turn
    thought = [{"text": turn.thinking, "thought": True}] if turn.thinking and _is_shown(reply) else []
    text = [{"text": turn.text}] if turn.text else []
    return _chunk(reply, [*thought, *text, *_calls(reply)], usage(reply), _finish_reason(reply))


def stream(reply: Reply, ids: IdMint, kept: Conversations) -> list[Step]:
    turn = reply.turn
    chunks: list[tuple[dict[str, Any], float]] = []
    said, wait_ms = "", first_gap_ms(reply.id)
    limit = reply.tokens.output_tokens - reply.tokens.thinking_tokens
    for text, part in [(turn.thinking, {"thought": True}), (turn.text, {})]:
        for piece in _portions(text):
            wait_ms += sum(gap_ms(word) for word in pieces(piece))
            if part and not _is_shown(reply):
                continue
            said += "" if part else piece
            usage_so_far = _usage(reply, min(token_count(said), limit))
            chunks.append((_chunk(reply, [{"text": piece, **part}], usage_so_far), wait_ms))
            wait_ms = 0.0
    if turn.calls:
        chunks.append((_chunk(reply, _calls(reply), usage(reply)), wait_ms + gap_ms(turn.calls[0].arguments)))
    chunks.append((_chunk(reply, [{"text": ""}], usage(reply), _finish_reason(reply)), 4.0))
    return _framed(chunks, reply.body["is_sse"])


def _framed(chunks: list[tuple[dict[str, Any], float]], is_sse: bool) -> list[Step]:
    if is_sse:
        return [Step(data=_event(chunk), delay_ms=delay_ms) for chunk, delay_ms in chunks]
    steps = [
        Step(data=(b",\r\n" if number else b"[") + msgspec.json.encode(chunk), delay_ms=delay_ms)
        for number, (chunk, delay_ms) in enumerate(chunks)
    ]
    return [*steps, Step(data=b"]")]


def _event(data: Any) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\r\n\r\n"


def stream_type(body: dict[str, Any]) -> str:
    return "text/event-stream" if body["is_sse"] else "application/json; charset=UTF-8"


def _portions(text: str) -> list[str]:
    """The text in chunks of several tokens, as this provider streams."""
    words = pieces(text)
    return ["".join(words[n : n + _PIECES_PER_CHUNK]) for n in range(0, len(words), _PIECES_PER_CHUNK)]


def _is_shown(reply: Reply) -> bool:
    config = (reply.body.get("generationConfig") or {}).get("thinkingConfig") or {}
    return bool(config.get("includeThoughts"))


def _calls(reply: Reply) -> list[dict[str, Any]]:
    """The calls; the first carries the signature of the thought that led to them."""
    parts = [_call(call) for call in reply.turn.calls]
    if parts and reply.prompt.is_thinking:
        signature = hashlib.sha512((reply.id + reply.turn.thinking).encode()).digest()
        parts[0]["thoughtSignature"] = base64.b64encode(signature).decode()
    return parts


def _call(call: ToolCall) -> dict[str, Any]:
    said = {"name": call.name, "args": msgspec.json.decode(call.arguments)}
    return {"functionCall": said | ({"id": call.id} if call.id else {})}


def _chunk(
    reply: Reply, parts: list[dict[str, Any]], usage: dict[str, Any], finish_reason: str | None = None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if finish_reason is not None:
        candidate["finishReason"] = finish_reason
    chunk: dict[str, Any] = {"candidates": [candidate | {"index": 0}]}
    if not reply.is_usage_hidden:
        chunk["usageMetadata"] = usage
    return chunk | {"modelVersion": reply.prompt.model, "responseId": reply.id}


def _finish_reason(reply: Reply) -> str:
    return "MAX_TOKENS" if reply.turn.is_cut_short else "STOP"


def counted(tokens: int) -> dict[str, Any]:
    """The body of a `countTokens` response."""
    return {"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}


def error(status: int, message: str | None, code: str | None, request_id: str) -> dict[str, Any]:
    kind, default = _ERRORS.get(status, ("INVALID_ARGUMENT" if status < 500 else "INTERNAL", f"Simulated {status}"))
    return {"error": {"code": status, "message": message or default, "status": kind}}


def error_event() -> bytes:
    return _event(error(503, None, None, ""))


def headers(request_id: str, processing_ms: int, count: int) -> list[tuple[str, str]]:
    return [
        ("vary", "Origin"),
        ("vary", "X-Origin"),
        ("vary", "Referer"),
        ("x-xss-protection", "0"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-content-type-options", "nosniff"),
        ("server-timing", f"gfet4t7; dur={processing_ms}"),
    ]
