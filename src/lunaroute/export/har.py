"""[pure] Exchanges as an HTTP Archive 1.2, for browsers' network panels and the many tools that read it.

In: events, and where the providers are. Out: one JSON document. The address of an entry is the provider's: path and
query as it got them, below the base URL that its name has in the settings of now; where it has none, the relay's.
Bodies are without their content coding, as HAR has them; what is no text is base64. Times of phases are ours: `wait` is
request sent → first byte, `receive` the rest. Exchanges of a client's transcript have no bytes and are left out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from lunaroute import __version__
from lunaroute.assemble.content import decode_content
from lunaroute.events import Event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import RequestRecorded, ResponseRecorded
from lunaroute.relay.headers import LineReader
from lunaroute.relay.routes import Router

_RELAY_URL = "http://127.0.0.1:8081"
_SURFACES = ("anthropic", "openai", "google")


def har_document(events: Iterable[Event], upstreams: Mapping[str, str]) -> Iterator[bytes]:
    """The document, entry by entry: whole sessions would not fit into memory. `upstreams`: provider name → base URL."""
    requests: dict[str, RequestRecorded] = {}
    creator = msgspec.json.encode({"name": "LunaRoute", "version": __version__})
    yield b'{"log":{"version":"1.2","creator":%b,"pages":[],"entries":[' % creator
    comma = b""
    for event in events:
        if isinstance(event, RequestRecorded) and event.body_sha256:
            requests[event.request_id] = event
        elif isinstance(event, ResponseRecorded) and event.request_id in requests:
            yield comma + msgspec.json.encode(_entry(requests.pop(event.request_id), event, upstreams))
            comma = b","
    yield b"]}}"


def provider_url(request: RequestRecorded, upstreams: Mapping[str, str]) -> str:
    """Where the request went: without the prefixes in the path that are only for us."""
    base_url = upstreams.get(request.provider)
    if base_url is None:
        return f"{_RELAY_URL}{request.target}"
    # The provider is known, so whatever surface the path looks like leads to it.
    reader = LineReader(lambda _credential: "", bytes)
    lines = [reader.read(f"{name}: {value}".encode()) for name, value in request.request_headers]
    route = Router(dict.fromkeys((request.provider, *_SURFACES), base_url)).route(request.target, lines)
    if route is None:
        return f"{_RELAY_URL}{request.target}"
    scheme = "https" if route.upstream.is_tls else "http"
    return f"{scheme}://{route.upstream.host_header.decode()}{route.target}"


def _entry(request: RequestRecorded, response: ResponseRecorded, upstreams: Mapping[str, str]) -> dict[str, Any]:
    latency_ms = response.stats.provider_latency_ms or 0.0
    wait_ms = response.stats.time_to_first_byte_ms or latency_ms
    url = provider_url(request, upstreams)
    return {
        "startedDateTime": request.timestamp,
        "time": latency_ms,
        "request": {
            "method": request.method,
            "url": url,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _headers(request.request_headers),
            "queryString": [{"name": name, "value": value} for name, value in parse_qsl(urlsplit(url).query, True)],
            **_post_data(request),
            "headersSize": -1,
            "bodySize": request.stats.request_size_bytes,
        },
        "response": {
            "status": response.status_code or 0,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _headers(response.response_headers),
            "content": _content(response),
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": response.stats.response_size_bytes,
        },
        "cache": {},
        "timings": {"send": 0, "wait": wait_ms, "receive": max(0.0, latency_ms - wait_ms)},
        "_session_id": request.session_id,
        "_request_id": request.request_id,
        "_provider": request.provider,
        "_outcome": response.outcome,
    }


def _post_data(request: RequestRecorded) -> dict[str, Any]:
    body = _plain(request_bytes(request), request.request_headers)
    if not body:
        return {}
    # HAR has no base64 for what is posted.
    text = body.decode("utf-8", "replace")
    return {"postData": {"mimeType": _header(request.request_headers, "content-type") or "", "text": text}}


def _content(response: ResponseRecorded) -> dict[str, Any]:
    body = _plain(response_bytes(response), response.response_headers)
    content = {"size": len(body), "mimeType": _header(response.response_headers, "content-type") or ""}
    try:
        return {**content, "text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {**content, "text": base64.b64encode(body).decode(), "encoding": "base64"}


def _plain(body: bytes, headers: list[tuple[str, str]]) -> bytes:
    """Without its content coding; as it is where that could not be undone."""
    coding = _header(headers, "content-encoding")
    if coding is None or not body:
        return body
    decoded = decode_content(body, coding)
    return body if decoded.error is not None and not decoded.data else decoded.data


def _header(headers: list[tuple[str, str]], name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)


def _headers(headers: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]
