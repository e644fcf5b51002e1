"""[pure] Exchanges as an HTTP Archive 1.2, for browsers' network panels and the many tools that read it.

In: events. Out: one JSON document. Times of phases are ours: `wait` is request sent → first byte, `receive` the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from lunaroute import __version__
from lunaroute.events import Event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import RequestRecorded, ResponseRecorded

_BASE_URL = "http://127.0.0.1:8081"


def har_document(events: Iterable[Event]) -> bytes:
    requests: dict[str, RequestRecorded] = {}
    entries = []
    for event in events:
        if isinstance(event, RequestRecorded):
            requests[event.request_id] = event
        elif isinstance(event, ResponseRecorded) and event.request_id in requests:
            entries.append(_entry(requests.pop(event.request_id), event))
    creator = {"name": "LunaRoute", "version": __version__}
    return msgspec.json.encode({"log": {"version": "1.2", "creator": creator, "entries": entries}})


def _entry(request: RequestRecorded, response: ResponseRecorded) -> dict[str, Any]:
    latency_ms = response.stats.provider_latency_ms or 0.0
    wait_ms = response.stats.time_to_first_byte_ms or latency_ms
    return {
        "startedDateTime": request.timestamp,
        "time": latency_ms,
        "request": {
            "method": request.method,
            "url": f"{_BASE_URL}{request.target}",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _headers(request.request_headers),
            "queryString": [],
            "postData": {"mimeType": "application/json", "text": _text(request_bytes(request))},
            "headersSize": -1,
            "bodySize": request.stats.request_size_bytes,
        },
        "response": {
            "status": response.status_code or 0,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _headers(response.response_headers),
            "content": {
                "size": response.stats.response_size_bytes,
                "mimeType": {k.lower(): v for k, v in response.response_headers}.get("content-type", ""),
                "text": _text(response_bytes(response)),
            },
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": response.stats.response_size_bytes,
        },
        "cache": {},
        "timings": {"send": 0, "wait": wait_ms, "receive": max(0.0, latency_ms - wait_ms)},
        "_session_id": request.session_id,
        "_request_id": request.request_id,
        "_outcome": response.outcome,
    }


def _headers(headers: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
