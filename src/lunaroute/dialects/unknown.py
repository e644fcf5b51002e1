"""The dialect of everything this program does not read: bytes are kept, nothing is derived from them.

In: any body. Out: facts that say nothing, but for an error where the status is one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.facts import MessageFacts, RequestFacts, ResponseFacts
from lunaroute.dialects.loose import read_any
from lunaroute.dialects.provider_error import read_error_body
from lunaroute.dialects.so_far import NOTHING, SoFar


class UnknownReader:
    def read_request(self, body: bytes) -> RequestFacts:
        return RequestFacts()

    def read_response(self, body: bytes, status_code: int) -> ResponseFacts:
        if status_code >= 400:
            return read_error_body(body)
        return ResponseFacts(message=msgspec.Raw(body) if read_any(body) is not None else None)

    def read_answer(self, message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
        return []

    def open_stream(self) -> UnknownStreamReader:
        return UnknownStreamReader()


class UnknownStreamReader:
    deltas = None

    def feed(self, event: ServerSentEvent) -> None:
        pass

    def so_far(self) -> SoFar:
        return NOTHING

    def finish(self) -> ResponseFacts:
        return ResponseFacts()
