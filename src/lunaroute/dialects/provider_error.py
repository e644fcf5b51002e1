"""Errors as providers word them, in a body of any status or inside a stream.

In: a decoded JSON value. Out: ProviderError, or None when it holds no error. Shapes seen: `{"error": {type, code,
message}}`, `{"type": "error", "error": {...}}`, `{"error": "text", "code": "text"}`, `{"code", "message"}`,
`{"detail": ...}`, and a list of one of these (Google).
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import ProviderError, ResponseFacts
from lunaroute.dialects.loose import as_dict, as_text, encode, read_any, well_formed

_MAX_EXCERPT_CHARS = 2000
"""Of an error body that is not JSON (a proxy's HTML page)."""


def error_in(body: Any) -> ProviderError | None:
    """The error that a body's `error` field reports; a field that is absent, null or empty reports none."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    fields = as_dict(body)
    error = fields.get("error")
    if isinstance(error, dict) and error:
        return error_of(error)
    if isinstance(error, str) and error:
        return ProviderError(type=_name(fields), message=well_formed(error), status_code=_status_code(fields))
    return None


def error_of(fields: dict[str, Any]) -> ProviderError:
    """The error that an error object is."""
    message = as_text(fields.get("message"))
    if message is None and (detail := fields.get("detail") or fields.get("msg")):
        message = as_text(detail) or encode(detail).decode()
    return ProviderError(
        type=_name(fields),
        message=None if message is None else well_formed(message),
        status_code=_status_code(fields),
    )


def read_error_body(body: bytes) -> ResponseFacts:
    """Facts of a body with an error status, whatever it is; `message` is the body where it is JSON."""
    value = read_any(body)
    if value is None:
        text = body.decode("utf-8", "replace").strip()[:_MAX_EXCERPT_CHARS]
        return ResponseFacts(error=ProviderError(type=None, message=text or None))
    error = error_in(value)
    if error is None:
        error = error_of(value) if isinstance(value, dict) else ProviderError(type=None, message=encode(value).decode())
    return ResponseFacts(error=error, message=msgspec.Raw(body))


def _name(fields: dict[str, Any]) -> str | None:
    """A word where there is one (Google: `status`), else a number."""
    values = [fields.get(key) for key in ("type", "code", "status")]
    for value in values:
        if isinstance(value, str) and value:
            return well_formed(value)
    return next((str(value) for value in values if isinstance(value, int) and not isinstance(value, bool)), None)


def _status_code(fields: dict[str, Any]) -> int | None:
    """Google and OpenRouter number the error in `code`, Azure in `status`."""
    values = (fields.get(key) for key in ("code", "status"))
    return next((value for value in values if isinstance(value, int) and 400 <= value <= 599), None)
