"""[pure] Exchanges that have not ended → what they say so far. Done only while somebody watches.

In: the open exchanges, again and again, each time as far as they have come. Out: their texts, token counts and cost so
far. Invariant: reading on costs what was added, and no more than a bounded number of bytes at a time. What breaks a
reader is not shown; it is recorded all the same, when it ends.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from lunaroute.assemble.content import ContentDecoder
from lunaroute.assemble.exchange import Exchange
from lunaroute.dialects.reading import MessageStream, StreamedBody, framing_of
from lunaroute.dialects.so_far import NOTHING, Part, SoFar
from lunaroute.events.timestamps import timestamp
from lunaroute.live.wire import InFlight
from lunaroute.pricing import Pricer, PriceRequest
from lunaroute.pricing.adding import total_of
from lunaroute.pricing.cost import PICODOLLARS
from lunaroute.sessions import OpenExchange
from lunaroute.sessions.headers import header_texts
from lunaroute.stats.counts import TokenCounts
from lunaroute.stats.tokens import count_tokens, estimate_tokens

LOOK_BYTES = 2 << 20
"""Read at a time, of all exchanges together: some milliseconds."""
_PRICE_EVERY_TOKENS = 20


class InFlightReader:
    """look(exchanges)*, with `flights` as the result of the last one."""

    def __init__(self, pricer: Pricer, *, is_withheld: bool) -> None:
        """`is_withheld`: texts may hold what has to be redacted, so none is read."""
        self.flights: dict[str, _Flight] = {}
        self._pricer = pricer
        self._is_withheld = is_withheld

    def look(self, exchanges: Iterable[tuple[Exchange, OpenExchange]]) -> None:
        """Read on. Exchanges that are no longer among them are over."""
        before, self.flights = self.flights, {}
        room = LOOK_BYTES
        waiting = []
        for exchange, opened in exchanges:
            flight = before.get(exchange.request_id)
            if flight is None or flight.exchange is not exchange:
                flight = _Flight(exchange, opened, self._pricer, is_withheld=self._is_withheld)
            self.flights[exchange.request_id] = flight
            waiting.append(flight)
        # Whoever is furthest behind comes last, so that one long stream does not keep the others waiting.
        for flight in sorted(waiting, key=lambda one: one.unread_chunks):
            if room <= 0:
                return
            room -= flight.read_on(room)

    def forget(self) -> None:
        """Nobody watches any more."""
        self.flights = {}


class _Flight:
    """One exchange."""

    def __init__(self, exchange: Exchange, opened: OpenExchange, pricer: Pricer, *, is_withheld: bool) -> None:
        self.exchange = exchange
        self.version = 0
        self._opened = opened
        self._pricer = pricer
        self._is_withheld = is_withheld
        self._read_chunks = 0
        self._size_bytes = 0
        self._decoder: ContentDecoder | None = None
        self._body: StreamedBody | MessageStream | None = None
        self._is_unreadable = False
        self._so_far = NOTHING
        self._part_bytes: dict[str, tuple[int, int]] = {}
        """Part → (pieces counted, their bytes)."""
        self._cost: tuple[int, float | None] | None = None
        """Output tokens at the time, and the cost."""

    @property
    def unread_chunks(self) -> int:
        return len(self.exchange.response_chunks) - self._read_chunks

    def read_on(self, room: int) -> int:
        """Read what has come since, up to about `room` bytes; how many it were."""
        chunks = self.exchange.response_chunks
        size = 0
        while self._read_chunks < len(chunks) and size < room:
            t_ns, data = chunks[self._read_chunks]
            self._read_chunks += 1
            size += len(data)
            self._feed(t_ns, data)
        if size:
            self.version += 1
            self._size_bytes += size
            self._take_so_far()
        return size

    def parts(self) -> list[Part]:
        return [] if self._is_withheld else list(self._so_far.parts)

    def summary(self) -> InFlight:
        exchange, opened = self.exchange, self._opened
        chunks, is_begun = exchange.response_chunks, self._read_chunks > 0
        first_ns = chunks[0][0] if is_begun else 0
        tokens = self._tokens()
        told = self._so_far.usage.output_tokens if self._so_far.usage is not None else None
        return InFlight(
            request_id=exchange.request_id,
            session_id=opened.session_id,
            provider=exchange.opened.provider,
            started_at=timestamp(exchange.opened.wall_ns),
            model=self._so_far.model or opened.model_requested,
            thread_kind=opened.thread_kind,
            time_to_first_byte_ms=(first_ns - exchange.opened.t_ns) / 1e6 if is_begun else None,
            streaming_ms=(chunks[self._read_chunks - 1][0] - first_ns) / 1e6 if is_begun else 0.0,
            response_size_bytes=self._size_bytes,
            input_tokens=tokens.input_tokens,
            output_tokens=tokens.output_tokens or 0,
            output_is_estimated=tokens.output_tokens != told,
            cost_usd=self._cost_so_far(tokens),
            is_withheld=self._is_withheld,
        )

    def _feed(self, t_ns: int, data: bytes) -> None:
        if self._is_unreadable:
            return
        try:
            if self._body is None:
                self._open_body(data)
            if self._decoder is not None:
                data = self._decoder.feed(data)
            if self._body is not None and data:
                self._body.feed(t_ns, data)
        except Exception:
            self._is_unreadable = True

    def _open_body(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange.socket is not None:
            self._body = MessageStream(self._opened.wire_format)
            return
        if exchange.response is None:
            return
        headers = header_texts(exchange.response.header_lines)
        encoding = headers.get("content-encoding")
        head = data
        if encoding is not None and encoding.strip().lower() != "identity":
            self._decoder = self._decoder or ContentDecoder(encoding)
            head = ContentDecoder(encoding).feed(b"".join(one for _, one in exchange.response_chunks[:4]))
        framing = framing_of(
            self._opened.wire_format, [(0, head)], headers.get("content-type"), exchange.response.status_code
        )
        if framing == "whole":
            self._is_unreadable = True  # it says something only when it is all there
        else:
            self._body = StreamedBody(self._opened.wire_format, framing)

    def _take_so_far(self) -> None:
        if self._body is None:
            return
        try:
            self._so_far = self._body.so_far()
        except Exception:
            self._is_unreadable, self._so_far = True, SoFar(model=self._so_far.model)
        for part in self._so_far.parts:
            count, size = self._part_bytes.get(part.key, (0, 0))
            size += sum(len(piece.encode("utf-8", "surrogatepass")) for piece in part.pieces[count:])
            self._part_bytes[part.key] = (len(part.pieces), size)

    def _tokens(self) -> TokenCounts:
        """What the provider has said; of the output, at least what its text is worth."""
        counts = count_tokens(self._so_far.usage, "")
        estimate = estimate_tokens(sum(size for _, size in self._part_bytes.values()))
        counts.output_tokens = max(counts.output_tokens or 0, estimate)
        return counts

    def _cost_so_far(self, tokens: TokenCounts) -> float | None:
        output = tokens.output_tokens or 0
        if self._cost is None or abs(output - self._cost[0]) >= _PRICE_EVERY_TOKENS:
            request = PriceRequest(
                provider=self.exchange.opened.provider,
                model_used=self._so_far.model,
                model_requested=self._opened.model_requested,
                tokens=msgspec.structs.replace(tokens),
                wall_ns=self.exchange.opened.wall_ns,
            )
            parts = self._pricer.price(request)
            picodollars = None if parts is None else sum(total_of(one) for one in parts.values())
            self._cost = (output, None if picodollars is None else picodollars / PICODOLLARS)
        return self._cost[1]
