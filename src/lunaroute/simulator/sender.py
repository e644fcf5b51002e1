"""Sends one response, honestly or as badly as asked: framing, compression, splitting, pauses, cuts.

In: a status, headers, body pieces. Out: bytes on the connection. Invariant: `body_bytes` and `sha256`
describe exactly the body bytes that were written, after content coding and without chunk framing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
import zlib
from typing import Literal, Protocol

import brotli  # type: ignore[import-untyped]

from lunaroute.simulator.directives import Directives
from lunaroute.simulator.http import reason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Framing = Literal["length", "chunked", "close"]


class CutError(Exception):
    """The response is cut off here, as asked."""


class EndError(Exception):
    """The response ends here, early, as asked."""


class ClientGoneError(Exception):
    """The client closed the connection."""


class Sender:
    """Writes one response to one connection."""

    def __init__(
        self, writer: asyncio.StreamWriter, gone: asyncio.Event, directives: Directives, delay_factor: float
    ) -> None:
        self._writer = writer
        self._gone = gone
        self._directives = directives
        self._delay_factor = delay_factor
        self._framing: Framing = "length"
        self._coder = _coder(directives.content_encoding)
        self._digest = hashlib.sha256()
        self.body_bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def pause(self, delay_ms: float, *, is_real: bool = False) -> None:
        """Let time pass (scaled, unless real); raises ClientGoneError as soon as the client leaves."""
        seconds = delay_ms / 1000 * (1.0 if is_real else self._delay_factor)
        if self._gone.is_set():
            raise ClientGoneError
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._gone.wait()
            except TimeoutError:
                return
            raise ClientGoneError

    async def head(self, status: int, headers: list[tuple[str, str]], framing: Framing) -> None:
        self._framing = framing
        lines = [f"HTTP/1.1 {status} {reason(status)}", *(f"{name}: {value}" for name, value in headers)]
        await self._write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def body(self, data: bytes) -> None:
        await self._coded(self._coder.step(data))

    async def finish(self) -> None:
        """Flush the content coding and end the framing."""
        with contextlib.suppress(EndError):
            await self._coded(self._coder.end())
        await self.end_framing()

    async def end_framing(self) -> None:
        if self._framing == "chunked":
            await self._write(b"0\r\n\r\n")

    async def _coded(self, data: bytes) -> None:
        """Send body bytes up to the point where the response is to break off."""
        limits = [n for n in (self._directives.cut_after, self._directives.end_after) if n is not None]
        room = min(limits) - self.body_bytes if limits else len(data)
        piece_bytes = self._directives.chunked_split or max(len(data), 1)
        sent = data[: max(room, 0)]
        for start in range(0, len(sent), piece_bytes):
            await self._piece(sent[start : start + piece_bytes])
        if limits and room <= len(data):
            raise CutError if self._directives.cut_after == min(limits) else EndError

    async def _piece(self, data: bytes) -> None:
        self._digest.update(data)
        self.body_bytes += len(data)
        await self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._framing == "chunked" else data)

    async def _write(self, data: bytes) -> None:
        split_bytes = self._directives.chunked_split or len(data)
        for start in range(0, len(data), split_bytes):
            if self._gone.is_set():
                raise ClientGoneError
            self._writer.write(data[start : start + split_bytes])
            try:
                await self._writer.drain()
            except ConnectionError as error:
                raise ClientGoneError from error
            if self._directives.chunked_split:
                await asyncio.sleep(0)  # lets the bytes leave on their own


class _Coder(Protocol):
    def step(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class _Identity:
    def step(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class _Gzip:
    def __init__(self) -> None:
        self._z = zlib.compressobj(wbits=31)

    def step(self, data: bytes) -> bytes:
        return self._z.compress(data) + self._z.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._z.flush()


class _Brotli:
    def __init__(self) -> None:
        self._z = brotli.Compressor(quality=4)

    def step(self, data: bytes) -> bytes:
        return bytes(self._z.process(data) + self._z.flush())

    def end(self) -> bytes:
        return bytes(self._z.finish())


class _Zstd:
    def __init__(self) -> None:
        self._z = zstd.ZstdCompressor()

    def step(self, data: bytes) -> bytes:
        return self._z.compress(data, mode=zstd.ZstdCompressor.FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._z.flush()


def _coder(content_encoding: str | None) -> _Coder:
    match content_encoding:
        case "gzip":
            return _Gzip()
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()
        case _:
            return _Identity()
