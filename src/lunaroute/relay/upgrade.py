"""[io] A WebSocket on its way through: the handshake, then the bytes of both sides as they come, frames unread.

The handshake is an exchange like any other until the provider answers 101; its own head then goes to the client as it
is, and from there on every read is told to the tap and passed on like any other bytes (`turn`). A side that has ended
its sending is passed on as such, so is a reset. Nothing limits silence: an agent keeps its socket while its user
thinks. TCP's own keep-alive finds the peers that are gone.

A provider that cannot do WebSocket at all answers in many ways. Codex goes on over HTTP at once on 426 and after seven
attempts on anything else, so where there is HTTP to go on with (`…/responses`) those answers become 426 (ADR 10).
"""

from __future__ import annotations

import asyncio
import re
import socket
import time

from lunaroute.capture.records import Outcome

from .answers import error_answer
from .endings import reset_when_closed
from .exchange import RelayedExchange
from .heads import ResponseHead
from .upstream import UpstreamConnection

_HANDSHAKE_S = 30.0
_HALF_OPEN_S = 60.0
_FLUSH_S = 30.0  # for the last bytes to a provider that does not read
_LONGEST_CONTROL_FRAME = 2 + 4 + 125  # RFC 6455 §5.5: a longer read of the client's holds a message
_KEEP_ALIVE_IDLE_S = 120
_KEEP_ALIVE_INTERVAL_S = 30
_IS_WEBSOCKET = re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)
_MEANS_NO_WEBSOCKET = frozenset({400, 404, 405, 406, 410, 415, 501, 505})
"""Besides every 2xx, the answer of a server that does not know `Upgrade`. Others are real answers to the client:
redirects, 401, 403, 407, 408, 429, 5xx."""


