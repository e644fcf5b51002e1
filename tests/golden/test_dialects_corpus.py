"""Every recorded exchange of the dialects read here gives the numbers that were derived from it independently.

`expected.json` holds them as reported; the formulas below bring them to the inclusive rule of CONTRACT §3. What
differs is listed in KNOWN by cause, not by exchange: a cause says which field may differ and how.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from lunaroute.dialects import read_response_body
from lunaroute.dialects.facts import Dialect, ResponseFacts
from tests.corpus import exchanges, expected

DIALECT_OF: dict[str, Dialect] = {
    "anthropic": "anthropic_messages",
    "anthropic-vertex": "anthropic_messages",
    "openai-chat": "openai_chat",
    "openai-responses": "openai_responses",
}
CHUNK_BYTES = 777

_CLIENT_SHELLS = {"apply_patch_call", "local_shell_call", "shell_call"}

KNOWN: dict[str, Callable[[str, Any, Any, Any], bool]] = {
    # The oracle took three cache counts only from OpenAI's own places; a gateway and Mistral use other names.
    "a cache count stated under another name": lambda field, want, got, usage: (
        field in ("cache_read_tokens", "cache_creation_tokens", "cache_creation_5m", "cache_creation_1h")
        and want is None
        and got in _counts_in(usage)
    ),
    # An id of "" is no id.
    "an empty call id": lambda field, want, got, usage: (
        field == "tool_calls" and [(name, call_id or None) for name, call_id in want] == got
    ),
    # Snowflake's replies carry an empty `function_call` object, which the oracle counts as a call.
    "an empty function_call object": lambda field, want, got, usage: (
        field == "tool_calls" and [call for call in want if call != ("", None)] == got
    ),
    # The oracle counts shell and patch calls as the provider's; without a container the client executes them.
    "a shell or patch call of the client": lambda field, want, got, usage: (
        field == "tool_calls" and [call for call in got if call[0] not in _CLIENT_SHELLS] == want
    ),
}
MAX_KNOWN_SHARE = 0.07


def _counts_in(value: Any) -> set[int]:
    if isinstance(value, dict):
        return set().union(*(_counts_in(inner) for inner in value.values()), set())
    return {value} if isinstance(value, int) else set()


def read_exchange(exchange: dict[str, Any], chunk_bytes: int = CHUNK_BYTES) -> ResponseFacts:
    """The facts of a recorded response, its body arriving in pieces at made-up times."""
    body = exchange["response_body_raw"].encode()
    chunks = [(start * 1000, body[start : start + chunk_bytes]) for start in range(0, len(body), chunk_bytes)]
    content_type = next((str(value) for name, value in _headers(exchange) if name.lower() == "content-type"), None)
    return read_response_body(DIALECT_OF[exchange["provider"]], chunks, content_type, exchange["status"] or 200)


def _headers(exchange: dict[str, Any]) -> list[tuple[str, Any]]:
    headers = exchange["response_headers"] or {}
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(name, value[0] if isinstance(value, list) else value) for name, value in pairs]


def _wanted(truth: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    input_tokens, output_tokens = truth["input_tokens"], truth["output_tokens"]
    if dialect == "anthropic_messages" and input_tokens is not None:
        input_tokens += (truth["cache_read_tokens"] or 0) + (truth["cache_creation_tokens"] or 0)
    elif None not in (input_tokens, output_tokens, truth["total_tokens"]):
        unaccounted = truth["total_tokens"] - input_tokens - output_tokens
        if unaccounted > 0 and unaccounted == truth["reasoning_tokens"]:
            output_tokens += unaccounted
        elif unaccounted > 0 and unaccounted == truth["audio_input_tokens"]:
            input_tokens += unaccounted
    wanted = {name: truth[name] for name in _SAME}
    wanted |= {"input_tokens": input_tokens, "output_tokens": output_tokens}
    wanted["refusal"] = bool(truth["refusal"])
    wanted["has_error"] = truth["error"] is not None
    if truth["tool_calls"] is not None:
        wanted["tool_calls"] = [(call["name"], call["id"]) for call in truth["tool_calls"]]
    if dialect != "openai_chat":
        wanted["content_block_types"] = truth["content_block_types"] or []
    return wanted


_SAME = (
    "model",
    "response_id",
    "stop_reason",
    "raw_usage",
    "reasoning_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "cache_creation_5m",
    "cache_creation_1h",
    "audio_input_tokens",
    "audio_output_tokens",
)


def _found(facts: ResponseFacts) -> dict[str, Any]:
    usage = facts.usage

    def count(name: str) -> Any:
        return None if usage is None else getattr(usage, name)

    return {
        "model": facts.model,
        "response_id": facts.response_id,
        "stop_reason": facts.finish_reason,
        "raw_usage": count("raw"),
        "input_tokens": count("input_tokens"),
        "output_tokens": count("output_tokens"),
        "reasoning_tokens": count("thinking_tokens"),
        "cache_read_tokens": count("cache_read_tokens"),
        "cache_creation_tokens": count("cache_creation_tokens"),
        "cache_creation_5m": count("cache_creation_5m_tokens"),
        "cache_creation_1h": count("cache_creation_1h_tokens"),
        "audio_input_tokens": count("audio_input_tokens"),
        "audio_output_tokens": count("audio_output_tokens"),
        "refusal": facts.has_refusal,
        "has_error": facts.error is not None,
        "tool_calls": [(call.tool_name, call.tool_call_id) for call in facts.tool_calls],
        "content_block_types": facts.content_blocks,
    }


@pytest.mark.parametrize("provider", DIALECT_OF)
def test_every_exchange_gives_the_independently_derived_facts(provider: str) -> None:
    count, known, unexplained = 0, set(), []
    for exchange in exchanges(provider):
        count += 1
        truth = expected()[exchange["id"]]
        found = _found(read_exchange(exchange))
        for field, want in _wanted(truth, DIALECT_OF[provider]).items():
            if found[field] == want:
                continue
            if any(explains(field, want, found[field], truth["raw_usage"]) for explains in KNOWN.values()):
                known.add(exchange["id"])
            else:
                unexplained.append((exchange["id"], field, want, found[field]))

    assert unexplained == []
    assert count > 0
    assert len(known) <= MAX_KNOWN_SHARE * count


@pytest.mark.parametrize("provider", DIALECT_OF)
def test_every_message_rebuilt_from_a_stream_reads_like_the_stream(provider: str) -> None:
    for exchange in exchanges(provider):
        facts = read_exchange(exchange)
        if not exchange["is_sse"] or facts.message is None:
            continue
        body = bytes(facts.message) if isinstance(facts.message, msgspec.Raw) else msgspec.json.encode(facts.message)

        plain = read_response_body(DIALECT_OF[provider], [(0, body)], "application/json", 200)

        assert msgspec.json.decode(body) is not None
        assert (plain.text, plain.thinking_text) == (facts.text, facts.thinking_text), exchange["id"]
        assert plain.usage == facts.usage, exchange["id"]
        calls = [(call.tool_call_id, call.tool_name, call.arguments) for call in plain.tool_calls]
        assert calls == [(call.tool_call_id, call.tool_name, call.arguments) for call in facts.tool_calls]


@pytest.mark.parametrize("provider", DIALECT_OF)
def test_every_whole_stream_is_finished_and_has_a_first_token(provider: str) -> None:
    streams, unfinished = 0, []
    for exchange in exchanges(provider):
        facts = read_exchange(exchange)
        if not exchange["is_sse"] or facts.error is not None:
            continue
        streams += 1
        kinds = [milestone.event_type for milestone in facts.milestones]
        has_output = bool(facts.text or facts.thinking_text)
        if not facts.is_finished or (has_output and "first_token" not in kinds) or "completion" not in kinds:
            unfinished.append(exchange["id"])

    assert streams > 0
    assert unfinished == []
