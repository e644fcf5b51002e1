"""The official SDKs see the same through the relay as without it; the provider gets what they sent; the recording
says what the provider served.

Each scenario runs twice, against two simulated providers of one seed: directly, and through a whole server.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.figures import (
    Tokens,
)
from lunaroute.simulator import LedgerEntry, RunningSimulator, start_simulator
from tests.support.sdk_scenarios import SCENARIOS, Results
from tests.support.server import RecordedExchange, Server, exchanges, serving

SEED = "equal"
HOP_BY_HOP = {"host", "connection", "keep-alive"}


class Outcome(msgspec.Struct, kw_only=True):
    """One scenario, both ways."""

    direct: Results
    relayed: Results
    direct_ledger: list[LedgerEntry]
    relayed_ledger: list[LedgerEntry]


class Both(msgspec.Struct, kw_only=True):
    outcomes: dict[str, Outcome]
    recorded: dict[str, list[RecordedExchange]]
    """By the request id that the provider told."""
    headless: dict[str, list[RecordedExchange]]
    """Those that got no response head, by the hash of the request."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    home = tmp_path_factory.mktemp("sdk") / "home"
    outcomes = {}
    with (
        start_simulator(seed=SEED) as alone,
        start_simulator(seed=SEED) as behind,
        serving(home, {"anthropic": behind.base_url, "openai": behind.base_url}) as server,
    ):
        for name in SCENARIOS:
            outcomes[name] = _both_ways(name, alone, behind, server)
        ledger_length = len(behind.ledger())
    found = exchanges(home)
    assert len(found) == ledger_length
    recorded: dict[str, list[RecordedExchange]] = defaultdict(list)
    headless: dict[str, list[RecordedExchange]] = defaultdict(list)
    for one in found:
        told = one.response.provider_request_id
        (headless[one.request.body_sha256] if told is None else recorded[told]).append(one)
    return Both(outcomes=outcomes, recorded=recorded, headless=headless)


def _both_ways(name: str, alone: RunningSimulator, behind: RunningSimulator, server: Server) -> Outcome:
    direct_from, relayed_from = len(alone.ledger()), len(behind.ledger())
    scenario = SCENARIOS[name]
    return Outcome(
        direct=scenario(alone.base_url),
        relayed=scenario(server.base_url),
        direct_ledger=alone.ledger()[direct_from:],
        relayed_ledger=behind.ledger()[relayed_from:],
    )


EACH = pytest.mark.parametrize("name", SCENARIOS)


@EACH
def test_the_sdk_gets_the_same_through_the_relay(both: Both, name: str) -> None:
    outcome = both.outcomes[name]
    assert outcome.direct, "a scenario without a result proves nothing"
    assert outcome.relayed == outcome.direct


@EACH
def test_the_provider_gets_what_the_sdk_sent(both: Both, name: str) -> None:
    """Method, target, header fields in order and case, body; Host and hop-by-hop fields apart."""
    outcome = both.outcomes[name]
    direct, relayed = _by_body(outcome.direct_ledger), _by_body(outcome.relayed_ledger)
    assert len(direct) > 0
    assert [_sent(entry) for entry in relayed] == [_sent(entry) for entry in direct]


def _by_body(ledger: list[LedgerEntry]) -> list[LedgerEntry]:
    """Side by side requests arrive in any order; equal ones (retries) stay in theirs."""
    return sorted(ledger, key=lambda entry: entry.request_sha256)


def _sent(entry: LedgerEntry) -> tuple[Any, ...]:
    headers = [(name, value) for name, value in entry.request_headers if name.lower() not in HOP_BY_HOP]
    return entry.method, entry.target, headers, entry.request_bytes, entry.request_sha256


@EACH
def test_the_recording_is_what_the_provider_served(both: Both, name: str) -> None:
    for entry in both.outcomes[name].relayed_ledger:
        found = _recording_of(entry, both)
        _check_bytes(entry, found)
        _check_outcome(entry, found)
        if entry.usage is not None:
            _check_meaning(entry, found)


