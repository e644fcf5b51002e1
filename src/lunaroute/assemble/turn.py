"""A turn on a WebSocket, from its `response.create` to the end of its answer, with the times that are its own.

Pure state: storable as MessagePack, and growing message by message.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.capture.records import ExchangeClosed, Outcome, ResponseOpened

from .exchange import Exchange
from .websocket import Message

BEGINS = "response.created"
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_NAMES_RESPONSE = ENDS | {BEGINS}


class Turn(msgspec.Struct):
    """A turn that has not ended."""

    exchange: Exchange
    previous_response_id: str | None
    pre_ns: int
    """The connection's own time on the way to the provider before this turn; then, once known, the turn's share."""
    sent_ns: int
    response_id: str | None = None
    post_ns: int = -1
    """… on the way back before its first message; -1 = none came."""
    spent_post_ns: int = 0
    is_sent: bool = False
    """The first read after the request was seen: `pre_ns` and `sent_ns` are final."""

    @property
    def lane(self) -> str | None:
        part = self.exchange.socket
        return None if part is None else part.stream_id

    @property
    def size_bytes(self) -> int:
        exchange = self.exchange
        heads = len(exchange.opened.header_lines)
        return heads + sum(map(len, exchange.request_chunks)) + sum(len(data) for _, data in exchange.response_chunks)

    def settle_sent(self, pre_ns: int) -> None:
        """The first news after the request tells how long our own code had it: the connection's time is now that."""
        if self.is_sent:
            return
        self.is_sent = True
        self.pre_ns = max(0, pre_ns - self.pre_ns)
        if self.exchange.request_ended_ns == self.exchange.opened.t_ns:  # it came in one read
            self.sent_ns += self.pre_ns

    def add_answer(self, message: Message, head: ResponseOpened, post_ns: int) -> None:
        """A message of the provider; `head` of the handshake, `post_ns` the connection's time before this read."""
        exchange = self.exchange
        if exchange.response is None:
            part = exchange.socket
            lines = head.header_lines if part is not None and part.index == 0 else b""
            exchange.response = msgspec.structs.replace(head, t_ns=message.started_ns, header_lines=lines)
        if self.post_ns < 0:
            self.post_ns = post_ns
        self.spent_post_ns = max(0, post_ns - self.post_ns)
        exchange.response_chunks.append((message.t_ns, as_line(message)))

    def end(self, t_ns: int, outcome: Outcome, detail: str | None) -> Exchange:
        number = self.exchange.opened.exchange
        self.exchange.closed = ExchangeClosed(
            number, t_ns, outcome, detail, self.sent_ns, self.pre_ns, self.spent_post_ns
        )
        return self.exchange


def as_line(message: Message) -> bytes:
    """How a message stands in a body."""
    return message.data if message.kind in ("unread", "cut") else message.data + b"\n"


class _Envelope(msgspec.Struct):
    type: Any = None
    stream_id: Any = None
    previous_response_id: Any = None
    response: msgspec.Raw = msgspec.Raw()


class _Response(msgspec.Struct):
    id: Any = None
    previous_response_id: Any = None


_envelope_decoder = msgspec.json.Decoder(_Envelope)
_response_decoder = msgspec.json.Decoder(_Response)


class Said(msgspec.Struct, frozen=True):
    """What of a message tells where it belongs."""

    type: str | None = None
    lane: str | None = None
    previous_response_id: str | None = None
    """Of the message itself, or of the response that it begins."""
    response_id: str | None = None
    """Of messages that begin or end a response."""


def read_said(payload: bytes) -> Said:
    """Says nothing where it is not a JSON object."""
    try:
        envelope = _envelope_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Said()
    kind, lane = _text(envelope.type), _text(envelope.stream_id)
    if kind not in _NAMES_RESPONSE:
        return Said(kind, lane, _text(envelope.previous_response_id))
    try:
        response = _response_decoder.decode(envelope.response)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Said(kind, lane)
    return Said(kind, lane, _text(response.previous_response_id), _text(response.id))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
