"""Anthropic Messages: `POST /v1/messages`, also as served by gateways and by Vertex AI."""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.anthropic_messages.message import read_answer
from lunaroute.dialects.anthropic_messages.request import read_request
from lunaroute.dialects.anthropic_messages.response import read_response
from lunaroute.dialects.anthropic_messages.stream import AnthropicStreamReader
from lunaroute.dialects.facts import MessageFacts, RequestFacts, ResponseFacts

__all__ = ["AnthropicMessagesReader"]


class AnthropicMessagesReader:
    def read_request(self, body: bytes) -> RequestFacts:
        return read_request(body)

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        return read_response(body, status_code)

    def read_answer(self, message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
        return read_answer(message)

    def open_stream(self) -> AnthropicStreamReader:
        return AnthropicStreamReader()