class RelayedUpgrade(RelayedExchange):
    """Lives from the handshake's head to the end of both directions."""

    _is_upgraded = False
    _client_has_ended = False
    _upstream_has_ended = False
    _was_reset = False  # by the client
    _refused_by = 0  # the provider's status, while the rest of its answer is read

    # ---- the handshake --------------------------------------------------------------------------------------

    def _pooled_upstream(self) -> UpstreamConnection | None:
        """Always a connection of its own: it will not come back, and a stale one would cost an attempt."""
        return None

    def switch_protocols(self, head: ResponseHead, raw: bytes, t_ns: int) -> bool:
        """The provider answered 101 with the head `raw`; False: not to WebSocket."""
        if _IS_WEBSOCKET.search(raw) is None:
            return False
        self._tap.records.response_opened(self.number, t_ns, head.status_code, head.recorded, b"")
        self._is_upgraded = True
        self._client_keeps_alive = False
        self.request_is_done = False  # the client's bytes are ours from now on
        self._pass_on_later(False, [raw], t_ns)
        _keep_alive(self._client.transport)
        if self._upstream is not None:
            _keep_alive(self._upstream.transport)
        self._client.upgraded()
        return True

    def _refuse(self, status: str, outcome: Outcome) -> None:
        """The provider cannot do WebSocket: send the client to HTTP."""
        message = f"{self._where} does not speak WebSocket here; use HTTP"
        extra = b"upgrade: HTTP/1.1\r\n"
        self._tap.flush()
        self._client.transport.write(error_answer(426, message, self.listener, close=True, extra=extra))
        self._client_keeps_alive = False
        self._was_answered = True
        self._finish(outcome, f"the provider {status}; the client was told 426, to go on over HTTP")

    def _refuse_as_answered(self, outcome: Outcome = "completed") -> None:
        """`outcome`: whether its answer came to its end."""
        self._refuse(f"answered {self._refused_by}", outcome)

    @property
    def _has_http_too(self) -> bool:
        return self._route.path.rstrip("/").endswith("/responses")

    def check_timeouts(self, now_ns: int) -> None:
        idle_s = (now_ns - self._active_ns) / 1e9
        if self._is_closed or self._upstream is None:
            return
        if self._is_upgraded:
            if idle_s > _HALF_OPEN_S and (self._client_has_ended or self._upstream_has_ended):
                self._finish("completed", None)
        elif self._refused_by and idle_s > _HANDSHAKE_S:
            self._refuse_as_answered("upstream_cut")
        elif not self.response_is_open and idle_s > _HANDSHAKE_S:
            self.fail(504, f"no answer from {self._where} in {_HANDSHAKE_S:g} s", "upstream_cut")
        else:
            super().check_timeouts(now_ns)

    # ---- towards the provider -------------------------------------------------------------------------------

    def take_more(self, data: bytes, at: int, t_ns: int) -> int:
        """Bytes of the upgraded connection."""
        piece = data[at:] if at else data
        self._tell(piece, t_ns, from_client=True)
        if self._context.is_blocking and len(piece) > _LONGEST_CONTROL_FRAME:
            message = self._context.block_message(self._plan)
            if message:
                self._context.turn.pass_on()
                self._finish("blocked", message)
                return len(data)
        self._pass_on_later(True, [piece], t_ns)
        return len(data)

    def client_ended(self) -> bool:
        if not self._is_upgraded:
            return super().client_ended()
        if not self._client_has_ended:
            self._client_has_ended = True
            self._tell_end(from_client=True)
            upstream = self._upstream
            if self._upstream_has_ended:
                self._finish("completed", None)
            elif upstream is not None and upstream.transport.can_write_eof():
                upstream.transport.write_eof()
        return not self._is_closed

    def client_lost(self) -> None:
        if not self._is_upgraded:
            super().client_lost()
        elif self._client_has_ended:
            self._finish("completed", None)
        else:
            self._was_reset = True
            self._finish("client_cancelled", "the client's connection broke")

    # ---- towards the client ---------------------------------------------------------------------------------

    def respond(self, head: ResponseHead | None, raw: bytes, payload: bytes, is_done: bool, t_ns: int) -> None:
        if self._is_upgraded:
            self._tell(raw, t_ns, from_client=False)
            self._pass_on_later(False, [raw], t_ns)
        elif head is not None and self._has_http_too and _means_no_websocket(head.status_code):
            self._tap.records.response_opened(self.number, t_ns, head.status_code, head.recorded, payload)
            self._refused_by = head.status_code
            if is_done or head.status_code < 300:  # a stream perhaps, which nobody waits for
                self._refuse_as_answered()
        elif self._refused_by:
            self._tap.records.response_chunk(self.number, t_ns, payload)
            if is_done:
                self._refuse_as_answered()
        else:
            super().respond(head, raw, payload, is_done, t_ns)

    def upstream_broke(self, reason: str, raw: bytes) -> None:
        self._context.turn.pass_on()
        if self._refused_by:
            self._refuse_as_answered("upstream_cut")
        elif self._has_http_too and not self.response_is_open:
            self._refuse(f"gave no answer to the handshake ({reason})", "upstream_cut")
        else:
            super().upstream_broke(reason, raw)

    def upstream_ended(self) -> bool:
        if not self._is_upgraded:
            return False
        if not self._upstream_has_ended:
            self._upstream_has_ended = True
            self._tell_end(from_client=False)
            if self._client_has_ended:
                self._finish("completed", None)
            elif not self._client.transport.is_closing() and self._client.transport.can_write_eof():
                self._client.transport.write_eof()
        return not self._is_closed

    def response_ended_by_close(self) -> None:
        """The provider's connection is gone, in order."""
        if self._refused_by:
            self._upstream = None
            self._refuse_as_answered()
            return
        if not self._is_upgraded:
            super().response_ended_by_close()
            return
        self.upstream_ended()
        self._upstream = None
        self._finish("completed", None)

    def upstream_lost(self, error: Exception | None) -> None:
        if self._refused_by:
            self._upstream = None
            self._refuse_as_answered("upstream_cut")
            return
        if not self._is_upgraded:
            super().upstream_lost(error)
            return
        self._upstream = None
        self._ends_by_close = True  # what was a reset to us is one to the client
        if self._upstream_has_ended:
            self._finish("completed", None)
        else:
            reason = getattr(error, "strerror", None) or "connection lost"
            self._finish("upstream_cut", f"the provider's connection broke ({reason})")

    # ---- both -----------------------------------------------------------------------------------------------

    def _tell(self, data: bytes, t_ns: int, from_client: bool) -> None:
        self._tap.records.upgrade_chunk(self.number, t_ns, data, from_client, self._pre_ns, self._post_ns)

    def _tell_end(self, from_client: bool) -> None:
        """One side has finished sending; all it sent has gone on when this returns."""
        self._context.turn.pass_on()
        self._active_ns = time.monotonic_ns()
        self._tell(b"", self._active_ns, from_client)
        self._tap.flush()

    def _finish(self, outcome: Outcome, detail: str | None) -> None:
        self.request_is_done = True  # nothing of a request is outstanding: the client's connection just closes
        super()._finish(outcome, detail)

    def _let_go(self, upstream: UpstreamConnection, is_in_order: bool) -> None:
        """In order: the last bytes still go out."""
        if not is_in_order:
            if self._was_reset:
                reset_when_closed(upstream.transport)
            upstream.abort()
            return
        upstream.exchange = None
        upstream.close()
        self._context.loop.call_later(_FLUSH_S, upstream.transport.abort)


def _means_no_websocket(status_code: int) -> bool:
    return 200 <= status_code < 300 or status_code in _MEANS_NO_WEBSOCKET


def _keep_alive(transport: asyncio.Transport) -> None:
    """Have TCP ask silent peers for a sign of life."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE_IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEP_ALIVE_INTERVAL_S)
