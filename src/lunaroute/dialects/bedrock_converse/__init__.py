"""Bedrock's Converse: `POST /model/M/converse` and `/converse-stream`, one form for the models of all makers."""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.bedrock_converse.message import read_answer
from lunaroute.dialects.bedrock_converse.request import read_request
from lunaroute.dialects.bedrock_converse.response import read_response
from lunaroute.dialects.bedrock_converse.stream import ConverseStreamReader
from lunaroute.dialects.facts import MessageFacts, RequestFacts, ResponseFacts

__all__ = ["BedrockConverseReader"]


class BedrockConverseReader:
    def read_request(self, body: bytes) -> RequestFacts:
        return read_request(body)

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        return read_response(body, status_code)

    def read_answer(self, message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
        return read_answer(message)

    def open_stream(self) -> ConverseStreamReader:
        return ConverseStreamReader()
