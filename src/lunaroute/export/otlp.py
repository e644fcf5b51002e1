"""[pure] A session as OpenTelemetry spans, in OTLP's JSON: a line that a collector's `otlpjson` receiver reads.

In: a session and its events. Out: one line: the session is a trace; each exchange a CLIENT span with the attributes
of the GenAI conventions (input tokens include cached ones, there as here); each tool call a span below the exchange
that asked. Ids are hashes of ours, so exporting twice gives the same spans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from lunaroute import __version__
from lunaroute.events import Event
from lunaroute.events.types import RequestRecorded, ResponseRecorded, ToolCallRecorded
from lunaroute.query.sessions import SessionSummary

_CLIENT, _INTERNAL = 3, 1
_ERROR = 2


def otlp_lines(session: SessionSummary, events: Iterable[Event]) -> Iterator[bytes]:
    requests: dict[str, RequestRecorded] = {}
    spans = []
    for event in events:
        match event:
            case RequestRecorded():
                requests[event.request_id] = event
            case ResponseRecorded() if event.request_id in requests:
                spans.append(_exchange(requests.pop(event.request_id), event))
            case ToolCallRecorded():
                spans.append(_call(event))
            case _:
                pass
    resource = {"attributes": _attributes({"service.name": session.client_name or "lunaroute"})}
    scope = {"name": "lunaroute", "version": __version__}
    line = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}
    yield msgspec.json.encode(line) + b"\n"


def _exchange(request: RequestRecorded, response: ResponseRecorded) -> dict[str, Any]:
    tokens, cost = response.stats.tokens, response.stats.estimated_cost
    model = request.model_requested or response.model_used or "unknown"
    ttfb_ms = response.stats.time_to_first_byte_ms
    span = _span(response.session_id, response.request_id, f"chat {model}", _CLIENT)
    span["startTimeUnixNano"], span["endTimeUnixNano"] = _nanos(request.timestamp), _nanos(response.timestamp)
    span["attributes"] = _attributes(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": request.provider,
            "gen_ai.request.model": request.model_requested,
            "gen_ai.request.stream": request.is_streaming,
            "gen_ai.response.model": response.model_used,
            "gen_ai.response.id": response.response_id,
            "gen_ai.response.finish_reasons": [response.finish_reason] if response.finish_reason else None,
            "gen_ai.response.time_to_first_chunk": None if ttfb_ms is None else ttfb_ms / 1000,
            "gen_ai.usage.input_tokens": tokens.input_tokens,
            "gen_ai.usage.output_tokens": tokens.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": tokens.cache_read_tokens,
            "gen_ai.usage.cache_write.input_tokens": tokens.cache_creation_tokens,
            "gen_ai.usage.reasoning.output_tokens": tokens.thinking_tokens,
            "error.type": (response.error and response.error.type) or (None if response.success else response.outcome),
            "lunaroute.session.id": response.session_id,
            "lunaroute.cost.usd": None if cost is None else cost.total_cost_usd,
            "lunaroute.cost.price_version": None if cost is None else cost.price_version,
        }
    )
    if not response.success:
        span["status"] = {"code": _ERROR, "message": (response.error and response.error.message) or ""}
    return span


def _call(event: ToolCallRecorded) -> dict[str, Any]:
    key = f"{event.call_request_id}/{event.tool_call_id}"
    span = _span(event.session_id, key, f"execute_tool {event.tool_name}", _INTERNAL)
    end = datetime.fromisoformat(event.timestamp)
    begin = end - timedelta(milliseconds=event.execution_time_ms or 0.0)
    span["parentSpanId"] = _id(event.call_request_id, 8)
    span["startTimeUnixNano"], span["endTimeUnixNano"] = _nanos(begin.isoformat()), _nanos(event.timestamp)
    span["attributes"] = _attributes(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": event.tool_name,
            "gen_ai.tool.call.id": event.tool_call_id,
            "error.type": "tool_error" if event.success is False else None,
        }
    )
    return span


def _span(session_id: str, key: str, name: str, kind: int) -> dict[str, Any]:
    return {"traceId": _id(session_id, 16), "spanId": _id(key, 8), "name": name, "kind": kind}


def _id(text: str, size_bytes: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[: 2 * size_bytes]


def _nanos(timestamp: str) -> str:
    """OTLP's JSON writes 64-bit integers as strings."""
    since_epoch = datetime.fromisoformat(timestamp) - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return str(since_epoch // timedelta(microseconds=1) * 1000)


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in values.items() if value is not None]


def _any_value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_any_value(one) for one in value]}}
        case _:
            return {"stringValue": str(value)}
