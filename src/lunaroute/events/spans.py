"""Exchanges and tool calls as OpenTelemetry spans, by the conventions for generative AI (`semconv`).

In: the events of an exchange, or of a call and the request that asked for it. Out: spans, neutral of how they are sent.
Ids are hashes of ours, so the same event always gives the same span. A client that is traced itself says so in
`traceparent`: its trace is gone on with; else a session is a trace. `gen_ai.conversation.id` is the client's own, never
one that was inferred. Input tokens include cached ones, there as here.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from .semconv import SPANS, Version, provider_name
from .types import RequestRecorded, ResponseRecorded, ToolCallRecorded

Value = str | bool | int | float | list[str]

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
"""https://www.w3.org/TR/trace-context/#traceparent-header"""
_GIVEN: Final = frozenset({"session_tag", "client_header", "body_field"})
"""Rules of identity by which the client itself named its conversation."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16."""
    parent_span_id: str | None
    name: str
    kind: Literal["client", "internal"]
    start_ns: int
    """Unix time."""
    end_ns: int
    attributes: dict[str, Value]
    error: str | None = None
    """What went wrong; None: nothing did."""


class SpanContext(msgspec.Struct, frozen=True):
    """What spans below an exchange's need to know of it."""

    trace_id: str
    span_id: str
    parent_span_id: str | None


def span_context(request: RequestRecorded) -> SpanContext:
    """Of an exchange, by its request."""
    for name, value in request.request_headers:
        if name.lower() == "traceparent" and (match := _TRACEPARENT.fullmatch(value.strip())) is not None:
            return SpanContext(match[1], _id(request.request_id, 8), match[2])
    return SpanContext(_id(request.session_id, 16), _id(request.request_id, 8), None)


def exchange_span(
    request: RequestRecorded, response: ResponseRecorded, version: Version, *, has_content: bool = False
) -> Span:
    """`has_content`: what was said as well."""
    context = span_context(request)
    operation = _operation(request)
    model = request.model_requested or response.model_used
    path = request.target.partition("?")[0]
    attributes = (_http if operation is None else _inference)(request, response)
    if operation is not None:
        attributes |= {"gen_ai.operation.name": operation} | _usage(response, version)
        if has_content:
            attributes |= _content(request, response)
    return Span(
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_span_id=context.parent_span_id,
        name=f"{request.method} {path}" if operation is None else f"{operation} {model}" if model else operation,
        kind="client",
        start_ns=_nanos(request.timestamp),
        end_ns=max(_nanos(request.timestamp), _nanos(response.timestamp)),
        attributes=_known(attributes | _ours(request, response)),
        error=None if response.success else _problem(response),
    )


def tool_span(event: ToolCallRecorded, asked_by: SpanContext, *, has_content: bool = False) -> Span:
    """Below the span of the exchange that asked for the call; it ends when the result arrived."""
    end = datetime.fromisoformat(event.timestamp)
    begin = end - timedelta(milliseconds=event.execution_time_ms or 0.0)
    attributes: dict[str, Value | None] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": event.tool_name,
        "gen_ai.tool.call.id": event.tool_call_id,
        "gen_ai.tool.type": "function",
        "error.type": "tool_error" if event.success is False else None,
        "lunaroute.session.id": event.session_id,
        "lunaroute.tool.is_shared_bound": event.is_shared_bound,
    }
    if has_content:
        attributes |= {"gen_ai.tool.call.arguments": event.arguments, "gen_ai.tool.call.result": event.output_text}
    return Span(
        trace_id=asked_by.trace_id,
        span_id=_id(f"{event.call_request_id}/{event.tool_call_id}", 8),
        parent_span_id=asked_by.span_id,
        name=f"execute_tool {event.tool_name}",
        kind="internal",
        start_ns=_nanos(begin.isoformat()),
        end_ns=_nanos(event.timestamp),
        attributes=_known(attributes),
        error=(event.error or "") if event.success is False else None,
    )


# ---- attributes


class _Asked(msgspec.Struct, kw_only=True):
    """Settings of a request, as its body has them; whatever has an unusual type is left out."""

    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    seed: Any = None
    frequency_penalty: Any = None
    presence_penalty: Any = None
    stop: Any = None
    stop_sequences: Any = None


_asked_decoder = msgspec.json.Decoder(_Asked)


def _operation(request: RequestRecorded) -> str | None:
    """`gen_ai.operation.name`; None: it is no call of a model."""
    path = request.target.partition("?")[0].rstrip("/")
    if path.endswith(("/embeddings", ":embedContent", ":batchEmbedContents")):
        return "embeddings"
    if request.model_requested is None or request.method != "POST" or path.endswith(("/count_tokens", ":countTokens")):
        return None
    if request.dialect == "gemini":
        return "generate_content"
    is_text = path.endswith("/completions") and not path.endswith("/chat/completions")
    return "text_completion" if is_text or path.endswith("/complete") else "chat"


