from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.dialects import read_response_body, reader_for
from lunaroute.dialects.facts import ResponseFacts
from tests.unit.dialects.streams import read_stream

FORM = (
    b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    b"RIFF\x00\xff\r\n--xyz\r\n"
    b'Content-Disposition: form-data; name="model"\r\n\r\ngpt-4o-transcribe\r\n--xyz\r\n'
    b'content-disposition: form-data; name="stream"\r\nContent-Type: text/plain\r\n\r\ntrue\r\n--xyz--\r\n'
)


def read(body: Any, content_type: str = "application/json") -> ResponseFacts:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_response_body("metered", [(1, data)], content_type, 200)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 6, "total_tokens": 6}, (6, None)),
        ({"total_tokens": 18}, (18, None)),
        ({"input_tokens": 4, "output_tokens": 9, "total_tokens": 13}, (4, 9)),
        ({"billed_units": {"input_tokens": 1}, "tokens": {"input_tokens": 15, "output_tokens": 3}}, (15, 3)),
        ({"inputTokens": 2, "outputTokens": 1, "cacheReadInputTokenCount": 5}, (7, 1)),
    ],
)
def test_counts_in_the_form_of_each_maker(usage: dict[str, Any], counts: tuple[int, int | None]) -> None:
    facts = read({"id": "x", "model": "m", "usage": usage})
    assert (facts.response_id, facts.model) == ("x", "m")
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens, facts.usage.raw) == (*counts, usage)


@pytest.mark.parametrize(
    ("body", "input_tokens"),
    [
        ({"embedding": {"values": [0.1]}, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}, 4),
        ({"text": "hi", "meta": {"tokens": {"input_tokens": 7, "output_tokens": 2}}}, 7),
    ],
)
def test_counts_in_other_places(body: dict[str, Any], input_tokens: int) -> None:
    usage = read(body).usage
    assert usage is not None
    assert usage.input_tokens == input_tokens


def test_an_image_is_counted_by_its_own_tokens() -> None:
    usage = {
        "input_tokens": 50,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
        "output_tokens": 1056,
        "output_tokens_details": {"image_tokens": 1000, "text_tokens": 56},
        "total_tokens": 1106,
    }
    facts = read({"created": 1, "data": [{"b64_json": "aGk="}], "usage": usage})
    assert facts.content_blocks == ["image"]
    assert (facts.billing.image_input_tokens, facts.billing.image_output_tokens) == (40, 1000)


def test_a_transcription_by_tokens_and_by_length() -> None:
    usage = {"type": "tokens", "input_tokens": 14, "input_token_details": {"audio_tokens": 12}, "output_tokens": 3}
    facts = read({"text": "hello", "usage": usage})
    assert facts.text == "hello"
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.audio_input_tokens) == (14, 12)

    facts = read({"text": "hello", "usage": {"type": "duration", "seconds": 7}})
    assert facts.billing.audio_seconds == 7.0
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.raw) == (None, {"type": "duration", "seconds": 7})


def test_the_model_of_a_form_stands_beside_the_file() -> None:
    facts = reader_for("metered").read_request(FORM)
    assert (facts.model, facts.is_streaming, facts.is_valid) == ("gpt-4o-transcribe", True, True)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"input": "say it"}, "say it"),
        ({"input": ["a", "b"]}, "a\nb"),
        ({"prompt": "a cat"}, "a cat"),
        ({"input": [1]}, ""),
    ],
)
def test_what_the_user_wrote(body: dict[str, Any], text: str) -> None:
    assert reader_for("metered").read_request(json.dumps(body).encode()).request_text == text


def test_a_sound_is_one_block() -> None:
    facts = read(b"ID3\x00\xff", "audio/mpeg")
    assert (facts.content_blocks, facts.message, facts.usage) == (["binary"], None, None)


def test_a_streamed_transcription() -> None:
    usage = {"type": "tokens", "input_tokens": 5, "output_tokens": 2}
    facts = read_stream(
        "metered",
        {"type": "transcript.text.delta", "delta": "Ru"},
        {"type": "transcript.text.delta", "delta": "by"},
        {"type": "transcript.text.done", "text": "Ruby", "usage": usage},
    )
    assert facts.text == "Ruby"
    assert facts.usage is not None
    assert facts.usage.raw == usage
    cut = read_stream("metered", {"type": "transcript.text.delta", "delta": "Ru"})
    assert cut.text == "Ru"


def test_coheres_stream() -> None:
    facts = read_stream(
        "metered",
        {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "hi"}}}},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 3}}}},
    )
    assert (facts.text, facts.response_id, facts.finish_reason) == ("hi", "c1", "COMPLETE")
    assert facts.usage is not None
    assert facts.usage.input_tokens == 3
