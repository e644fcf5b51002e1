"""Calls that say what they used and are no conversation of a dialect: embeddings, images, audio, moderations,
reranking, and what Cohere and Bedrock's `invoke` report."""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import MessageFacts, RequestFacts, ResponseFacts
from lunaroute.dialects.metered.request import read_request
from lunaroute.dialects.metered.response import read_response
from lunaroute.dialects.metered.stream import MeteredStreamReader

__all__ = ["MeteredReader"]


class MeteredReader:
    def read_request(self, body: bytes) -> RequestFacts:
        return read_request(body)

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        return read_response(body, status_code)

    def read_answer(self, message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
        return []

    def open_stream(self) -> MeteredStreamReader:
        return MeteredStreamReader()