def _inference(request: RequestRecorded, response: ResponseRecorded) -> dict[str, Value | None]:
    ttfb_ms = response.stats.time_to_first_byte_ms
    finish = response.finish_reason or (None if response.success or not request.is_streaming else "error")
    return {
        "gen_ai.provider.name": provider_name(request.provider),
        "gen_ai.conversation.id": _given_conversation(request),
        "gen_ai.request.model": request.model_requested,
        "gen_ai.request.stream": request.is_streaming,
        "gen_ai.request.previous_response.id": request.previous_response_id,
        "gen_ai.response.model": response.model_used,
        "gen_ai.response.id": response.response_id,
        "gen_ai.response.finish_reasons": [finish] if finish else None,
        "gen_ai.response.time_to_first_chunk": ttfb_ms / 1000 if request.is_streaming and ttfb_ms is not None else None,
        "error.type": _error_type(response),
        **_settings(request),
    }


def _http(request: RequestRecorded, response: ResponseRecorded) -> dict[str, Value | None]:
    return {
        "http.request.method": request.method,
        "url.path": request.target.partition("?")[0],
        "http.response.status_code": response.status_code,
        "error.type": _error_type(response),
    }


def _settings(request: RequestRecorded) -> dict[str, Value | None]:
    try:
        asked = _asked_decoder.decode(request.request_json)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    most = asked.max_tokens or asked.max_completion_tokens or asked.max_output_tokens
    stop = asked.stop_sequences or asked.stop
    stops = [stop] if isinstance(stop, str) else stop
    return {
        "gen_ai.request.max_tokens": _whole(most),
        "gen_ai.request.temperature": _number(asked.temperature),
        "gen_ai.request.top_p": _number(asked.top_p),
        "gen_ai.request.top_k": _whole(asked.top_k),
        "gen_ai.request.seed": _whole(asked.seed),
        "gen_ai.request.frequency_penalty": _number(asked.frequency_penalty),
        "gen_ai.request.presence_penalty": _number(asked.presence_penalty),
        "gen_ai.request.stop_sequences": [str(one) for one in stops] if isinstance(stops, list) and stops else None,
    }


def _usage(response: ResponseRecorded, version: Version) -> dict[str, Value | None]:
    tokens = response.stats.tokens
    return {
        "gen_ai.usage.input_tokens": tokens.input_tokens,
        "gen_ai.usage.output_tokens": tokens.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": tokens.cache_read_tokens,
        SPANS[version].cache_write_tokens: tokens.cache_creation_tokens,
        "gen_ai.usage.reasoning.output_tokens": tokens.thinking_tokens,
    }


def _content(request: RequestRecorded, response: ResponseRecorded) -> dict[str, Value | None]:
    """What was said, in the conventions' JSON; of the input what is new, as agents send their history each time."""
    parts: list[dict[str, Any]] = []
    if response.thinking_text:
        parts.append({"type": "reasoning", "content": response.thinking_text})
    if response.response_text:
        parts.append({"type": "text", "content": response.response_text})
    for call in response.stats.tool_calls:
        arguments = _json_or_text(call.arguments)
        parts.append({"type": "tool_call", "id": call.tool_call_id, "name": call.tool_name, "arguments": arguments})
    said = [{"role": "user", "parts": [{"type": "text", "content": request.request_text}]}]
    answer = [{"role": "assistant", "parts": parts, "finish_reason": response.finish_reason or "error"}]
    return {
        "gen_ai.input.messages": json.dumps(said) if request.request_text else None,
        "gen_ai.output.messages": json.dumps(answer) if parts else None,
    }


def _ours(request: RequestRecorded, response: ResponseRecorded) -> dict[str, Value | None]:
    cost, client = response.stats.estimated_cost, request.client
    return {
        "lunaroute.session.id": response.session_id,
        "lunaroute.request.id": response.request_id,
        "lunaroute.thread.id": request.thread_id,
        "lunaroute.thread.kind": request.thread_kind,
        "lunaroute.client.name": None if client is None else client.name,
        "lunaroute.project": request.project,
        "lunaroute.outcome": response.outcome,
        "lunaroute.retry_of": request.retry_of,
        "lunaroute.cost.usd": None if cost is None else cost.total_cost_usd,
        "lunaroute.cost.price_version": None if cost is None else cost.price_version,
        "gen_ai.agent.name": request.agent,
    }


def _given_conversation(request: RequestRecorded) -> str | None:
    identity = request.identity
    if identity is None or identity.rule not in _GIVEN:
        return None
    return (identity.evidence or "").partition("=")[2] or None


def _error_type(response: ResponseRecorded) -> str | None:
    if response.success:
        return None
    if response.error is not None and response.error.type:
        return response.error.type
    return response.outcome if response.status_code is None or response.status_code < 400 else str(response.status_code)


def _problem(response: ResponseRecorded) -> str:
    return (response.error and response.error.message) or ""


def _known(attributes: dict[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}


def _json_or_text(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text


def _whole(value: Any) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and -(2**63) <= value < 2**63 else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _id(text: str, size_bytes: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[: 2 * size_bytes]


def _nanos(timestamp: str) -> int:
    since_epoch = datetime.fromisoformat(timestamp) - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return since_epoch // timedelta(microseconds=1) * 1000
