"""[pure] Exchanges still open at a checkpoint, as records: what is new since the last one, and back again.

A socket may be open for hours. Its reads are saved as they come, like all records, until they are much more than the
state they have led to; then the state takes their place.
"""

from __future__ import annotations

import msgspec

from lunaroute.assemble.assembler import Assembler
from lunaroute.assemble.exchange import Exchange, ExchangeKey
from lunaroute.assemble.socket import SocketState
from lunaroute.capture.records import Record, RequestChunk, ResponseChunk

_SOCKET_SLACK_BYTES = 256 * 1024


class _Saved(msgspec.Struct):
    """How much of an exchange is in the journal."""

    parts: int = 0
    has_opened: bool = False
    request_chunks: int = 0
    has_request_end: bool = False
    has_response: bool = False
    response_chunks: int = 0
    socket_bytes: int = 0
    """Of reads saved since the socket's state was."""


class OpenExchangeLog:
    """Remembers what of each open exchange has been saved."""

    def __init__(self) -> None:
        self._saved: dict[ExchangeKey, _Saved] = {}

    def restored(self, assembler: Assembler, parts: dict[ExchangeKey, int]) -> None:
        """The assembler was just rebuilt from the journal: everything in it is saved, in so many parts."""
        for exchange in assembler.open_exchanges():
            saved = self._saved[exchange.key] = _Saved(parts=parts[exchange.key])
            self._advance(exchange, saved)
            socket = assembler.socket(exchange.key)
            if socket is not None:
                saved.socket_bytes = sum(len(chunk.data) for chunk in socket.take_news())

    def changes(
        self, assembler: Assembler
    ) -> tuple[list[tuple[ExchangeKey, int, list[Record | SocketState]]], list[ExchangeKey]]:
        """(key, part, new records) of the open ones, and of which all that was saved before is to go: those that are
        no longer open, and those that are saved anew."""
        new: list[tuple[ExchangeKey, int, list[Record | SocketState]]] = []
        anew: list[ExchangeKey] = []
        seen: set[ExchangeKey] = set()
        for exchange in assembler.open_exchanges():
            seen.add(exchange.key)
            saved = self._saved.setdefault(exchange.key, _Saved())
            records: list[Record | SocketState] = [*self._advance(exchange, saved)]
            socket = assembler.socket(exchange.key)
            if socket is not None:
                news = socket.take_news()
                saved.socket_bytes += sum(len(chunk.data) for chunk in news)
                if saved.socket_bytes > _SOCKET_SLACK_BYTES + 2 * socket.size_bytes:
                    saved = self._saved[exchange.key] = _Saved()
                    anew.append(exchange.key)
                    records = [*self._advance(exchange, saved), socket.state]
                else:
                    records += news
            if records:
                new.append((exchange.key, saved.parts, records))
                saved.parts += 1
        closed = [key for key in self._saved if key not in seen]
        for key in closed:
            del self._saved[key]
        return new, closed + anew

    def _advance(self, exchange: Exchange, saved: _Saved) -> list[Record]:
        number = exchange.opened.exchange
        records: list[Record] = []
        if not saved.has_opened:
            saved.has_opened = True
            records.append(exchange.opened)
        for data in exchange.request_chunks[saved.request_chunks :]:
            records.append(RequestChunk(number, exchange.opened.t_ns, data, None))
        saved.request_chunks = len(exchange.request_chunks)
        if exchange.is_request_complete and not saved.has_request_end:
            saved.has_request_end = True
            ended_ns = exchange.request_ended_ns or exchange.opened.t_ns
            records.append(RequestChunk(number, ended_ns, b"", exchange.pre_processing_ns or 0))
        if exchange.response is not None and not saved.has_response:
            saved.has_response = True
            records.append(exchange.response)
        for t_ns, data in exchange.response_chunks[saved.response_chunks :]:
            records.append(ResponseChunk(number, t_ns, data))
        saved.response_chunks = len(exchange.response_chunks)
        return records
