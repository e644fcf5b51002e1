"""[io] A connection to a provider: finds the response in its bytes and hands it to the exchange it serves."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from .chunked import BadChunking, ChunkedReader
from .heads import CHUNKED, UNTIL_CLOSE, BadHead, ResponseHead, read_response_head

if TYPE_CHECKING:
    from .context import RelayContext
    from .exchange import RelayedExchange

_WRITE_HIGH_BYTES = 1 << 20


class UpstreamConnection:
    """Serves one exchange at a time; idle in the pool in between.

    An asyncio.Protocol in all but its base class, which a compiled class cannot have."""

    transport: asyncio.Transport

    def __init__(self, context: RelayContext, provider: str) -> None:
        self._context = context
        self.provider = provider
        self.exchange: RelayedExchange | None = None
        self.is_open = False
        self.last_ns = 0
        self._head: ResponseHead | None = None
        self._buffer = b""
        self._left = 0  # bytes of the body to come, or UNTIL_CLOSE
        self._chunked: ChunkedReader | None = None
        self._has_surplus = False
        self._is_slow = False  # has not read what was sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        self.is_open = True

    def serve(self, exchange: RelayedExchange) -> None:
        self.exchange = exchange
        self._head = None
        self._chunked = None

    @property
    def is_reusable(self) -> bool:
        """After a complete response: whether another request may follow on this connection."""
        head = self._head
        return self.is_open and head is not None and head.keep_alive and not (self._has_surplus or self._is_slow)

    def release(self) -> None:
        """The exchange is over and has let go."""
        self.exchange = None
        if self.is_reusable:
            self._context.pool.give_back(self)
        else:
            self.close()

    def close(self) -> None:
        self.is_open = False
        self.transport.close()

    def abort(self) -> None:
        """Stop at once; the provider sees a reset and stops generating."""
        self.exchange = None
        self.is_open = False
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        t_ns = time.monotonic_ns()
        self.last_ns = t_ns
        exchange = self.exchange
        if exchange is None:  # nobody asked: not a connection to use again
            self.abort()
            return
        if exchange.response_is_done:
            self._has_surplus = True
            return
        try:
            if self._head is None:
                self._take_head(exchange, data, t_ns)
            else:
                self._take_body(exchange, None, data, t_ns)
        except (BadHead, BadChunking) as error:
            exchange.upstream_broke(f"malformed response: {error}", data if self._head is not None else b"")

    def eof_received(self) -> bool:
        self.is_open = False  # already now: an exchange may look for a connection before connection_lost comes
        self._context.turn.pass_on()
        exchange = self.exchange
        if exchange is not None and exchange.upstream_ended():
            return self.transport.can_write_eof()  # without, as in TLS, there is no half of a connection to keep
        is_sending = exchange is not None and not exchange.request_is_done
        if is_sending or self.transport.get_write_buffer_size():
            self.transport.abort()  # a plain close would first wait for the provider to read the rest
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._context.turn.pass_on()
        exchange = self.exchange
        if exchange is None:
            self._context.pool.forget(self)
            return
        self.exchange = None
        if self._head is not None and self._left == UNTIL_CLOSE and exc is None:
            exchange.response_ended_by_close()
        else:
            exchange.upstream_lost(exc)

    def pause_writing(self) -> None:
        self._is_slow = True
        if self.exchange is not None:
            self.exchange.hold_request()

    def resume_writing(self) -> None:
        self._is_slow = False
        if self.exchange is not None:
            self.exchange.resume_request()

    def _take_head(self, exchange: RelayedExchange, data: bytes, t_ns: int) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        context = self._context
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4 or end > context.max_head_bytes:
                if len(data) > context.max_head_bytes:
                    raise BadHead(502, "response head is too large")
                self._buffer = data
                return
            head = read_response_head(data[:end], context.name_kinds, context.lines, exchange.method)
            if head.status_code >= 200:
                break
            if head.status_code == 101:
                if not exchange.switch_protocols(head, data[:end], t_ns):
                    raise BadHead(502, "the provider switched to a protocol that nobody asked for")
                self._head, self._left = head, UNTIL_CLOSE
                if end < len(data):
                    self._take_body(exchange, None, data[end:], t_ns)
                return
            exchange.send_interim(data[:end])
            data = data[end:]
        self._head = head
        self._left = head.body
        if head.body == CHUNKED:
            self._chunked = ChunkedReader()
        self._take_body(exchange, head, data[end:], t_ns)

    def _take_body(self, exchange: RelayedExchange, head: ResponseHead | None, data: bytes, t_ns: int) -> None:
        """`head`: the response's, when it is still to be passed on."""
        if self._chunked is not None:
            payload, used = self._chunked.feed(data)
            is_done = self._chunked.is_done
        elif self._left == UNTIL_CLOSE:
            payload, used, is_done = data, len(data), False
        else:
            payload = data if len(data) <= self._left else data[: self._left]
            used = len(payload)
            self._left -= used
            is_done = self._left == 0
        if used < len(data):
            self._has_surplus = True
            data = data[:used]
        exchange.respond(head, data, payload, is_done, t_ns)
