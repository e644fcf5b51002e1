"""[pure] The relay's own answers: health, and errors in the shape the client's SDK expects of its provider."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from uuid import UUID

from .limits import Refusal

_GOOGLE_STATUS = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_ANTHROPIC_TYPE = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
_NO_QUOTA = "insufficient_quota"
"""OpenAI's 429 that is no matter of waiting; its clients do not try again on it."""
_NO_RETRY = b"x-should-retry: false\r\n"
"""What the providers' SDKs look at before they try again."""


def error_answer(
    status: int, message: str, listener: str | None, close: bool, extra: bytes = b"", is_head: bool = False
) -> bytes:
    """A whole response. `listener` picks the error shape (None = plain OpenAI-like); `extra` = more header lines;
    `is_head`: the request was HEAD, whose answer has no body."""
    return answer(status, _error_body(status, f"lunaroute: {message}", listener), close, extra, is_head)


def answer(status: int, content: Any, close: bool, extra: bytes = b"", is_head: bool = False) -> bytes:
    body = json.dumps(content, separators=(",", ":")).encode()
    head = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s%s\r\n" % (
        status,
        _phrase(status),
        len(body),
        b"connection: close\r\n" if close else b"",
        extra,
    )
    return head if is_head else head + body


def refusal_answer(refusal: Refusal, listener: str, close: bool, is_head: bool) -> bytes:
    """To a request beyond what its tenant may send. Clients wait for as long as `retry-after` says."""
    is_final = refusal.status_code == 429 and refusal.retry_after_s == 0
    extra = b"retry-after: %d\r\n" % refusal.retry_after_s if refusal.retry_after_s else _NO_RETRY
    content = _error_body(refusal.status_code, f"lunaroute: {refusal.message}", listener, is_final=is_final)
    return answer(refusal.status_code, content, close, extra, is_head)


def own_headers(request_id: bytes, pre_ns: int) -> bytes:
    """What `server.add_headers` asks for. The overhead is that of the way there: the way back has just begun."""
    return (
        f"x-lunaroute-request-id: {UUID(bytes=request_id)}\r\nx-lunaroute-overhead-ms: {pre_ns / 1e6:.3f}\r\n".encode()
    )


def _error_body(status: int, message: str, listener: str | None, *, is_final: bool = False) -> dict[str, Any]:
    if listener == "anthropic":
        kind = _ANTHROPIC_TYPE.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}}
    if listener == "google":
        name = _GOOGLE_STATUS.get(status, "INTERNAL")
        return {"error": {"code": status, "message": message, "status": name}}
    if is_final:
        return {"error": {"message": message, "type": _NO_QUOTA, "param": None, "code": _NO_QUOTA}}
    if status == 429:
        return {"error": {"message": message, "type": "requests", "param": None, "code": "rate_limit_exceeded"}}
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Error"
