"""The simulated provider's HTTP server: one connection at a time, one request after the other on each.

In: TCP connections on 127.0.0.1. Out: responses, and the ledger of what was served. Invariant: an entry is
closed exactly once, whatever the client or a directive does to the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import struct

import msgspec

from lunaroute.simulator.directives import HEADER
from lunaroute.simulator.failures import gap_index
from lunaroute.simulator.http import MAX_HEAD_BYTES, RequestHead, read_body, read_head
from lunaroute.simulator.ledger import Ledger, LedgerEntry
from lunaroute.simulator.provider import Answer, Provider
from lunaroute.simulator.responses_socket import ResponsesSocket
from lunaroute.simulator.sender import ClientGoneError, CutError, EndError, Framing, Sender
from lunaroute.simulator.websocket import is_handshake

RESPONSES_PATHS = ("/v1/responses", "/responses")


class _Protocol(asyncio.StreamReaderProtocol):
    """Stream protocol that tells at once when the client has left, also while nothing is being read."""

    def __init__(self, reader: asyncio.StreamReader, simulator: Simulator) -> None:
        self.gone = asyncio.Event()
        super().__init__(reader, lambda r, w: simulator.serve(r, w, self.gone))

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)


class Simulator:
    """Serves the four dialects; `delay_factor` 1 is natural speed, 0 as fast as possible."""

    def __init__(self, seed: str, delay_factor: float, *, http_only: bool = False) -> None:
        self._provider = Provider(seed)
        self._http_only = http_only
        self._ledger = Ledger()
        self._delay_factor = delay_factor

    async def listen(self, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: _Protocol(asyncio.StreamReader(limit=MAX_HEAD_BYTES), self), "127.0.0.1", port, backlog=1024
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gone: asyncio.Event) -> None:
        try:
            while (head := await read_head(reader)) is not None:
                is_open = await self._exchange(head, reader, writer, gone)
                if not is_open or not head.is_keep_alive:
                    break
        except (ValueError, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # what is not HTTP, a client gone, or the end of the simulator: the connection just closes
        finally:
            writer.close()

    async def _exchange(
        self,
        head: RequestHead,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gone: asyncio.Event,
    ) -> bool:
        """Serve one request; False when the connection is over with it."""
        if head.path.startswith("/simulator/"):
            return await self._control(head, writer)
        entry = self._ledger.open(head.method, head.target, head.headers, head.raw)
        if is_handshake(head) and self._http_only:
            head = msgspec.structs.replace(head, headers=_without_upgrade(head.headers))
        elif is_handshake(head) and head.path in RESPONSES_PATHS and head.get(HEADER) is None:
            await ResponsesSocket(head, reader, writer, self._provider, self._ledger, self._delay_factor).serve(entry)
            return False
        try:
            early = self._provider.early_answer(head, entry)
            if early is not None:
                is_open = await self._send(early, head, writer, gone, entry)
            elif (head.get("expect") or "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await read_body(reader, head)
            entry.request_sha256, entry.request_bytes = hashlib.sha256(body).hexdigest(), len(body)
            if early is not None:
                return is_open
            return await self._send(self._provider.answer(head, body, entry), head, writer, gone, entry)
        finally:
            if entry.outcome == "open":
                entry.outcome = "client_gone"

    async def _send(
        self,
        answer: Answer,
        head: RequestHead,
        writer: asyncio.StreamWriter,
        gone: asyncio.Event,
        entry: LedgerEntry,
    ) -> bool:
        sender = Sender(writer, gone, answer.directives, self._delay_factor)
        framing = _framing(answer)
        try:
            await self._play_back(answer, head, sender, framing, entry)
            entry.outcome = "completed"
        except CutError:
            entry.outcome, framing = "cut", "close"
            if answer.directives.reset:
                _reset_on_close(writer)
        except ClientGoneError:
            entry.outcome, framing = "client_gone", "close"
        entry.response_sha256, entry.response_bytes = sender.sha256, sender.body_bytes
        is_whole = entry.outcome == "completed" and not (
            answer.directives.end_after is not None or answer.directives.error_event_after is not None
        )
        entry.is_usage_served = entry.is_usage_served and is_whole
        return framing != "close"

    async def _play_back(
        self, answer: Answer, head: RequestHead, sender: Sender, framing: Framing, entry: LedgerEntry
    ) -> None:
        directives = answer.directives
        await sender.pause(directives.slow_first_byte_ms, is_real=True)
        if directives.drop:
            raise CutError
        gap = gap_index(answer.steps, directives)
        # The head goes out with the first body byte, as providers do it.
        await sender.pause(answer.steps[0].delay_ms)
        entry.status, entry.response_headers = answer.status, _framed_headers(answer, framing)
        await sender.head(answer.status, entry.response_headers, framing)
        if head.method == "HEAD":
            return
        try:
            for number, step in enumerate(answer.steps):
                if number == gap:
                    await sender.pause(directives.silent_gap_ms, is_real=True)
                if number:
                    await sender.pause(step.delay_ms)
                await sender.body(step.data)
        except EndError:
            await sender.end_framing()
            return
        with contextlib.suppress(ClientGoneError):  # it has every byte of the body, and some wait no longer
            await sender.finish()

    async def _control(self, head: RequestHead, writer: asyncio.StreamWriter) -> bool:
        """The simulator's own paths, for tests; they leave no trace in the ledger."""
        found: bytes | None = None
        if head.path == "/simulator/ledger":
            found = self._ledger.lines()
        elif (name := head.path.removeprefix("/simulator/requests/")).isdecimal():
            found = self._ledger.raw_head(int(name))
        status = "404 Not Found" if found is None else "200 OK"
        length = f"content-length: {len(found or b'')}"
        writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n\r\n".encode() + (found or b""))
        await writer.drain()
        return True


def _without_upgrade(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A server that knows no WebSocket reads past the wish for it."""
    return [(name, value) for name, value in headers if name.lower() != "upgrade"]


def _framing(answer: Answer) -> Framing:
    directives = answer.directives
    if directives.close:
        return "close"
    is_unsized = directives.end_after is not None or directives.content_encoding is not None
    return "chunked" if answer.is_stream or directives.chunked_split or is_unsized else "length"


def _framed_headers(answer: Answer, framing: Framing) -> list[tuple[str, str]]:
    headers = list(answer.headers)
    if answer.directives.content_encoding is not None:
        headers.append(("content-encoding", answer.directives.content_encoding))
    if framing == "length":
        headers.append(("Content-Length", str(sum(len(step.data) for step in answer.steps))))
    if framing == "chunked":
        headers.append(("Transfer-Encoding", "chunked"))
    return [*headers, ("Connection", "close" if framing == "close" else "keep-alive")]


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    """Make the coming close a TCP reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
