"""Just enough HTTP/1.1 to receive requests: heads kept byte for byte, bodies by length or in chunks.

In: an asyncio stream. Out: `RequestHead` and body bytes. Invariant: nothing received is normalised.
"""

from __future__ import annotations

import asyncio
import gzip
import sys

import msgspec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_HEAD_BYTES = 1 << 20


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    raw: bytes
    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def get(self, name: str) -> str | None:
        """The first value of a header, by lower-case name."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def is_keep_alive(self) -> bool:
        asked = (self.get("connection") or "").lower()
        return "close" not in asked and (self.version != "HTTP/1.0" or "keep-alive" in asked)


async def read_head(reader: asyncio.StreamReader) -> RequestHead | None:
    """The next request's head; None when the client is done. Raises ValueError for what is not HTTP."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except asyncio.LimitOverrunError as error:
        raise ValueError("request head too large") from error
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = [(name, value.strip(" \t")) for name, _, value in pairs]
    return RequestHead(raw=raw, method=method, target=target, version=version, headers=headers)


async def read_body(reader: asyncio.StreamReader, head: RequestHead) -> bytes:
    """The body after the transfer coding. Raises IncompleteReadError when the client leaves in the middle."""
    if "chunked" in (head.get("transfer-encoding") or "").lower():
        return await _read_chunks(reader)
    return await reader.readexactly(int(head.get("content-length") or 0))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        size = int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16)
        if size == 0:
            break
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return bytes(body)


def decoded(body: bytes, content_encoding: str | None) -> bytes:
    """A request body after its content coding (Codex sends zstd). Raises ValueError if it does not decode."""
    try:
        if content_encoding == "gzip":
            return gzip.decompress(body)
        if content_encoding == "zstd":
            return zstd.decompress(body)
    except (OSError, EOFError, zstd.ZstdError) as error:
        raise ValueError(f"body is not {content_encoding}") from error
    return body


def reason(status: int) -> str:
    return {
        200: "OK",
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        405: "Method Not Allowed",
        413: "Payload Too Large",
        426: "Upgrade Required",
        429: "Too Many Requests",
        500: "Internal Server Error",
        503: "Service Unavailable",
    }.get(status, "")
