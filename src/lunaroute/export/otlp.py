"""[pure] A session as OpenTelemetry spans, in OTLP's JSON: a line that a collector's `otlpjson` receiver reads.

In: a session and its events. Out: one line with the spans of `events.spans`; exporting twice gives the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from lunaroute import __version__
from lunaroute.events import Event
from lunaroute.events.spans import Span, SpanContext, exchange_span, span_context, tool_span
from lunaroute.events.types import RequestRecorded, ResponseRecorded, ToolCallRecorded
from lunaroute.query.sessions import SessionSummary

_KINDS = {"client": 3, "internal": 1}
_ERROR = 2


def otlp_lines(session: SessionSummary, events: Iterable[Event]) -> Iterator[bytes]:
    resource = {"attributes": _attributes({"service.name": session.client_name or "lunaroute"})}
    scope = {"name": "lunaroute", "version": __version__}
    spans = [_json(span) for span in _spans(events)]
    line = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}
    yield msgspec.json.encode(line) + b"\n"


def _spans(events: Iterable[Event]) -> Iterator[Span]:
    requests: dict[str, RequestRecorded] = {}
    contexts: dict[str, SpanContext] = {}
    for event in events:
        match event:
            case RequestRecorded():
                requests[event.request_id] = event
                contexts[event.request_id] = span_context(event)
            case ResponseRecorded() if event.request_id in requests:
                yield exchange_span(requests.pop(event.request_id), event, "latest")
            case ToolCallRecorded() if event.call_request_id in contexts:
                yield tool_span(event, contexts[event.call_request_id])
            case _:
                pass


def _json(span: Span) -> dict[str, Any]:
    """OTLP's JSON writes 64-bit integers as strings."""
    found: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(span.attributes),
    }
    if span.parent_span_id is not None:
        found["parentSpanId"] = span.parent_span_id
    if span.error is not None:
        found["status"] = {"code": _ERROR, "message": span.error}
    return found


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in values.items()]


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
