"""Every real exchange of the corpus through the pipeline: nothing breaks, every byte comes back, every line is JSON."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import urlsplit

from lunaroute.assemble.exchange import RunEnded
from lunaroute.capture.records import HeaderList
from lunaroute.events import Event, decode_event, encode_event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded
from lunaroute.recorder.pipeline import Pipeline, PipelineSettings
from tests.corpus import corpus_dir, exchange_ids, exchanges
from tests.exchanges import MS, START_WALL_NS, ExchangeScript

_PROVIDERS = {"anthropic": "anthropic", "gemini": "google"}


def _headers(recorded: Any) -> HeaderList:
    """What the corpus has of them; its bodies are already decoded, so no content coding is claimed."""
    pairs = recorded.items() if isinstance(recorded, dict) else recorded or []
    flat = [(name, one) for name, value in pairs for one in (value if isinstance(value, list) else [value])]
    return [
        (str(name).encode(), str(value).encode("latin-1", "replace").replace(b"\r", b" ").replace(b"\n", b" "))
        for name, value in flat
        if str(name).lower() != "content-encoding"
    ]


def _script(number: int, recorded: dict[str, Any]) -> ExchangeScript:
    body = recorded.get("request_body_raw")
    request = json.dumps(recorded["request_body"]).encode() if body is None else body.encode()
    at_ms = number * 1000
    script = ExchangeScript(
        number,
        body=request,
        headers=_headers(recorded["request_headers"]),
        method=recorded["method"],
        path=urlsplit(recorded["url"] or "").path or "/v1/messages",
        provider=_PROVIDERS.get(recorded["provider"], "openai"),
        opened_ms=at_ms,
        sent_ms=at_ms + 10,
    )
    response = (
        base64.b64decode(recorded["response_body_b64"])
        if recorded.get("response_body_raw") is None
        else recorded["response_body_raw"].encode()
    )
    script.answer(recorded["status"] or 200, at_ms=at_ms + 100, headers=_headers(recorded["response_headers"]))
    for start in range(0, len(response), 1000):
        script.chunk(response[start : start + 1000], at_ms=at_ms + 110 + start // 1000)
    script.close(at_ms=at_ms + 900)
    return script


def test_real_exchanges_are_recorded_byte_for_byte() -> None:
    corpus_dir()
    pipeline = Pipeline(PipelineSettings())
    events: list[Event] = []
    request_hashes, response_hashes = [], []
    for number, recorded in enumerate(exchanges()):
        script = _script(number, recorded)
        request_hashes.append(hashlib.sha256(script.exchange.request_body).digest())
        response_hashes.append(hashlib.sha256(script.exchange.response_body).digest())
        events += pipeline.feed(script.received)
        events += pipeline.feed(script.ended)
    events += pipeline.feed(RunEnded(START_WALL_NS + 10_000_000 * MS))
    assert [poison.reason for poison in pipeline.take_poisoned()] == []
    restored = [_read_back(event) for event in events]
    assert [_hash(request_bytes(e)) for e in restored if isinstance(e, RequestRecorded)] == request_hashes
    assert [_hash(response_bytes(e)) for e in restored if isinstance(e, ResponseRecorded)] == response_hashes
    assert sum(e.final_stats.request_count for e in restored if isinstance(e, Completed)) == len(exchange_ids())


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _read_back(event: Event) -> Event:
    """The event as a reader of its line gets it; the line itself is one line of plain JSON."""
    line = encode_event(event)
    assert b"\n" not in line
    assert b"\r" not in line
    json.loads(line, parse_constant=_refuse)
    return decode_event(line)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")
