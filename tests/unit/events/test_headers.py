"""Headers in events: what is worth asking about, and never a credential."""

from __future__ import annotations

import pytest

from lunaroute.capture.records import join_headers
from lunaroute.events.headers import (
    api_version,
    provider_request_id,
    rate_limits,
    request_fields,
    response_fields,
)
from lunaroute.sessions import HeaderTexts, header_texts


def fields(*pairs: tuple[str, str]) -> HeaderTexts:
    return header_texts(join_headers([(name.encode(), value.encode()) for name, value in pairs]))


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-Api-Key",
        "api-key",
        "x-goog-api-key",
        "Cookie",
        "Proxy-Authorization",
        "anthropic-api-key",
        "openai-secret",
        "x-codex-access-token",
        "chatgpt-account-id",
        "x-anything-else",
    ],
)
def test_credentials_and_unlisted_fields_are_left_out(name: str) -> None:
    assert request_fields(fields((name, "sk-1"))) == []
    assert response_fields(fields((name, "sk-1"))) == []


def test_listed_fields_keep_order_case_and_duplicates() -> None:
    pairs = [("User-Agent", "a"), ("anthropic-beta", "x"), ("Anthropic-Beta", "y"), ("X-Claude-Code-Session-Id", "s")]
    assert request_fields(fields(*pairs)) == pairs


def test_rate_limits_are_all_that_the_provider_said_of_them() -> None:
    headers = fields(
        ("Anthropic-RateLimit-Tokens-Remaining", "5"),
        ("x-ratelimit-limit-requests", "9"),
        ("Retry-After", "3"),
        ("date", "d"),
    )
    assert rate_limits(headers) == {
        "anthropic-ratelimit-tokens-remaining": "5",
        "x-ratelimit-limit-requests": "9",
        "retry-after": "3",
    }
    assert rate_limits(fields(("date", "d"))) is None


@pytest.mark.parametrize("name", ["request-id", "X-Request-Id", "x-goog-request-id", "apim-request-id"])
def test_the_providers_request_id_is_found(name: str) -> None:
    assert provider_request_id(fields(("date", "d"), (name, "req_1"))) == "req_1"


def test_the_api_version_is_found() -> None:
    assert api_version(fields(("Anthropic-Version", "2023-06-01"))) == "2023-06-01"
    assert api_version(fields()) is None


def test_every_byte_of_a_header_value_survives() -> None:
    raw = bytes(byte for byte in range(256) if byte not in b"\r\n")
    assert header_texts(join_headers([(b"user-agent", raw)])).get("user-agent") == raw.decode("latin-1")
