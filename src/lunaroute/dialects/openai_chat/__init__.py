"""OpenAI Chat Completions: `POST …/chat/completions`, of OpenAI, Azure and the many compatible providers."""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import MessageFacts, RequestFacts, ResponseFacts
from lunaroute.dialects.openai_chat.message import read_answer
from lunaroute.dialects.openai_chat.request import read_request
from lunaroute.dialects.openai_chat.response import read_response
from lunaroute.dialects.openai_chat.stream import ChatStreamReader

__all__ = ["OpenAIChatReader"]


class OpenAIChatReader:
    def read_request(self, body: bytes) -> RequestFacts:
        return read_request(body)

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        return read_response(body, status_code)

    def read_answer(self, message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
        return read_answer(message)

    def open_stream(self) -> ChatStreamReader:
        return ChatStreamReader()
