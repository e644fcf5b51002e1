"""Exchanges of the corpus as the assembler would hand them over, each in a session of its own making."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlsplit

from lunaroute.capture.records import HeaderList
from tests.exchanges import ExchangeScript

_PATHS = {
    "anthropic": "/v1/messages",
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "gemini": "/v1beta/models/m:generateContent",
}
"""Where the corpus has no URL."""
_PROVIDERS = {"anthropic": "anthropic", "anthropic-count-tokens": "anthropic", "gemini": "google", "ollama": "ollama"}


def wire_path(recorded: dict[str, Any]) -> str:
    return urlsplit(recorded["url"] or "").path or _PATHS[recorded["provider"]]


def response_body(recorded: dict[str, Any]) -> bytes:
    """Without any coding."""
    text = recorded.get("response_body_raw")
    return base64.b64decode(recorded["response_body_b64"]) if text is None else text.encode()


def content_type(recorded: dict[str, Any]) -> str | None:
    headers = {name.lower(): value for name, value in header_list(recorded["response_headers"])}
    found = headers.get(b"content-type")
    return None if found is None else found.decode()


def header_list(recorded: Any) -> HeaderList:
    """What the corpus has of them; its bodies are already decoded, so no content coding is claimed."""
    pairs = recorded.items() if isinstance(recorded, dict) else recorded or []
    flat = [(name, one) for name, value in pairs for one in (value if isinstance(value, list) else [value])]
    return [
        (str(name).encode(), str(value).encode("latin-1", "replace").replace(b"\r", b" ").replace(b"\n", b" "))
        for name, value in flat
        if str(name).lower() != "content-encoding"
    ]


def script_of(number: int, recorded: dict[str, Any], piece_bytes: int = 1000) -> ExchangeScript:
    """The exchange, its response arriving in pieces."""
    body = recorded.get("request_body_raw")
    at_ms = number * 1000
    script = ExchangeScript(
        number,
        body=json.dumps(recorded["request_body"]).encode() if body is None else body.encode(),
        headers=header_list(recorded["request_headers"]),
        method=recorded["method"],
        path=wire_path(recorded),
        provider=_PROVIDERS.get(recorded["provider"], "openai"),
        opened_ms=at_ms,
        sent_ms=at_ms + 10,
    )
    response = response_body(recorded)
    script.answer(recorded["status"] or 200, at_ms=at_ms + 100, headers=header_list(recorded["response_headers"]))
    for start in range(0, len(response), piece_bytes):
        script.chunk(response[start : start + piece_bytes], at_ms=at_ms + 110 + start // piece_bytes)
    script.close(at_ms=at_ms + 900)
    return script
