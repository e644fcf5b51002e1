"""Every real exchange of the corpus through a real relay process and a real recorder.

The wire is compared byte for byte; the recording with the corpus's own truth, normalised here by a formula of its
own (CONTRACT §3), so that no code under test takes part in saying what is right.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import brotli  # type: ignore[import-untyped]
import msgspec
import pytest

from lunaroute.config import DEFAULT_UPSTREAMS
from lunaroute.demo.server import free_port
from lunaroute.events.bodies import request_bytes, response_bytes
from tests.corpus import corpus_dir, exchanges, expected
from tests.corpus_scripts import response_body, wire_path
from tests.support.replay import Replay, chunked, replay_all
from tests.support.server import RecordedExchange, RecordedSession, serving, sessions
from tests.truth import differences, exception_for

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DIALECTS = {
    "anthropic": "anthropic_messages",
    "openai-chat": "openai_chat",
    "openai-responses": "openai_responses",
    "anthropic-vertex": "anthropic_messages",
    "bedrock-invoke-anthropic": "anthropic_messages",
    "gemini": "gemini",
}
"""The corpus's wire protocols that have a dialect; all others are labelled `unknown`."""
COMPRESSED = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstd.compress}
FRAMING = {"content-length", "transfer-encoding", "connection", "keep-alive", "host", "trailer", "upgrade", "expect"}
ODD_SIZES = (1, 7, 613, 3, 4099, 64)


class Case(msgspec.Struct, kw_only=True):
    """One exchange of the corpus on its way."""

    recorded: dict[str, Any]
    replay: Replay
    response_body: bytes
    """With its content coding, without the transfer coding."""

    @property
    def id(self) -> str:
        return str(self.recorded["id"])

    @property
    def dialect(self) -> str:
        return DIALECTS.get(self.recorded["provider"], "unknown")


class Played(msgspec.Struct, kw_only=True):
    cases: list[Case]
    sessions: list[RecordedSession]
    by_number: dict[int, RecordedExchange]

    def pairs(self) -> Iterator[tuple[Case, RecordedExchange]]:
        return ((case, self.by_number[number]) for number, case in enumerate(self.cases))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    corpus_dir()
    home = tmp_path_factory.mktemp("corpus") / "home"
    upstream_port = free_port()
    cases = [_case(number, recorded) for number, recorded in enumerate(exchanges())]
    upstreams = dict.fromkeys(DEFAULT_UPSTREAMS, f"http://127.0.0.1:{upstream_port}")
    with serving(home, upstreams) as server:
        asyncio.run(replay_all(server.port, upstream_port, [case.replay for case in cases]))
    found = sessions(home)
    by_number = {
        int(re.search(r"[?&]replay=(\d+)", one.request.target)[1]): one  # type: ignore[index]
        for session in found
        for one in session.exchanges()
    }
    return Played(cases=cases, sessions=found, by_number=by_number)


def _case(number: int, recorded: dict[str, Any]) -> Case:
    url = urlsplit(recorded["url"] or "")
    path = wire_path(recorded)
    target = f"{path}?{url.query}&replay={number}" if url.query else f"{path}?replay={number}"
    raw = recorded.get("request_body_raw")
    body = json.dumps(recorded["request_body"], ensure_ascii=False) if raw is None else raw
    request_body = body.encode()
    headers = [*_headers(recorded["request_headers"]), ("Content-Length", str(len(request_body)))]
    response_body = _response_body(recorded)
    return Case(
        recorded=recorded,
        replay=Replay(
            request_head=_head(f"{recorded['method']} {target} HTTP/1.1", headers),
            request_body=request_body,
            response=_response(recorded, response_body),
            pieces=1 + number % 7,
        ),
        response_body=response_body,
    )


def _response_body(recorded: dict[str, Any]) -> bytes:
    body = response_body(recorded)
    coding = dict(_headers(recorded["response_headers"], lower=True)).get("content-encoding")
    return body if coding is None else COMPRESSED[coding](body)


