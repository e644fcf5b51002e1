"""Ollama's own API: `POST /api/chat`, `/api/generate` and `/api/embed`."""

from __future__ import annotations

from lunaroute.dialects.facts import RequestFacts, ResponseFacts
from lunaroute.dialects.ollama.request import read_request
from lunaroute.dialects.ollama.response import read_response
from lunaroute.dialects.ollama.stream import OllamaStreamReader

__all__ = ["OllamaReader"]


class OllamaReader:
    def read_request(self, body: bytes) -> RequestFacts:
        return read_request(body)

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        return read_response(body, status_code)

    def open_stream(self) -> OllamaStreamReader:
        return OllamaStreamReader()
