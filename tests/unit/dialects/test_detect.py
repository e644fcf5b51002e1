from __future__ import annotations

import pytest

from lunaroute.dialects import detect_format, dialect_of, read_request_body

BEDROCK_CLAUDE = "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0"
VERTEX = "/v1/projects/p/locations/l/publishers"


@pytest.mark.parametrize(
    ("path", "wire_format"),
    [
        ("/v1/messages", "anthropic_messages"),
        ("/v1/messages?beta=true", "anthropic_messages"),
        ("/some/prefix/v1/messages/", "anthropic_messages"),
        (f"{VERTEX}/anthropic/models/claude@1:streamRawPredict", "anthropic_messages"),
        (f"{BEDROCK_CLAUDE}/invoke", "anthropic_messages"),
        (f"{BEDROCK_CLAUDE}/invoke-with-response-stream", "anthropic_messages"),
        ("/v1/messages/count_tokens", "unknown"),
        ("/v1/messages/batches", "unknown"),
        ("/v1/files", "unknown"),
        ("/v1/threads/t/messages", "unknown"),
        ("/v1/chat/completions", "openai_chat"),
        ("/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01", "openai_chat"),
        ("/v1/chat/completions#stream", "openai_chat"),
        ("/v1/fim/completions", "openai_chat"),
        ("/v1/completions", "openai_completions"),
        ("/v1/engines/copilot-codex/completions", "openai_completions"),
        ("/v1/responses", "openai_responses"),
        ("/responses", "openai_responses"),
        ("/v1/responses/compact", "openai_responses"),
        ("/backend-api/codex/responses", "openai_responses"),
        ("/v1/responses/resp_1/cancel", "unknown"),
        ("/v1/responses/input_tokens", "unknown"),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini"),
        ("/v1alpha/models/gemini-2.5-pro:generateContent", "gemini"),
        ("/v1/models/gemini-2.5-pro:generateContent", "gemini"),
        (f"{VERTEX}/google/models/gemini-2.5-pro:generateContent", "gemini"),
        ("/v1internal:streamGenerateContent?alt=sse", "gemini"),
        ("/v1beta/models/gemini-2.5-pro:countTokens", "unknown"),
        ("/v1beta/models/gemini-embedding-001:embedContent", "metered"),
        ("/v1/embeddings", "metered"),
        ("/v1/images/generations", "metered"),
        ("/v1/audio/transcriptions", "metered"),
        ("/v1/moderations", "metered"),
        ("/v2/chat", "metered"),
        ("/api/chat", "ollama"),
        ("/api/generate", "ollama"),
        ("/model/amazon.nova-lite-v1:0/converse-stream", "bedrock_converse"),
        ("/model/amazon.nova-lite-v1:0/invoke", "metered"),
        ("/", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_path_tells_the_format(path: str, wire_format: str) -> None:
    assert detect_format("POST", path) == wire_format


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_only_post_creates_messages(method: str) -> None:
    assert detect_format(method, "/v1/responses") == "unknown"


def test_formats_that_are_no_dialect_are_labelled_unknown() -> None:
    assert dialect_of("gemini") == "gemini"
    assert dialect_of("openai_chat") == "openai_chat"
    assert {dialect_of(one) for one in ("ollama", "metered", "openai_completions", "bedrock_converse")} == {"unknown"}


@pytest.mark.parametrize(
    ("path", "model", "is_streaming"),
    [
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", "gemini-2.5-pro", True),
        ("/v1beta/models/gemini-2.5-pro:generateContent?key=x", "gemini-2.5-pro", False),
        (f"{VERTEX}/google/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", False),
        (f"{VERTEX}/anthropic/models/claude-x@20250514:streamRawPredict", "claude-x@20250514", True),
        (f"{BEDROCK_CLAUDE}/invoke", "us.anthropic.claude-haiku-4-5-20251001-v1:0", False),
        ("/model/amazon.nova-lite-v1:0/converse-stream", "amazon.nova-lite-v1:0", True),
        ("/openai/deployments/my-gpt/chat/completions", "my-gpt", False),
        ("/v1/chat/completions", None, False),
    ],
)
def test_the_path_tells_model_and_streaming_where_the_body_leaves_them_open(
    path: str, model: str | None, is_streaming: bool
) -> None:
    facts = read_request_body(detect_format("POST", path), path, b"{}")
    assert (facts.model, facts.is_streaming) == (model, is_streaming)


def test_the_body_goes_before_the_path() -> None:
    facts = read_request_body("openai_chat", "/openai/deployments/d/chat/completions", b'{"model":"m","stream":true}')
    assert (facts.model, facts.is_streaming) == ("m", True)
