"""WebSocket frames written by hand, and by another implementation's permessage-deflate, to test readers with."""

from __future__ import annotations

import zlib

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
_TAIL = b"\x00\x00\xff\xff"


def frame(
    opcode: int,
    payload: bytes,
    *,
    mask: bytes = b"",
    is_final: bool = True,
    is_compressed: bool = False,
    reserved: int = 0,
) -> bytes:
    """One frame, by RFC 6455 §5.2, byte by byte."""
    first = (0x80 if is_final else 0) | (0x40 if is_compressed else 0) | reserved | opcode
    size = len(payload)
    second = 0x80 if mask else 0
    if size < 126:
        head = bytes([first, second | size])
    elif size < 65536:
        head = bytes([first, second | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, second | 127]) + size.to_bytes(8, "big")
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if mask else payload
    return head + mask + masked


class Deflater:
    """permessage-deflate, RFC 7692 §7.2.1."""

    def __init__(self, *, keeps_window: bool = True, window_bits: int = 15) -> None:
        self._keeps_window = keeps_window
        self._window_bits = window_bits
        self._encoder = self._new()

    def deflate(self, data: bytes) -> bytes:
        if not self._keeps_window:
            self._encoder = self._new()
        return (self._encoder.compress(data) + self._encoder.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)

    def _new(self) -> zlib._Compress:
        return zlib.compressobj(wbits=-self._window_bits)


def in_fragments(payload: bytes, sizes: list[int]) -> list[bytes]:
    """The payload cut into pieces of these sizes, and the rest."""
    pieces = []
    for size in sizes:
        pieces.append(payload[:size])
        payload = payload[size:]
    return [*pieces, payload]


def message(
    opcode: int,
    payload: bytes,
    *,
    mask: bytes = b"",
    is_compressed: bool = False,
    fragments: list[int] | None = None,
    between: bytes = b"",
) -> bytes:
    """A message in frames; `between` are control frames sent after each of them but the last."""
    pieces = in_fragments(payload, fragments or [])
    frames = [
        frame(
            opcode if number == 0 else CONTINUATION,
            piece,
            mask=mask,
            is_final=number == len(pieces) - 1,
            is_compressed=is_compressed and number == 0,
        )
        for number, piece in enumerate(pieces)
    ]
    return between.join(frames)
