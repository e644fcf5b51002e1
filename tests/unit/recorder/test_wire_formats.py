"""What a recording says about each kind of call: label, model, tokens, cost, and whether a price is missing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from lunaroute.events.types import RequestRecorded, ResponseRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.exchanges import JSON, ExchangeScript

FORM = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--x--\r\n'
NOTHING = (None, None, None, 0)
"""Tokens in, tokens out, US dollars, unpriced."""
EMBEDDED = {"model": "text-embedding-3-small", "data": [], "usage": {"prompt_tokens": 100, "total_tokens": 100}}
GENERATED = {
    "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
    "modelVersion": "gemini-2.5-flash",
    "usageMetadata": {"promptTokenCount": 1000, "thoughtsTokenCount": 100, "totalTokenCount": 1100},
}
COMPLETED = {
    "model": "gpt-3.5-turbo-instruct",
    "choices": [{"text": "a", "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000},
}


def record(
    path: str, request: bytes, response: bytes, *, provider: str, kind: bytes = b"application/json"
) -> tuple[RequestRecorded, ResponseRecorded]:
    script = ExchangeScript(body=request, path=path, provider=provider, headers=JSON)
    script.answer(200, at_ms=100, headers=[(b"Content-Type", kind)])
    script.chunk(response, at_ms=110)
    script.close(at_ms=200)
    pipeline = Pipeline(PipelineSettings())
    events = [*pipeline.feed(script.received), *pipeline.feed(script.ended)]
    assert pipeline.take_poisoned() == []
    [asked] = [event for event in events if isinstance(event, RequestRecorded)]
    [answered] = [event for event in events if isinstance(event, ResponseRecorded)]
    return asked, answered


@pytest.mark.parametrize(
    ("provider", "path", "request_body", "response", "label", "numbers"),
    [
        (
            "anthropic",
            "/v1/messages/count_tokens",
            {"model": "claude-haiku-4-5"},
            {"input_tokens": 641},
            "unknown",
            NOTHING,
        ),
        ("anthropic", "/v1/messages/batches", {"requests": []}, {"id": "msgbatch_1"}, "unknown", NOTHING),
        ("anthropic", "/v1/files", {}, {"id": "file_1"}, "unknown", NOTHING),
        ("google", "/v1beta/models/gemini-2.5-flash:countTokens", {}, {"totalTokens": 31}, "unknown", NOTHING),
        (
            "openai",
            "/v1/responses/input_tokens",
            {},
            {"input_tokens": 9, "usage": {"input_tokens": 9}},
            "unknown",
            NOTHING,
        ),
        (
            "openai",
            "/v1/moderations",
            {"input": "x"},
            {"id": "modr-1", "model": "omni", "results": []},
            "unknown",
            NOTHING,
        ),
        # $0.02 per million.
        ("openai", "/v1/embeddings", {"input": "x"}, EMBEDDED, "unknown", (100, None, 2e-6, 0)),
        # $1.50 and $2.
        ("openai", "/v1/completions", {"prompt": "x"}, COMPLETED, "unknown", (1000, 1000, 3.5e-3, 0)),
        # $0.30 and $2.50.
        ("google", "/v1beta/models/m:generateContent", {}, GENERATED, "gemini", (1000, 100, 5.5e-4, 0)),
        (
            "openai",
            "/v1/images/generations",
            {"model": "dall-e-2"},
            {"data": [{"url": "u"}]},
            "unknown",
            (None, None, None, 1),
        ),
        (
            "ollama",
            "/api/chat",
            {"model": "q"},
            {"eval_count": 5, "prompt_eval_count": 7, "done": True},
            "unknown",
            (7, 5, None, 1),
        ),
    ],
)
def test_what_is_reported_is_counted_and_priced(
    provider: str, path: str, request_body: Any, response: Any, label: str, numbers: tuple[Any, ...]
) -> None:
    asked, answered = record(path, json.dumps(request_body).encode(), json.dumps(response).encode(), provider=provider)
    tokens, cost = answered.stats.tokens, answered.stats.estimated_cost
    dollars, unpriced = (None, 0) if cost is None else (cost.total_cost_usd, cost.unpriced_requests)

    assert asked.dialect == label
    assert answered.outcome == "completed"
    assert (tokens.input_tokens, tokens.output_tokens, unpriced) == (*numbers[:2], numbers[3])
    assert dollars == (None if numbers[2] is None else pytest.approx(numbers[2]))
    assert msgspec.json.decode(answered.response_json) == response


def test_speech_to_text_is_paid_by_its_length_and_text_to_speech_has_no_price() -> None:
    heard = b'{"text":"hi","usage":{"type":"duration","seconds":60}}'
    asked, answered = record("/v1/audio/transcriptions", FORM, heard, provider="openai")
    assert (asked.model_requested, answered.response_text) == ("whisper-1", "hi")
    assert answered.stats.estimated_cost is not None
    assert answered.stats.estimated_cost.total_cost_usd == pytest.approx(0.006)

    _, spoken = record("/v1/audio/speech", b'{"model":"tts-1"}', b"ID3\xff\x00", provider="openai", kind=b"audio/mpeg")
    assert spoken.stats.content_blocks == ["binary"]
    assert spoken.stats.estimated_cost is not None
    assert (spoken.stats.estimated_cost.total_cost_usd, spoken.stats.estimated_cost.unpriced_requests) == (None, 1)


def test_a_stream_of_json_is_a_stream() -> None:
    body = b"[" + b",\r\n".join(json.dumps(GENERATED).encode() for _ in range(2)) + b"]"
    asked, answered = record("/v1beta/models/m:streamGenerateContent", b"{}", body, provider="google")
    assert (asked.is_streaming, asked.model_requested) == (True, "m")
    assert answered.stats.is_streaming
    assert answered.stats.streaming is not None
    assert answered.response_body is not None
    assert answered.response_body.data == body.decode()
    assert [event.event_type for event in answered.stats.stream_events][-1] == "completion"


def test_what_the_price_depended_on_is_recorded() -> None:
    usage = {
        "input_tokens": 5,
        "output_tokens": 5,
        "service_tier": "batch",
        "server_tool_use": {"web_search_requests": 2},
    }
    body = {"id": "m", "model": "claude-haiku-4-5", "content": [], "usage": usage}
    _, answered = record("/v1/messages", b"{}", json.dumps(body).encode(), provider="anthropic")
    assert (answered.stats.billing.service_tier, answered.stats.billing.web_searches) == ("batch", 2)


def test_impossible_counts_are_no_counts() -> None:
    iterations = [{"type": "compaction", "input_tokens": 2**70, "output_tokens": -4}]
    usage = {
        "input_tokens": 5,
        "output_tokens": 5,
        "iterations": iterations,
        "server_tool_use": {"web_search_requests": 2**70},
    }
    body = {"id": "m", "model": "claude-haiku-4-5", "content": [], "usage": usage}
    _, answered = record("/v1/messages", b"{}", json.dumps(body).encode(), provider="anthropic")
    [side] = answered.stats.billing.side_usages
    assert (side.input_tokens, side.output_tokens, answered.stats.billing.web_searches) == (None, None, 0)
