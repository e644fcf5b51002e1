"""The server's side of a WebSocket (RFC 6455), with permessage-deflate (RFC 7692) where the client offers it.

In: an asyncio connection whose handshake was read. Out: text messages, both ways. Invariant: written on its own, so
that tests of the recorder's reader compare two programs.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib

from lunaroute.simulator.http import RequestHead

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CONTINUATION, _CLOSE, _PING, _PONG = 1, 0, 8, 9, 10
_TAIL = b"\x00\x00\xff\xff"
_MAX_BYTES = 64 << 20


def is_handshake(head: RequestHead) -> bool:
    return (
        head.method == "GET"
        and (head.get("upgrade") or "").lower() == "websocket"
        and head.get("sec-websocket-key") is not None
    )


class WebSocket:
    """One open socket."""

    def __init__(self, head: RequestHead, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._key = (head.get("sec-websocket-key") or "").encode()
        offered = [part.strip() for part in (head.get("sec-websocket-extensions") or "").split(";")]
        self._is_compressed = offered[0] == "permessage-deflate"
        self._keeps_own_window = "server_no_context_takeover" not in offered
        self._keeps_their_window = "client_no_context_takeover" not in offered
        self._deflate = zlib.compressobj(wbits=-15)
        self._inflate = zlib.decompressobj(wbits=-15)

    def accept(self) -> list[tuple[str, str]]:
        """Answer the handshake; the headers sent."""
        accepted = base64.b64encode(hashlib.sha1(self._key + _GUID).digest()).decode()
        headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accepted)]
        if self._is_compressed:
            agreed = ["permessage-deflate"]
            agreed += [] if self._keeps_own_window else ["server_no_context_takeover"]
            agreed += [] if self._keeps_their_window else ["client_no_context_takeover"]
            headers.append(("Sec-WebSocket-Extensions", "; ".join(agreed)))
        headers.append(("server", "simulator"))
        lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in headers), "", ""]
        self._writer.write("\r\n".join(lines).encode())
        return headers

    async def receive(self) -> bytes | None:
        """The next text message; None when the client has closed. Raises ConnectionError, IncompleteReadError."""
        pieces: list[bytes] = []
        is_compressed = False
        while True:
            first, payload = await self._frame()
            opcode = first & 0x0F
            if opcode == _CLOSE:
                self._write(_CLOSE, payload)
                return None
            if opcode == _PING:
                self._write(_PONG, payload)
            if opcode >= _CLOSE:
                continue
            if opcode != _CONTINUATION:
                is_compressed = bool(first & 0x40)
            pieces.append(payload)
            if first & 0x80:
                data = b"".join(pieces)
                return self._inflated(data) if is_compressed else data

    async def send(self, data: bytes) -> None:
        """A text message. Raises ConnectionError."""
        if not self._is_compressed:
            self._write(_TEXT, data)
        else:
            deflated = self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
            self._write(_TEXT, deflated.removesuffix(_TAIL), compressed=0x40)
            if not self._keeps_own_window:
                self._deflate = zlib.compressobj(wbits=-15)
        await self._writer.drain()

    def close(self, code: int, reason: str) -> None:
        self._write(_CLOSE, code.to_bytes(2, "big") + reason.encode())

    def abort(self) -> None:
        """End the connection without a close frame."""
        self._writer.close()

    def _write(self, opcode: int, payload: bytes, compressed: int = 0) -> None:
        size = len(payload)
        short = size if size < 126 else 126 if size < 65536 else 127
        extended = b"" if size < 126 else size.to_bytes(2 if size < 65536 else 8, "big")
        self._writer.write(bytes([0x80 | compressed | opcode, short]) + extended + payload)

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
        if not second & 0x80 or size > _MAX_BYTES:
            raise ConnectionError("not a client's frame")
        mask = await self._reader.readexactly(4)
        payload = await self._reader.readexactly(size)
        key = (mask * (size // 4 + 1))[:size]
        return first, (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")

    def _inflated(self, data: bytes) -> bytes:
        if not self._keeps_their_window:
            self._inflate = zlib.decompressobj(wbits=-15)
        return self._inflate.decompress(data + _TAIL, _MAX_BYTES)
