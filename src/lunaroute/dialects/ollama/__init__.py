"""Ollama's own API: `POST /api/chat`, `/api/generate` and `/api/embed`."""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import MessageFacts, RequestFacts, ResponseFacts
from lunaroute.dialects.ollama.message import read_answer
from lunaroute.dialects.ollama.request import read_request
from lunaroute.dialects.ollama.response import read_response
from lunaroute.dialects.ollama.stream import OllamaStreamReader

__all__ = ["OllamaReader"]


class OllamaReader:
    def read_request(self, body: bytes) -> RequestFacts:
        return read_request(body)

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        return read_response(body, status_code)

    def read_answer(self, message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
        return read_answer(message)

    def open_stream(self) -> OllamaStreamReader:
        return OllamaStreamReader()
