"""Content decoding: the bytes of a body as they were before gzip, deflate, br or zstd.

In: the bytes as the peer sent them and the value of its `content-encoding`. Out: decoded bytes, and a sentence when
they are not the whole body. Invariant: never raises, never yields more than the bound, and what could be decoded of
a cut or corrupt body is yielded.
"""

from __future__ import annotations

import sys
import zlib
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import msgspec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DEFAULT_MAX_BYTES = 256 * 1024 * 1024

_STEP_BYTES = 256 * 1024
"""Output asked for at a time: bounds what a corrupt byte can take with it, and what a bomb can allocate."""

_GZIP_WBITS = 16 + zlib.MAX_WBITS


class DecodedBody(msgspec.Struct, frozen=True, kw_only=True):
    data: bytes
    error: str | None
    """Why `data` is not the whole body: cut, corrupt, too large, or a coding that this program does not know."""


def decode_content(data: bytes, content_encoding: str | None, max_bytes: int = DEFAULT_MAX_BYTES) -> DecodedBody:
    """Undo the content codings of a whole body; `max_bytes` bounds the result."""
    decoder = ContentDecoder(content_encoding, max_bytes)
    decoded = decoder.feed(data) + decoder.finish()
    return DecodedBody(data=decoded, error=decoder.error)


class ContentDecoder:
    """Undoes content codings while the bytes arrive, so that each read keeps its own arrival time.

    After the first error nothing more is decoded.
    """

    def __init__(self, content_encoding: str | None, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.error: str | None = None
        self._max_bytes = max_bytes
        self._output_bytes = 0
        self._codings: list[_Coding] = []
        self._is_stopped = False
        names = [name.strip().lower() for name in (content_encoding or "").split(",")]
        for name in reversed([name for name in names if name not in ("", "identity")]):
            coding = _CODINGS.get(name)
            if coding is None:
                # Bytes under an unknown coding are handed on as they are: better than nothing for a reader.
                self.error = f"unknown content coding {name!r}"
                self._codings = []
                return
            self._codings.append(coding())

    def feed(self, data: bytes) -> bytes:
        """What `data` adds to the decoded body."""
        if self._is_stopped:
            return b""
        for coding in self._codings:
            data = self._decode(coding, data)
        room = self._max_bytes - self._output_bytes
        if len(data) > room:
            data = data[:room]
            self._stop(f"the decoded body is larger than {self._max_bytes} bytes")
        self._output_bytes += len(data)
        return data

    def finish(self) -> bytes:
        """The end of the input: sets `error` when the body was cut. Nothing is ever held back, so this is empty."""
        for coding in self._codings:
            if self.error is None and coding.was_fed and not coding.is_at_end:
                self.error = f"the body ends inside its {coding.name} coding"
        return b""

    def _decode(self, coding: _Coding, data: bytes) -> bytes:
        pieces: list[bytes] = []
        # One byte more than allowed shows that there is more.
        room = self._max_bytes - self._output_bytes + 1
        while room > 0 and (data or coding.has_more):
            try:
                piece, data = coding.decode(data, min(room, _STEP_BYTES))
            except (zlib.error, brotli.error, zstd.ZstdError, EOFError, ValueError, MemoryError) as error:
                self._stop(f"not valid {coding.name}: {error}")
                break
            pieces.append(piece)
            room -= len(piece)
        return b"".join(pieces)

    def _stop(self, error: str) -> None:
        self._is_stopped = True
        if self.error is None:
            self.error = error


class _Coding(Protocol):
    name: str
    was_fed: bool
    has_more: bool
    """Output is waiting although all input was taken."""
    is_at_end: bool

    def decode(self, data: bytes, max_output_bytes: int) -> tuple[bytes, bytes]:
        """(output, input not yet taken)."""


class _Gzip:
    """gzip, RFC 1952; several members may follow each other."""

    name = "gzip"

    def __init__(self) -> None:
        self.was_fed = False
        self.has_more = False
        self.is_at_end = False
        self._decoder = zlib.decompressobj(_GZIP_WBITS)

    def decode(self, data: bytes, max_output_bytes: int) -> tuple[bytes, bytes]:
        self.was_fed = self.was_fed or bool(data)
        if self.is_at_end and not self._next_member(data):
            return b"", b""
        output = self._decoder.decompress(data, max_output_bytes)
        self.is_at_end = self._decoder.eof
        # A full buffer may hide output although no input is left.
        self.has_more = not self.is_at_end and len(output) == max_output_bytes
        return output, self._decoder.unused_data if self.is_at_end else self._decoder.unconsumed_tail

    def _next_member(self, data: bytes) -> bool:
        # Zero bytes after a member are padding (gzip(1)).
        if not data.strip(b"\0"):
            return False
        self._decoder = zlib.decompressobj(_GZIP_WBITS)
        self.is_at_end = False
        return True


class _Deflate(_Gzip):
    """`deflate` means the zlib format (RFC 9110 §8.4.1.2), yet some servers send raw deflate data."""

    name = "deflate"

    def __init__(self) -> None:
        super().__init__()
        self._head: bytes | None = b""

    def decode(self, data: bytes, max_output_bytes: int) -> tuple[bytes, bytes]:
        if self._head is None:
            return super().decode(data, max_output_bytes)
        self.was_fed = self.was_fed or bool(data)
        self._head += data
        if len(self._head) < 2:
            return b"", b""
        data, self._head = self._head, None
        self._decoder = zlib.decompressobj(zlib.MAX_WBITS if _is_zlib_header(data) else -zlib.MAX_WBITS)
        return super().decode(data, max_output_bytes)

    def _next_member(self, data: bytes) -> bool:
        return False


def _is_zlib_header(data: bytes) -> bool:
    # RFC 1950 §2.2: method 8, and the two bytes are a multiple of 31.
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0


class _Brotli:
    """br, RFC 7932."""

    name = "br"

    def __init__(self) -> None:
        self.was_fed = False
        self.has_more = False
        self.is_at_end = False
        self._decoder = brotli.Decompressor()

    def decode(self, data: bytes, max_output_bytes: int) -> tuple[bytes, bytes]:
        self.was_fed = self.was_fed or bool(data)
        if self.is_at_end:
            return b"", b""
        output: bytes = self._decoder.process(data, output_buffer_limit=max_output_bytes)
        self.is_at_end = self._decoder.is_finished()
        # The decoder hands out its window piece by piece, and says that it can take more in between.
        self.has_more = bool(output) and not self.is_at_end
        return output, b""


class _Zstd:
    """zstd, RFC 8878; several frames may follow each other."""

    name = "zstd"

    def __init__(self) -> None:
        self.was_fed = False
        self.has_more = False
        self.is_at_end = False
        self._decoder = zstd.ZstdDecompressor()

    def decode(self, data: bytes, max_output_bytes: int) -> tuple[bytes, bytes]:
        self.was_fed = self.was_fed or bool(data)
        if self.is_at_end:
            if not data:
                return b"", b""
            self._decoder = zstd.ZstdDecompressor()
            self.is_at_end = False
        output = self._decoder.decompress(data, max_output_bytes)
        self.is_at_end = self._decoder.eof
        self.has_more = not self.is_at_end and not self._decoder.needs_input
        return output, self._decoder.unused_data if self.is_at_end else b""


_CODINGS: dict[str, type[_Gzip] | type[_Deflate] | type[_Brotli] | type[_Zstd]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