def _recording_of(entry: LedgerEntry, both: Both) -> RecordedExchange:
    if entry.status == 0:  # dropped without an answer; equal requests cannot be told apart, and need not be
        return both.headless[entry.request_sha256][0]
    (found,) = both.recorded[entry.request_id]
    return found


def _check_bytes(entry: LedgerEntry, found: RecordedExchange) -> None:
    request = found.request
    assert (request.method, request.target) == (entry.method, entry.target)
    assert request.body_sha256 == entry.request_sha256
    assert hashlib.sha256(request_bytes(request)).hexdigest() == entry.request_sha256
    body = response_bytes(found.response)
    assert found.response.body_sha256 == hashlib.sha256(body).hexdigest()
    if entry.outcome != "client_gone":  # what was on its way to a client that left may not have arrived anywhere
        assert found.response.body_sha256 == (entry.response_sha256 or hashlib.sha256(b"").hexdigest())
        assert found.response.stats.response_size_bytes == entry.response_bytes


def _check_outcome(entry: LedgerEntry, found: RecordedExchange) -> None:
    response = found.response
    assert response.status_code == (entry.status or None)
    assert response.outcome == _expected_outcome(entry)
    assert response.success == (response.outcome == "completed")
    assert (response.error is None) == response.success


def _expected_outcome(entry: LedgerEntry) -> str:
    if entry.outcome == "client_gone":
        return "client_cancelled"
    if entry.outcome == "cut" or "end_after" in entry.directives:
        return "upstream_cut"
    if entry.status >= 400:
        return "http_error"
    return "stream_error" if "error_event_after" in entry.directives else "completed"


def _check_meaning(entry: LedgerEntry, found: RecordedExchange) -> None:
    response = found.response
    assert found.request.dialect == entry.dialect
    assert found.request.model_requested == entry.model
    assert found.request.is_streaming == entry.is_stream
    if response.outcome != "completed":
        assert entry.text.startswith(response.response_text)
        return
    assert response.response_text == entry.text
    assert response.response_id == entry.response_id
    calls = [(call.tool_call_id, call.tool_name, call.arguments) for call in response.stats.tool_calls]
    assert calls == [(call.id, call.name, call.arguments) for call in entry.tool_calls]
    tokens = _told(response.stats.tokens)
    if entry.is_usage_served:
        assert tokens == _inclusive(entry)
    else:
        assert set(tokens.values()) == {None}


def _told(tokens: Tokens) -> dict[str, int | None]:
    return {
        "input": tokens.input_tokens,
        "output": tokens.output_tokens,
        "thinking": tokens.thinking_tokens,
        "cache_read": tokens.cache_read_tokens,
        "cache_creation": tokens.cache_creation_tokens,
        "total": tokens.total_tokens,
    }


def _inclusive(entry: LedgerEntry) -> dict[str, int | None]:
    """CONTRACT §3 in so many words: all input is input, thinking is output."""
    usage = entry.usage or {}
    cache_read, cache_creation = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    if entry.dialect == "anthropic_messages":
        inputs, outputs = usage["input_tokens"] + cache_read + cache_creation, usage["output_tokens"]
        thinking = usage["output_tokens_details"]["thinking_tokens"]
    elif entry.dialect == "openai_chat":
        inputs, outputs = usage["prompt_tokens"], usage["completion_tokens"]
        thinking = usage["completion_tokens_details"]["reasoning_tokens"]
        cache_read = usage["prompt_tokens_details"]["cached_tokens"]
    else:
        inputs, outputs = usage["input_tokens"], usage["output_tokens"]
        thinking = usage["output_tokens_details"]["reasoning_tokens"]
        cache_read = usage["input_tokens_details"]["cached_tokens"]
        cache_creation = usage["input_tokens_details"].get("cache_write_tokens")
    return {
        "input": inputs,
        "output": outputs,
        "thinking": thinking,
        "cache_read": cache_read,
        "cache_creation": cache_creation,
        "total": inputs + outputs,
    }
