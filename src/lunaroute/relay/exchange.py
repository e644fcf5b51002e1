"""[io] One request and its response on their way through; what each step tells the tap.

The order of every step is: tell the tap, flush it, then write to the other side; the last two come at the end of the
event loop's turn (`turn`). Time until then is added up as the exchange's own overhead, the spool's writes included.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lunaroute.capture.ports import BodyBytes
from lunaroute.capture.records import Outcome

from .answers import own_headers, refusal_answer
from .chunked import BadChunking, ChunkedReader
from .heads import CHUNKED, UNTIL_CLOSE, ResponseHead
from .limits import Refusal
from .plans import RequestPlan
from .routes import Route
from .upstream import UpstreamConnection

if TYPE_CHECKING:
    from .client import ClientConnection
    from .context import RelayContext

_JOIN_BELOW_BYTES = 32768  # a copy is cheaper than a view, and than a second buffer for the kernel
_PENDING_HIGH_BYTES = 262144
_AFTER_CODE = len("HTTP/1.1 429 ")
_NOT_RECORDED = "recording is not possible and the server is set to block"


class RelayedExchange:
    """Lives from the request's head to the end of both directions."""

    # What most exchanges never change; one is made for every request.
    response_is_open = False
    response_is_done = False
    _was_answered = False  # in full, by the provider or by us: the client's connection is in step
    _is_closed = False
    _ends_by_close = False
    _waiting = 0  # calls of `send` and `answer` still to come in this turn
    _holds_upstream = False  # the client reads slower than the provider sends
    _chunked: ChunkedReader | None = None
    _upstream: UpstreamConnection | None = None
    _connecting: asyncio.Task[None] | None = None
    _pending: list[BodyBytes]  # waits for the connection
    _sent_ns: int | None = None
    _request_id = b""  # kept only where the client is told
    _pre_ns = 0
    _post_ns = 0
    _active_ns = 0

    def __init__(
        self, context: RelayContext, client: ClientConnection, plan: RequestPlan, route: Route, length: int
    ) -> None:
        """`length` of the request's body in bytes, or CHUNKED."""
        self._context = context
        self._client = client
        self._plan = plan
        self._route = route
        self._tap = context.tap
        self._pending = []
        self.number = context.next_exchange()
        self.listener = route.listener
        self._client_keeps_alive = plan.head.keep_alive
        self.request_is_done = length == 0
        self._left = length
        if length == CHUNKED:
            self._chunked = ChunkedReader()
        context.exchanges.add(self)

    @property
    def method(self) -> str:
        return self._plan.head.method

    # ---- towards the provider -------------------------------------------------------------------------------

    def start(self, digits: bytes, data: bytes, at: int, t_ns: int) -> int:
        """The head was read, the body begins at `data[at]`: both on record, then to the provider.

        `digits` of the content length, as sent. Returns the index after the request's bytes. Raises BadChunking."""
        plan = self._plan
        wall_ns = time.time_ns()
        request_id = self._context.new_request_id(wall_ns)
        if self._context.adds_headers:
            self._request_id = request_id
        length = int(digits) if digits else -1
        client_ip, opening, tell = self._client.client_ip, plan.opening, self._tap.records.request_opened
        try:
            raw, payload, end = self._cut_body(data, at)
        except BadChunking:
            tell(self.number, t_ns, wall_ns, request_id, length, client_ip, opening, b"", None)
            raise
        pre_ns = time.monotonic_ns() - t_ns if self.request_is_done else None
        tell(self.number, t_ns, wall_ns, request_id, length, client_ip, opening, payload, pre_ns)
        if plan.limit is not None:
            refusal = plan.limit.refusal(length if self._chunked is None else self._chunked.announced_bytes, t_ns)
            if refusal is not None:
                self._refuse_beyond(refusal, t_ns)
                return end
        head = plan.before + digits + plan.after
        pieces: list[BodyBytes] = [head + raw] if len(raw) < _JOIN_BELOW_BYTES else [head, raw]
        self._pass_on_later(True, pieces, t_ns)
        return end

    def take_more(self, data: bytes, at: int, t_ns: int) -> int:
        """More of the body, from `data[at]` on; the index after it. Raises BadChunking."""
        raw, payload, end = self._cut_body(data, at)
        if self.request_is_done:
            pre_ns = self._pre_ns + time.monotonic_ns() - t_ns
            self._tap.records.request_chunk(self.number, t_ns, payload, pre_ns)
        elif payload:
            self._tap.records.request_chunk(self.number, t_ns, payload, None)
        limit = self._plan.limit
        if limit is not None and self._chunked is not None and limit.is_too_large(self._chunked.announced_bytes):
            self._refuse_beyond(limit.too_large(), t_ns)
            return end
        self._pass_on_later(True, [raw], t_ns)
        return end

    def _cut_body(self, data: bytes, at: int) -> tuple[BodyBytes, BodyBytes, int]:
        """Body bytes from `data[at]` on, as sent and without their framing, and the index after them."""
        if self._chunked is not None:
            payload, end = self._chunked.feed(data, at)
            self.request_is_done = self._chunked.is_done
            return data[at:end], payload, end
        end = min(at + self._left, len(data))
        is_large = at > 0 and end - at >= _JOIN_BELOW_BYTES
        raw: BodyBytes = memoryview(data)[at:end] if is_large else data[at:end]
        self._left -= end - at
        self.request_is_done = self._left == 0
        return raw, raw, end

    def _pass_on_later(self, is_request: bool, pieces: Sequence[BodyBytes], t_ns: int) -> None:
        self._waiting += 1
        self._context.turn.pass_on_later(self, is_request, pieces, t_ns)

    def send(self, pieces: Sequence[BodyBytes], t_ns: int, now_ns: int) -> None:
        """On to the provider with what arrived at `t_ns` and has been on record since `now_ns`."""
        self._waiting -= 1
        if self._is_closed:
            return
        if self._tap.refuses:
            self.fail(503, _NOT_RECORDED, "interrupted")
            return
        upstream = self._upstream
        if upstream is None and self._connecting is None:
            upstream = self._pooled_upstream()
            if upstream is None:
                self._connecting = self._context.loop.create_task(self._connect())
            else:
                self._attach(upstream)
        if upstream is not None:
            self._write_upstream(upstream, pieces, now_ns)
        else:
            self._pending += pieces
            if sum(map(len, self._pending)) > _PENDING_HIGH_BYTES:
                self._client.hold_reading("connecting")
        self._active_ns = now_ns
        self._pre_ns += now_ns - t_ns
        self._finish_if_done()

    def _pooled_upstream(self) -> UpstreamConnection | None:
        return self._context.pool.take(self._route.upstream)

    async def _connect(self) -> None:
        try:
            upstream = await self._context.pool.connect(self._route.upstream)
        except TimeoutError:
            self._connecting = None
            self.fail(504, f"no connection to {self._where} in time", "upstream_unreachable")
            return
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that cannot be one
            self._connecting = None
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self.fail(502, f"cannot connect to {self._where}: {reason}", "upstream_unreachable")
            return
        self._connecting = None
        if self._is_closed:
            self._context.pool.give_back(upstream)
            return
        t_ns = time.monotonic_ns()
        self._attach(upstream)
        pending, self._pending = self._pending, []
        self._write_upstream(upstream, pending, t_ns)
        self._client.resume_reading("connecting")
        self._active_ns = time.monotonic_ns()
        self._pre_ns += self._active_ns - t_ns

    @property
    def _where(self) -> str:
        return f"{self._route.upstream.name} at {self._route.upstream.host_header.decode()}"

    def _attach(self, upstream: UpstreamConnection) -> None:
        self._upstream = upstream
        upstream.serve(self)
        if self._client.is_slow:  # with the answer to an earlier, pipelined request
            self.client_is_slow()

    def _write_upstream(self, upstream: UpstreamConnection, pieces: Sequence[BodyBytes], now_ns: int) -> None:
        if self._sent_ns is None:
            self._sent_ns = now_ns
        if len(pieces) == 1:
            upstream.transport.write(pieces[0])
        else:
            upstream.transport.writelines(pieces)

    def hold_request(self) -> None:
        """The provider reads slower than the client sends."""
        self._client.hold_reading("provider is slow")

    def resume_request(self) -> None:
        self._client.resume_reading("provider is slow")

    # ---- towards the client ---------------------------------------------------------------------------------

    def send_interim(self, head: bytes) -> None:
        """A 1xx response, as it is."""
        self._context.turn.pass_on()
        self._client.transport.write(head)

    def respond(self, head: ResponseHead | None, raw: bytes, payload: bytes, is_done: bool, t_ns: int) -> None:
        """Bytes that arrived at `t_ns`, on record and to the client: the head, if it is new; body bytes as they came
        and without their framing; `is_done`: the response ends here."""
        if head is not None:
            self._tap.records.response_opened(self.number, t_ns, head.status_code, head.recorded, payload)
            forwarded = self._client_head(head)
            pieces = [forwarded + raw] if len(raw) < _JOIN_BELOW_BYTES else [forwarded, raw]
        else:
            if payload:
                self._tap.records.response_chunk(self.number, t_ns, payload)
            pieces = [raw]
        self.response_is_done = is_done
        self._pass_on_later(False, pieces, t_ns)

    def answer(self, pieces: Sequence[BodyBytes], t_ns: int, now_ns: int) -> None:
        """On to the client with what arrived at `t_ns` and has been on record since `now_ns`."""
        self._waiting -= 1
        if self._is_closed:
            return
        if self._tap.refuses:  # a head still in our hands leaves room for an answer of our own
            self.fail(503, _NOT_RECORDED, "interrupted")
            return
        self.response_is_open = True
        if len(pieces) == 1:
            self._client.transport.write(pieces[0])
        else:
            self._client.transport.writelines(pieces)
        self._active_ns = now_ns
        self._post_ns += now_ns - t_ns
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if self.response_is_done and self._waiting == 0:
            self._was_answered = True
            if self.request_is_done:
                self._finish("completed", None)

    def _client_head(self, head: ResponseHead) -> bytes:
        """The head as the client gets it."""
        self._ends_by_close = head.body == UNTIL_CLOSE
        if self._ends_by_close or head.is_http_1_0:
            self._client_keeps_alive = False
        added = own_headers(self._request_id, self._pre_ns) if self._request_id else b""
        if not self._client_keeps_alive:
            added += b"Connection: close\r\n"
        return head.forwarded[:-2] + added + b"\r\n" if added else head.forwarded

    def response_ended_by_close(self) -> None:
        """The provider closed, which is how this response ends."""
        self.response_is_done = self._was_answered = True
        self._upstream = None
        self._finish("completed", None)

    def upstream_lost(self, error: Exception | None) -> None:
        """The provider's connection is gone."""
        self._upstream = None
        if self.response_is_done:  # answered early and closed: the rest of the request has nowhere to go
            self._finish("completed", None)
            return
        reason = getattr(error, "strerror", None) or "connection closed"
        if not self.response_is_open:
            self.fail(502, f"{self._where} closed the connection without an answer ({reason})", "upstream_cut")
            return
        self._finish("upstream_cut", f"the provider cut the response short ({reason})")

    def upstream_broke(self, reason: str, raw: bytes) -> None:
        """The response's framing cannot be followed: pass on what came, then a cut."""
        self._context.turn.pass_on()
        if not self.response_is_open:
            self.fail(502, f"{self._where}: {reason}", "upstream_cut")
            return
        if raw and not self._is_closed:
            self._client.transport.write(raw)
        self._finish("upstream_cut", reason)

    def switch_protocols(self, head: ResponseHead, raw: bytes, t_ns: int) -> bool:
        """The provider answered 101; False: nobody asked for it."""
        return False

    def upstream_ended(self) -> bool:
        """The provider has finished sending; whether its connection stays open for what the client sends."""
        return False

    def client_ended(self) -> bool:
        """The client has finished sending; whether its connection stays open for the answer."""
        return self.request_is_done

    def client_lost(self) -> None:
        """The client is gone: stop the provider."""
        self._finish("client_cancelled", "the client closed the connection")

    def stop(self) -> None:
        """The server stops and its grace period is over."""
        self._context.turn.pass_on()
        self._finish("interrupted", "the server was shut down")

    def client_is_slow(self) -> None:
        if self._upstream is not None and self._upstream.is_open:
            self._holds_upstream = True
            self._upstream.transport.pause_reading()

    def client_is_ready(self) -> None:
        if self._upstream is not None and self._upstream.is_open:
            self._holds_upstream = False
            self._upstream.transport.resume_reading()
            self._active_ns = time.monotonic_ns()

    def fail(self, status: int, message: str, outcome: Outcome) -> None:
        """No answer of the provider will come: the relay gives its own (or, within one, a cut)."""
        self._context.turn.pass_on()
        if self._is_closed:
            return
        if not self.response_is_open:
            self._client.send_error(status, message, self.listener)
            self._was_answered = True
        self._finish(outcome, message)

    def _refuse_beyond(self, refusal: Refusal, t_ns: int) -> None:
        """Beyond what the tenant may send: the relay's own answer, on record like a provider's."""
        self._context.turn.pass_on()
        if self._is_closed:
            return
        if self.response_is_open:  # the provider answered early: all that is left is a cut
            self._finish("client_cancelled", refusal.message)
            return
        whole = refusal_answer(refusal, self.listener, not self.request_is_done, self.method == "HEAD")
        head, _, body = whole.partition(b"\r\n\r\n")
        self._tap.records.response_opened(self.number, t_ns, refusal.status_code, head[_AFTER_CODE:], body)
        self._tap.flush()
        if self._tap.refuses:
            self.fail(503, _NOT_RECORDED, "interrupted")
            return
        self._client.transport.write(whole)
        self.response_is_open = self._was_answered = True
        self._finish(refusal.outcome, refusal.message)

    def check_timeouts(self, now_ns: int) -> None:
        idle_s = (now_ns - self._active_ns) / 1e9
        timeouts = self._context.config.timeouts
        if self._upstream is None or self._is_closed:
            return
        if self.request_is_done and not self.response_is_open:
            if idle_s > timeouts.first_byte_s:
                self.fail(504, f"no answer from {self._where} in {timeouts.first_byte_s:g} s", "upstream_cut")
        elif idle_s > timeouts.idle_s:
            is_clients_fault = self._holds_upstream or not self.request_is_done
            late: Outcome = "client_cancelled" if is_clients_fault else "upstream_cut"
            self._finish(late, f"nothing moved for {timeouts.idle_s:g} s")

    def _finish(self, outcome: Outcome, detail: str | None) -> None:
        """The end, once: on record, connections released or cut."""
        if self._is_closed:
            return
        self._is_closed = True
        self._context.exchanges.discard(self)
        self._tap.records.exchange_closed(
            self.number, time.monotonic_ns(), outcome, detail, self._sent_ns, self._pre_ns, self._post_ns
        )
        self._context.flush_soon()
        if self._connecting is not None:
            self._connecting.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            self._let_go(upstream, outcome == "completed" and self.request_is_done)
        if outcome != "completed" and self._ends_by_close:
            self._client.reset_after_writes()  # a plain close would look like the response's proper end
        self._client.exchange_ended(was_answered=self._was_answered, keep_alive=self._client_keeps_alive)

    def _let_go(self, upstream: UpstreamConnection, is_in_order: bool) -> None:
        if not is_in_order:
            upstream.abort()
            return
        if self._holds_upstream:
            upstream.transport.resume_reading()  # the next exchange must find it reading
        upstream.release()
