"""Gemini: `POST …:generateContent` and `…:streamGenerateContent`, of the Gemini API, Vertex AI and Code Assist."""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import MessageFacts, RequestFacts, ResponseFacts
from lunaroute.dialects.gemini.message import read_answer
from lunaroute.dialects.gemini.request import read_request
from lunaroute.dialects.gemini.response import read_response
from lunaroute.dialects.gemini.stream import GeminiStreamReader

__all__ = ["GeminiReader"]


class GeminiReader:
    def read_request(self, body: bytes) -> RequestFacts:
        return read_request(body)

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        return read_response(body, status_code)

    def read_answer(self, message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
        return read_answer(message)

    def open_stream(self) -> GeminiStreamReader:
        return GeminiStreamReader()
