"""The relay's own answers have the shape of the provider's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.relay.answers import answer, error_answer, refusal_answer
from lunaroute.relay.limits import Refusal


def body(raw: bytes) -> dict[str, Any]:
    head, _, content = raw.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(content) in head
    found: dict[str, Any] = json.loads(content)
    return found


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (502, "api_error"),
        (504, "timeout_error"),
    ],
)
def test_anthropic_shape(status: int, kind: str) -> None:
    assert body(error_answer(status, "why", "anthropic", close=False)) == {
        "type": "error",
        "error": {"type": kind, "message": "lunaroute: why"},
    }


@pytest.mark.parametrize("listener", ["openai", "groq", None])
@pytest.mark.parametrize(("status", "kind"), [(431, "invalid_request_error"), (503, "server_error")])
def test_openai_shape(listener: str | None, status: int, kind: str) -> None:
    expected = {"message": "lunaroute: why", "type": kind, "param": None, "code": None}
    assert body(error_answer(status, "why", listener, close=False)) == {"error": expected}


def test_openai_shape_of_a_spent_budget_is_one_that_its_clients_do_not_retry() -> None:
    expected = {"message": "lunaroute: why", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}
    refused = refusal_answer(Refusal(429, "why"), "openai", close=False, is_head=False)
    assert body(refused) == {"error": expected}
    assert b"\r\nx-should-retry: false\r\n" in refused
    later = refusal_answer(Refusal(429, "why", 5), "openai", close=False, is_head=False)
    assert body(later)["error"]["code"] == "rate_limit_exceeded"
    assert b"\r\nretry-after: 5\r\n" in later


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (426, "INTERNAL"),
    ],
)
def test_google_shape(status: int, name: str) -> None:
    expected = {"code": status, "message": "lunaroute: why", "status": name}
    assert body(error_answer(status, "why", "google", close=False)) == {"error": expected}


def test_answer_says_when_the_connection_ends() -> None:
    assert b"\r\nconnection: close\r\n" in answer(200, {}, close=True)
    assert b"connection" not in answer(200, {}, close=False)
    assert b"\r\nupgrade: HTTP/1.1\r\n" in error_answer(426, "x", None, True, b"upgrade: HTTP/1.1\r\n")


def test_answer_to_head_has_the_headers_of_the_body_it_leaves_out() -> None:
    whole = error_answer(502, "x", "openai", close=False)
    assert error_answer(502, "x", "openai", close=False, is_head=True) == whole[: whole.index(b"\r\n\r\n") + 4]


def test_unknown_status_has_a_reason_too() -> None:
    assert answer(599, {}, close=False).startswith(b"HTTP/1.1 599 Error\r\n")
