"""Every real exchange of the corpus through a real relay process and a real recorder.

The wire is compared byte for byte; the recording with the corpus's own truth, normalised here by a formula of its
own (CONTRACT §3), so that no code under test takes part in saying what is right.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import re
import sys
from collections import Counter
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
from tests.support.replay import Replay, chunked, replay_all
from tests.support.server import RecordedExchange, RecordedSession, serving, sessions

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DIALECTS = {
    "anthropic": "anthropic_messages",
    "openai-chat": "openai_chat",
    "openai-responses": "openai_responses",
    "anthropic-vertex": "anthropic_messages",
}
"""The corpus's wire protocols that have a dialect; all others are recorded as `unknown`."""
PATHS = {
    "anthropic": "/v1/messages",
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "gemini": "/v1beta/models/m:generateContent",
}
"""Where the corpus has no URL."""
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
    path = url.path or PATHS.get(recorded["provider"], "/")
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
    text = recorded.get("response_body_raw")
    body = base64.b64decode(recorded["response_body_b64"]) if text is None else text.encode()
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

CLIENT_TOOLS_OF_RESPONSES = ("apply_patch_call", "local_shell_call", "shell_call")
"""Run by the client, and recorded as such; the corpus's truth counts function and custom tool calls only."""


def test_the_recording_says_what_the_provider_said(played: Played) -> None:
    compared = 0
    differences: dict[str, list[str]] = {}
    for case, found in played.pairs():
        truth = expected().get(case.id)
        if case.dialect == "unknown" or truth is None:
            continue
        compared += 1
        wrong = list(_differences(case, truth, found))
        if wrong:
            differences[case.id] = wrong
    assert compared >= 700
    assert differences == {}, json.dumps(differences, indent=1)


def _differences(case: Case, truth: dict[str, Any], found: RecordedExchange) -> Iterator[str]:
    response = found.response
    tokens = response.stats.tokens
    for name, count in _normalised(case, truth).items():
        seen = getattr(tokens, name)
        is_estimate = name == "thinking_tokens" and count is None and tokens.thinking_is_estimated
        if seen != count and not is_estimate:
            yield f"{name} is {seen}, not {count}"
    if truth["tool_calls"] is not None:  # null: several choices, each with its own
        seen_calls = _seen_calls(found)
        if seen_calls != _true_calls(truth):
            yield f"tool calls are {seen_calls}, not {truth['tool_calls']}"
    for name, seen, true in (
        ("model", response.model_used, truth["model"]),
        ("finish_reason", response.finish_reason, truth["stop_reason"]),
        ("refusal", response.stats.has_refusal, bool(truth["refusal"])),
        ("response_id", response.response_id, truth["response_id"]),
        ("usage", response.stats.usage_raw, truth["raw_usage"]),
    ):
        if seen != true:
            yield f"{name} is {seen!r}, not {true!r}"


def _seen_calls(found: RecordedExchange) -> Counter[tuple[str, str | None]]:
    calls = found.response.stats.tool_calls
    return Counter((c.tool_name, c.tool_call_id) for c in calls if c.tool_name not in CLIENT_TOOLS_OF_RESPONSES)


def _true_calls(truth: dict[str, Any]) -> Counter[tuple[str, str | None]]:
    """Without Snowflake's empty placeholders, which name no tool. An empty id is none."""
    return Counter((call["name"], call["id"] or None) for call in truth["tool_calls"] if call["name"])


def _normalised(case: Case, truth: dict[str, Any]) -> dict[str, int | None]:
    """The inclusive rule, from what the provider reported."""
    inputs, outputs = truth["input_tokens"], truth["output_tokens"]
    thinking, audio = truth["reasoning_tokens"], truth["audio_input_tokens"]
    cache = {name: truth[name] for name in ("cache_read_tokens", "cache_creation_tokens")}
    cache |= {f"{name}_tokens": truth[name] for name in ("cache_creation_5m", "cache_creation_1h")}
    if case.dialect == "openai_chat":
        cache = _told_otherwise(truth["raw_usage"] or {}) | {k: v for k, v in cache.items() if v is not None}
    if inputs is not None and case.dialect == "anthropic_messages":
        inputs += (truth["cache_read_tokens"] or 0) + (truth["cache_creation_tokens"] or 0)
    elif None not in (inputs, outputs, truth["total_tokens"]):
        beside = truth["total_tokens"] - inputs - outputs
        if beside > 0 and beside == thinking:
            outputs += beside
        elif beside > 0 and beside == audio:
            inputs += beside
    return {
        "input_tokens": inputs,
        "output_tokens": outputs,
        "total_tokens": None if inputs is None and outputs is None else (inputs or 0) + (outputs or 0),
        "thinking_tokens": thinking,
        **cache,
        "audio_input_tokens": audio,
        "audio_output_tokens": truth["audio_output_tokens"],
    }


def _told_otherwise(raw: dict[str, Any]) -> dict[str, int | None]:
    """Cache counts that the corpus's truth has in the raw usage only: Mistral's own name for reads, and Anthropic's
    words for writes in gateways' chat bodies."""
    by_lifetime = raw.get("cache_creation") or {}
    return {
        "cache_read_tokens": raw.get("num_cached_tokens"),
        "cache_creation_tokens": raw.get("cache_creation_input_tokens"),
        "cache_creation_5m_tokens": by_lifetime.get("ephemeral_5m_input_tokens"),
        "cache_creation_1h_tokens": by_lifetime.get("ephemeral_1h_input_tokens"),
    }


def test_other_protocols_are_kept_without_being_interpreted(played: Played) -> None:
    others = [(case, found) for case, found in played.pairs() if case.dialect == "unknown"]
    assert len(others) >= 200
    for case, found in others:
        assert found.response.stats.tokens.total_tokens is None, case.id
        assert found.response.stats.tool_calls == [], case.id
        if isinstance(case.recorded["request_body"], dict):
            assert json.loads(bytes(found.request.request_json)) == case.recorded["request_body"], case.id
