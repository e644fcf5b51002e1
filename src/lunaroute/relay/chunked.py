"""[pure] The chunked transfer coding (RFC 9112 §7.1), read strictly while the bytes pass through unchanged.

What a lenient reader would let slip (bare LF, signs, `0x`, spaces before the size, huge sizes) is how requests
are smuggled past a proxy, so it is refused here.
"""

from __future__ import annotations

import re

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\Z")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\Z")
_MAX_LINE_BYTES = 4096
_MAX_TRAILER_BYTES = 16384


class BadChunking(ValueError):
    """The bytes are not chunked coding; where the body ends cannot be known."""


class ChunkedReader:
    """Finds the end of a chunked body and its payload; `feed` until `is_done`."""

    __slots__ = ("_data_left", "_in_trailer", "_line", "_trailer_bytes", "announced_bytes", "is_done")

    def __init__(self) -> None:
        self.is_done = False
        self.announced_bytes = 0
        """Payload of the chunks that have begun."""
        self._data_left = -1  # -1: in a size or trailer line; ≥ 0: chunk data and its CRLF (last 2) to come
        self._line = b""
        self._in_trailer = False
        self._trailer_bytes = 0

    def feed(self, data: bytes, at: int = 0) -> tuple[bytes, int]:
        """Payload found in `data[at:]`, and the index after the last byte that belongs to the body."""
        pieces: list[bytes] = []
        size = len(data)
        while at < size and not self.is_done:
            if self._data_left >= 0:
                at = self._take_data(data, at, pieces)
                continue
            at = self._take_line(data, at)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), at

    def _take_data(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        left = self._data_left
        payload_left = left - 2
        if payload_left > 0:
            piece = data[at : at + payload_left]
            pieces.append(piece)
            taken = len(piece)
            self._data_left = left - taken
            at += taken
            left = self._data_left
        if left <= 2 and at < len(data):
            crlf = data[at : at + left]
            if crlf != b"\r\n"[2 - left : 2 - left + len(crlf)]:
                raise BadChunking("chunk data is not followed by CRLF")
            self._data_left = left - len(crlf)
            at += len(crlf)
            if self._data_left == 0:
                self._data_left = -1
        return at

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        if end < 0:
            self._line += data[at:]
            if len(self._line) > _MAX_LINE_BYTES:
                raise BadChunking("chunk line is too long")
            return len(data)
        line = self._line + data[at : end + 1] if self._line else data[at : end + 1]
        self._line = b""
        if len(line) > _MAX_LINE_BYTES or line[-2:] != b"\r\n":
            raise BadChunking("chunk line is too long or does not end with CRLF")
        if self._in_trailer:
            self._trailer(line[:-2])
        else:
            self._size(line[:-2])
        return end + 1

    def _size(self, line: bytes) -> None:
        match = _SIZE.match(line)
        if match is None:
            raise BadChunking("bad chunk size")
        size = int(match[1], 16)
        if size == 0:
            self._in_trailer = True
        else:
            self._data_left = size + 2
            self.announced_bytes += size

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.is_done = True
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _MAX_TRAILER_BYTES or _TRAILER.match(line) is None:
            raise BadChunking("bad trailer")