def _response(recorded: dict[str, Any], body: bytes) -> bytes:
    headers = _headers(recorded["response_headers"])
    kind = dict(_headers(recorded["response_headers"], lower=True)).get("content-type")
    if kind is None:
        headers.append(("content-type", "text/event-stream" if recorded["is_sse"] else "application/json"))
    is_chunked = recorded["is_sse"] or "event-stream" in (kind or "") or "ndjson" in (kind or "")
    if is_chunked:
        headers.append(("Transfer-Encoding", "chunked"))
        framed = chunked(body, ODD_SIZES)
    else:
        headers.append(("Content-Length", str(len(body))))
        framed = body
    return _head(f"HTTP/1.1 {recorded['status']} As Recorded", headers) + framed


def _headers(pairs: dict[str, Any] | None, *, lower: bool = False) -> list[tuple[str, str]]:
    """All but the framing, which is made anew."""
    flat = [
        (name, str(one))
        for name, value in (pairs or {}).items()
        for one in (value if isinstance(value, list) else [value])
        if name.lower() not in FRAMING
    ]
    return [(name.lower(), value) for name, value in flat] if lower else flat


def _head(first: str, headers: list[tuple[str, str]]) -> bytes:
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")


# ---- the wire ---------------------------------------------------------------------------------------------------


def test_the_client_gets_the_providers_bytes(played: Played) -> None:
    """The whole response: status line, headers, chunk framing, body."""
    assert [case.id for case in played.cases if case.replay.received != case.replay.response] == []


def test_the_provider_gets_the_clients_bytes(played: Played) -> None:
    for case in played.cases:
        assert case.replay.seen_body == case.replay.request_body, case.id
        assert _without_host(case.replay.seen_head) == _unprefixed(case.replay.request_head), case.id


def _without_host(head: bytes) -> bytes:
    return re.sub(rb"\r\nHost: [^\r]*", b"", head, count=1)


def _unprefixed(head: bytes) -> bytes:
    """`/openai/v1/…` names the provider; the rest is what it gets."""
    names = "|".join(DEFAULT_UPSTREAMS).encode()
    return re.sub(rb"^(\w+) /(?:%s)/" % names, rb"\1 /", head)


# ---- the files --------------------------------------------------------------------------------------------------


def test_every_exchange_is_recorded_once(played: Played) -> None:
    assert sorted(played.by_number) == list(range(len(played.cases)))
    assert sum(len(session.exchanges()) for session in played.sessions) == len(played.cases)
    assert sum(s.completed.final_stats.request_count for s in played.sessions) == len(played.cases)
    assert {session.completed.reason for session in played.sessions} == {"shutdown"}


def test_exact_bytes_come_back_from_the_files(played: Played) -> None:
    for case, found in played.pairs():
        assert request_bytes(found.request) == case.replay.request_body, case.id
        assert response_bytes(found.response) == case.response_body, case.id
        assert found.request.body_sha256 == hashlib.sha256(case.replay.request_body).hexdigest(), case.id
        assert found.response.body_sha256 == hashlib.sha256(case.response_body).hexdigest(), case.id
        assert found.response.stats.response_size_bytes == len(case.response_body), case.id


def test_dialect_status_and_outcome_are_the_recorded_ones(played: Played) -> None:
    for case, found in played.pairs():
        assert found.request.dialect == case.dialect, case.id
        assert found.response.status_code == case.recorded["status"], case.id
        if case.recorded["status"] >= 400:
            assert (found.response.outcome, found.response.success) == ("http_error", False), case.id
        else:
            assert found.response.outcome in ("completed", "stream_error"), case.id


# ---- the numbers ------------------------------------------------------------------------------------------------


def test_the_recording_says_what_the_provider_said(played: Played) -> None:
    """The rules of the comparison are those of `tests/truth.py`."""
    wrong: dict[str, list[str]] = {}
    for case, found in played.pairs():
        truth = expected()[case.id]
        said_otherwise = differences(case.recorded, truth, found.response, response_body(case.recorded))
        if faults := [one for one in said_otherwise if exception_for(one) is None]:
            wrong[case.id] = faults
    assert wrong == {}, json.dumps(wrong, indent=1)


def test_every_request_body_comes_back_as_json(played: Played) -> None:
    for case, found in played.pairs():
        if isinstance(case.recorded["request_body"], dict):
            assert json.loads(bytes(found.request.request_json)) == case.recorded["request_body"], case.id
