"""The whole input of a request that holds only what is new and names the response it goes on from.

In: recorded exchanges. Out: the items that the provider had before it, in order: those of every request and response on
the way, back to the first. `whole_input` is pure: where the exchanges come from is the caller's affair. A way that
leaves the recorded exchanges says at which response; what is there is given all the same.

Read are the OpenAI Responses API (`previous_response_id`) and Anthropic's threads (`thread.previous_message_id`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from lunaroute.events.bodies import request_bytes
from lunaroute.events.types import RequestRecorded

from .raw import RecordedExchange, read_exchanges, session_of_response
from .stores.base import Index

FindResponse = Callable[[str], RecordedExchange | None]
"""The exchange whose response has this id."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Any]
    """Input items or messages; outputs stand among them as the provider gave them."""
    request_ids: list[str]
    """The exchanges they are from, oldest first; the last one is the request's own."""
    missing_response_id: str | None
    """Where the history goes on beyond what was recorded; None = it is whole."""


def whole_input(exchange: RecordedExchange, find_response: FindResponse) -> History:
    """What this request amounts to. Its own answer is not part of it."""
    pieces = [_input_of(exchange.request)]
    request_ids = [exchange.request.request_id]
    previous_id = exchange.request.previous_response_id
    while previous_id is not None:
        earlier = find_response(previous_id)
        if earlier is None or earlier.request.request_id in request_ids:
            break
        pieces += [_output_of(earlier), _input_of(earlier.request)]
        request_ids.append(earlier.request.request_id)
        previous_id = earlier.request.previous_response_id
    return History(
        items=[item for piece in reversed(pieces) for item in piece],
        request_ids=request_ids[::-1],
        missing_response_id=previous_id,
    )


class ResponseFinder:
    """Finds responses in one session's file and, where they are not there, by the index in others. Each file is read
    once. Raises NoSuchSession, OSError, sqlite3.Error."""

    def __init__(self, connection: Index, sessions_dir: Path, session_id: str) -> None:
        self._connection = connection
        self._sessions_dir = sessions_dir
        self._known: dict[str, RecordedExchange] = {}
        self._read(session_id)

    def __call__(self, response_id: str) -> RecordedExchange | None:
        if response_id not in self._known:
            session_id = session_of_response(self._connection, response_id)
            if session_id is not None:
                self._read(session_id)
        return self._known.get(response_id)

    def _read(self, session_id: str) -> None:
        for exchange in read_exchanges(self._sessions_dir, session_id):
            if exchange.response is not None and exchange.response.response_id is not None:
                self._known[exchange.response.response_id] = exchange


def _input_of(request: RequestRecorded) -> list[Any]:
    """Over a WebSocket a request may be several messages, a line each."""
    bodies = [_object(bytes(request.request_json))]
    if request.websocket is not None and request.websocket.message_count > 1:
        bodies = [_object(line) for line in request_bytes(request).split(b"\n")]
    items: list[Any] = []
    for body in bodies:
        given = body.get("input", body.get("messages"))
        if isinstance(given, str):
            items.append({"role": "user", "content": given})
        elif isinstance(given, list):
            items += given
    return items


def _output_of(exchange: RecordedExchange) -> list[Any]:
    if exchange.response is None:
        return []
    body = _object(bytes(exchange.response.response_json))
    output = body.get("output")
    if isinstance(output, list):
        return output
    return [{"role": "assistant", "content": body["content"]}] if "content" in body else []


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
