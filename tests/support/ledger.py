"""What the simulated provider knows of an exchange, against what was recorded of it.

In: an entry of the ledger and the recorded exchange. Out: assertions. Invariant: the expectation is made from the
ledger and the contract alone, by none of the code under test.
"""

from __future__ import annotations

import hashlib
from typing import Any

from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import Tokens
from lunaroute.simulator import LedgerEntry
from tests.support.server import RecordedExchange

HOP_BY_HOP = {"host", "connection", "keep-alive"}


def sent(entry: LedgerEntry) -> tuple[Any, ...]:
    """A request as the provider saw it: method, target, header fields in order and case, body; Host and hop-by-hop
    fields apart."""
    headers = [(name, value) for name, value in entry.request_headers if name.lower() not in HOP_BY_HOP]
    return entry.method, entry.target, headers, entry.request_bytes, entry.request_sha256


def check_recorded(entry: LedgerEntry, found: RecordedExchange) -> None:
    """The recording has the bytes, the outcome and, where something was generated, the meaning of the exchange."""
    _check_bytes(entry, found)
    _check_outcome(entry, found)
    if entry.usage is not None:
        _check_meaning(entry, found)


def _check_bytes(entry: LedgerEntry, found: RecordedExchange) -> None:
    request = found.request
    # Recorded is what the client asked for; the relay completes a path that is short of its version.
    asked = "/v1/messages" if request.target == "/messages" else request.target
    # To the provider each turn of a WebSocket is a POST; recorded is the handshake's method.
    method = entry.method if request.websocket is None else "GET"
    assert (request.method, asked) == (method, entry.target)
    assert request.body_sha256 == entry.request_sha256
    assert hashlib.sha256(request_bytes(request)).hexdigest() == entry.request_sha256
    body = response_bytes(found.response)
    assert found.response.body_sha256 == hashlib.sha256(body).hexdigest()
    if entry.outcome != "client_gone":  # what was on its way to a client that left may not have arrived anywhere
        assert found.response.body_sha256 == (entry.response_sha256 or hashlib.sha256(b"").hexdigest())
        assert found.response.stats.response_size_bytes == entry.response_bytes


def _check_outcome(entry: LedgerEntry, found: RecordedExchange) -> None:
    response = found.response
    assert response.status_code == (entry.status or None), (response, entry)
    assert response.outcome == _expected_outcome(entry), (response.outcome, response.error, entry)
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
    assert calls == [(call.id or None, call.name, call.arguments) for call in entry.tool_calls]
    tokens = _told(response.stats.tokens)
    if entry.is_usage_served:
        assert tokens == inclusive(entry)
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


def inclusive(entry: LedgerEntry) -> dict[str, int | None]:
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
    elif entry.dialect == "gemini":
        inputs, thinking = usage["promptTokenCount"], usage.get("thoughtsTokenCount")
        outputs = usage.get("candidatesTokenCount", 0) + (thinking or 0)
        cache_read = usage.get("cachedContentTokenCount")
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
