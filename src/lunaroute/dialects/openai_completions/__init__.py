"""OpenAI's older text completions: `POST …/completions`, still served by many compatible providers."""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import MessageFacts, RequestFacts, ResponseFacts
from lunaroute.dialects.openai_completions.request import read_request
from lunaroute.dialects.openai_completions.response import read_response
from lunaroute.dialects.openai_completions.stream import CompletionStreamReader

__all__ = ["OpenAICompletionsReader"]


class OpenAICompletionsReader:
    def read_request(self, body: bytes) -> RequestFacts:
        return read_request(body)

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        return read_response(body, status_code)

    def read_answer(self, message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
        return []

    def open_stream(self) -> CompletionStreamReader:
        return CompletionStreamReader()
