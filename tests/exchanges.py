"""Builders for exchanges: one told record by record, in milliseconds of its own clock.

script = ExchangeScript(body=b'{"model": "m"}', sent_ms=10)
script.answer(200, at_ms=110)
script.chunk(b"...", at_ms=120)
exchange = script.close(at_ms=200)
"""

from __future__ import annotations

from lunaroute.assemble.exchange import Exchange, ExchangeEnded, ExchangeKey, RequestReceived
from lunaroute.capture.ids import derived_uuid7
from lunaroute.capture.records import (
    ExchangeClosed,
    HeaderList,
    Outcome,
    RequestOpened,
    ResponseOpened,
    join_headers,
)

MS = 1_000_000
START_WALL_NS = 1_795_300_000_000 * MS
"""Moment 0 of every script, 2026-11-21T22:26:40Z."""
START_MONO_NS = 77_000 * MS
"""What the monotonic clock shows then."""
JSON: HeaderList = [(b"Content-Type", b"application/json")]
EVENT_STREAM: HeaderList = [(b"Content-Type", b"text/event-stream; charset=utf-8")]


class ExchangeScript:
    """One exchange; `opened_ms` is when its head arrived, `sent_ms` when its first byte went to the provider."""

    def __init__(
        self,
        number: int = 1,
        *,
        body: bytes = b"",
        headers: HeaderList | None = None,
        path: str = "/v1/messages",
        method: str = "POST",
        provider: str = "anthropic",
        opened_ms: int = 0,
        sent_ms: int | None = 10,
        tags: list[str] | None = None,
        credential: str | None = "fp1",
        tenant: str | None = None,
        lane: str = "0",
        is_request_complete: bool = True,
    ) -> None:
        self.sent_ms = sent_ms
        opened = RequestOpened(
            exchange=number,
            t_ns=self.t_ns(opened_ms),
            wall_ns=START_WALL_NS + opened_ms * MS,
            request_id=derived_uuid7(START_WALL_NS // MS + opened_ms, lane, str(number)),
            listener=provider,
            provider=provider,
            method=method,
            target=path,
            path=path,
            http_version="1.1",
            header_lines=join_headers([*JSON, *(headers or [])]),
            client_ip="127.0.0.1",
            session_tags=tags or [],
            credential=credential,
            tenant=tenant,
        )
        self.exchange = Exchange(key=ExchangeKey(lane, START_WALL_NS, number), opened=opened)
        self.exchange.request_chunks = [body] if body else []
        if is_request_complete:
            self.exchange.is_request_complete = True
            self.exchange.request_ended_ns = self.t_ns(opened_ms + 1)
            self.exchange.pre_processing_ns = MS // 2

    @staticmethod
    def t_ns(at_ms: float) -> int:
        return START_MONO_NS + int(at_ms * MS)

    def answer(self, status_code: int, *, at_ms: float, headers: HeaderList | None = None) -> None:
        lines = join_headers(JSON if headers is None else headers)
        self.exchange.response = ResponseOpened(self.exchange.opened.exchange, self.t_ns(at_ms), status_code, "", lines)

    def chunk(self, data: bytes, *, at_ms: float) -> None:
        self.exchange.response_chunks.append((self.t_ns(at_ms), data))

    def close(
        self,
        *,
        at_ms: float,
        outcome: Outcome = "completed",
        detail: str | None = None,
        pre_ms: float = 1,
        post_ms: float = 1,
    ) -> Exchange:
        self.exchange.closed = ExchangeClosed(
            exchange=self.exchange.opened.exchange,
            t_ns=self.t_ns(at_ms),
            outcome=outcome,
            detail=detail,
            sent_ns=None if self.sent_ms is None else self.t_ns(self.sent_ms),
            pre_processing_ns=int(pre_ms * MS),
            post_processing_ns=int(post_ms * MS),
        )
        return self.exchange

    @property
    def received(self) -> RequestReceived:
        return RequestReceived(self.exchange)

    @property
    def ended(self) -> ExchangeEnded:
        return ExchangeEnded(self.exchange)
