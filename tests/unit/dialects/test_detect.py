from __future__ import annotations

import pytest

from lunaroute.dialects import detect_dialect


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/messages", "anthropic_messages"),
        ("/v1/messages?beta=true", "anthropic_messages"),
        ("/some/prefix/v1/messages/", "anthropic_messages"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:streamRawPredict", "anthropic_messages"),
        ("/v1/messages/count_tokens", "unknown"),
        ("/v1/messages/batches", "unknown"),
        ("/v1/threads/t/messages", "unknown"),
        ("/v1/chat/completions", "openai_chat"),
        ("/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01", "openai_chat"),
        ("/v1/chat/completions#stream", "openai_chat"),
        ("/v1/completions", "unknown"),
        ("/v1/responses", "openai_responses"),
        ("/responses", "openai_responses"),
        ("/backend-api/codex/responses", "openai_responses"),
        ("/v1/responses/resp_1/cancel", "unknown"),
        ("/v1/embeddings", "unknown"),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", "unknown"),
        ("/", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_path_tells_the_dialect(path: str, dialect: str) -> None:
    assert detect_dialect("POST", path) == dialect


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_only_post_creates_messages(method: str) -> None:
    assert detect_dialect(method, "/v1/responses") == "unknown"
