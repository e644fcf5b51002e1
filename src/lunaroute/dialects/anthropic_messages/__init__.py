"""Anthropic Messages: `POST /v1/messages`, also as served by gateways and by Vertex AI."""

from __future__ import annotations

from lunaroute.dialects.anthropic_messages.request import read_request
from lunaroute.dialects.anthropic_messages.response import read_response
from lunaroute.dialects.anthropic_messages.stream import AnthropicStreamReader
from lunaroute.dialects.facts import RequestFacts, ResponseFacts

__all__ = ["AnthropicMessagesReader"]


class AnthropicMessagesReader:
    def read_request(self, body: bytes) -> RequestFacts:
        return read_request(body)

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        return read_response(body, status_code)

    def open_stream(self) -> AnthropicStreamReader:
        return AnthropicStreamReader()
