"""[io] A client's connection: finds requests in its bytes, one exchange at a time, pipelined ones in order."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from .answers import answer, error_answer
from .blocked import BlockedExchange
from .chunked import BadChunking
from .endings import is_peer_gone, reset_when_closed
from .exchange import RelayedExchange
from .heads import BadHead, RequestHead
from .plans import RequestPlan
from .upgrade import RelayedUpgrade

if TYPE_CHECKING:
    from .context import RelayContext

_CR = 13
_PIPELINE_HIGH_BYTES = 65536
_WRITE_HIGH_BYTES = 1 << 20
_LINGER_S = 2.0


class ClientConnection:
    """One per accepted socket. An asyncio.Protocol in all but its base class, which a compiled class cannot have."""

    transport: asyncio.Transport
    is_slow = False
    """Whether more waits to be written to the client than should."""

    def __init__(self, context: RelayContext) -> None:
        self._context = context
        self._exchange: RelayedExchange | None = None
        self._buffer = b""  # of a head not complete yet, or pipelined behind an open exchange
        self._holds: set[str] = set()  # reasons not to read
        self._is_closing = False  # nothing more is read from this client
        self._has_ended = False  # the client has finished sending
        self._last_ns = time.monotonic_ns()
        self.client_ip = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        peer = transport.get_extra_info("peername")
        self.client_ip = str(peer[0]).encode() if peer else b""
        self._context.clients.add(self)

    # ---- from the client ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        t_ns = self._last_ns = time.monotonic_ns()
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        try:
            self._take(data, t_ns)
        except BadHead as bad_head:
            self._refuse(bad_head.status, str(bad_head))
        except BadChunking as bad_chunking:
            self._refuse_body(str(bad_chunking))

    def _take(self, data: bytes, t_ns: int) -> None:
        at = 0
        size = len(data)
        while at < size and not self._is_closing:
            exchange = self._exchange
            if exchange is None:
                if data[at] == _CR and data[at : at + 2] == b"\r\n":  # RFC 9112 §2.2: ignored before a request
                    at += 2
                    continue
                head_end = self._head_end(data, at)
                if head_end == 0:
                    self._buffer = data[at:]
                    return
                at = self._open(data, at, head_end, t_ns)
            elif not exchange.request_is_done:
                at = exchange.take_more(data, at, t_ns)
            else:
                self._buffer = data[at:]
                if len(self._buffer) > _PIPELINE_HIGH_BYTES:
                    self.hold_reading("pipeline")
                return

    def _head_end(self, data: bytes, at: int) -> int:
        """Index after the head's empty line; 0 when more bytes are needed."""
        limit = self._context.max_head_bytes
        end = data.find(b"\r\n\r\n", at, at + limit) + 4
        if end >= 4:
            return end
        if len(data) - at >= limit:
            raise BadHead(431, "request head is too large")
        if data.find(b"\n\n", at) >= 0 or data[at : at + 1] in (b" ", b"\t", b"\x16"):
            raise BadHead(400, "malformed request head")  # bare LF, TLS hello: it will never become one
        return 0

    def _open(self, data: bytes, at: int, head_end: int, t_ns: int) -> int:
        """Start the exchange of a new request, or answer it ourselves; the index after what was taken of `data`.

        Raises BadHead, BadChunking."""
        context = self._context
        plan, digits = context.planner.plan(data[at:head_end])
        route = plan.route
        if route is None or context.tap.refuses:
            self._answer_itself(plan)
            return head_end
        length = int(digits) if digits else plan.head.body
        message = context.block_message(plan) if context.is_blocking else ""
        if message:
            self._exchange = BlockedExchange(context, self, plan, route, length)
            self._exchange.message = message
        else:
            kind = RelayedUpgrade if plan.head.wants_websocket else RelayedExchange
            self._exchange = kind(context, self, plan, route, length)
        return self._exchange.start(digits, data, head_end, t_ns)

    def _answer_itself(self, plan: RequestPlan) -> None:
        if plan.own == "health":
            self._answer_probe(plan.head, 200)
        elif plan.own == "ready":
            is_ready = not (self._context.is_stopping or self._context.tap.refuses)
            self._answer_probe(plan.head, 200 if is_ready else 503)
        elif plan.own:
            raise BadHead(404, "the relay has health and ready below this path")
        elif plan.route is None:
            raise BadHead(404, "no provider is configured for this path")
        else:
            self._refuse(503, "recording is not possible and the server is set to block", plan.route.listener)

    def _answer_probe(self, head: RequestHead, status_code: int) -> None:
        """`/lunaroute/health`: this process lives, 200 in any case. `/lunaroute/ready`: it takes traffic, or 503."""
        if head.body != 0:
            raise BadHead(400, "the health check takes no body")
        tap = self._context.tap
        status = {
            "status": "ok" if tap.is_working else "not_recording",
            "run_id": self._context.run_id,
            "unrecorded_exchanges": tap.unrecorded_exchanges,
        }
        close = not head.keep_alive
        self.transport.write(answer(status_code, status, close, is_head=head.method == "HEAD"))
        if close:
            self._close()

    def eof_received(self) -> bool:
        """True keeps the connection open for the answer."""
        self._has_ended = True
        self._context.turn.pass_on()
        exchange = self._exchange
        if exchange is None or self._is_closing or not exchange.client_ended():
            return False
        return not is_peer_gone(self.transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._context.turn.pass_on()
        self._is_closing = True
        self._context.clients.discard(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_lost()

    def upgraded(self) -> None:
        """The exchange takes every byte from now on: first those that the client sent too early."""
        self.data_received(b"")
        self.resume_reading("pipeline")
        if self._has_ended and self._exchange is not None:
            self._exchange.client_ended()

    # ---- flow control ---------------------------------------------------------------------------------------

    def hold_reading(self, reason: str) -> None:
        if not self._holds and not self.transport.is_closing():
            self.transport.pause_reading()
        self._holds.add(reason)

    def resume_reading(self, reason: str) -> None:
        if reason not in self._holds:
            return
        self._holds.discard(reason)
        if not self._holds and not self.transport.is_closing() and not self._has_ended:
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self.is_slow = True
        if self._exchange is not None:
            self._exchange.client_is_slow()

    def resume_writing(self) -> None:
        self.is_slow = False
        if self._exchange is not None:
            self._exchange.client_is_ready()

    # ---- towards the client ---------------------------------------------------------------------------------

    def send_error(self, status: int, message: str, listener: str) -> None:
        exchange = self._exchange
        close = exchange is not None and not exchange.request_is_done
        is_head = exchange is not None and exchange.method == "HEAD"
        self.transport.write(error_answer(status, message, listener, close, is_head=is_head))

    def reset_after_writes(self) -> None:
        """Make the coming close a reset; what was written before still arrives."""
        if not self.transport.is_closing():
            reset_when_closed(self.transport)

    def exchange_ended(self, was_answered: bool, keep_alive: bool) -> None:
        """The exchange has let go of this connection: on to the next request, or close."""
        exchange, self._exchange = self._exchange, None
        if self._is_closing:
            return
        self._last_ns = time.monotonic_ns()
        if not was_answered:
            self._close()
        elif exchange is not None and not exchange.request_is_done:
            self._close_after_rest()
        elif not keep_alive or (self._has_ended and not self._buffer) or self._context.is_stopping:
            self._close()
        else:
            self.resume_reading("provider is slow")
            self.resume_reading("connecting")
            if self._buffer or self._holds:
                self._context.loop.call_soon(self._next_request)

    def _next_request(self) -> None:
        if not self._is_closing and self._exchange is None:
            self.data_received(b"")
            self._went_on()

    def _went_on(self) -> None:
        """What was buffered has been taken, as far as it went."""
        if self._is_closing:
            return
        if self._has_ended and (self._exchange is None or not self._exchange.request_is_done):
            self._close()  # the rest of this request will never come
        elif len(self._buffer) <= _PIPELINE_HIGH_BYTES:
            self.resume_reading("pipeline")

    def _refuse(self, status: int, message: str, listener: str | None = None) -> None:
        """A request that is not passed on: the answer, then the connection's end."""
        self.transport.write(error_answer(status, message, listener, close=True))
        self._close_after_rest()

    def _refuse_body(self, message: str) -> None:
        """The request's body is malformed; its exchange is open already."""
        if self._exchange is not None:
            self._exchange.fail(400, f"malformed request body: {message}", "client_cancelled")

    def _close_after_rest(self) -> None:
        """Close so that the answer arrives: end our side, give the client time to read it (RFC 9112 §9.6)."""
        self._is_closing = True
        if self._holds and not self._has_ended:  # unread bytes would turn the close into a reset
            self._holds.clear()
            self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._context.loop.call_later(_LINGER_S, self.transport.close)

    def _close(self) -> None:
        self._is_closing = True
        self.transport.close()

    def check_idle(self, now_ns: int) -> None:
        """Close when nothing is going on; notice a client that went away after it had finished sending."""
        if self._exchange is not None:
            if self._has_ended and is_peer_gone(self.transport.get_extra_info("socket")):
                self.transport.abort()
            return
        limit_ns = int(self._context.config.timeouts.keep_alive_s * 1e9)
        if self._context.is_stopping or now_ns - self._last_ns > limit_ns:
            self._close()
