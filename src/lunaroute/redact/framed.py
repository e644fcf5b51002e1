"""Bodies in the framing of AWS event streams: lengths and checksums around JSON that may be wrapped in base64.

In: a body's bytes. Out: the same events, each in a frame of its own again, with what was found replaced. Format: see
`assemble.aws_events`.
"""

from __future__ import annotations

import binascii
import struct
from collections import Counter
from collections.abc import Sequence

import msgspec

from .body import Edit, Edited, Redactor, moved

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_LEAST_BYTES = _PRELUDE.size + _CRC.size


class _Wrapped(msgspec.Struct):
    """What Bedrock puts around an event of a model's own format."""

    bytes: str
    p: str | None = None
    """Padding, against guessing from lengths."""


class _Frame(msgspec.Struct):
    start: int
    end: int
    headers: bytes
    payload: bytes
    """Unwrapped."""
    is_wrapped: bool


_wrapped = msgspec.json.Decoder(_Wrapped)


def redact_frames(body: bytes, redactor: Redactor) -> Edited | None:
    """None when the body is no row of frames. What follows the last whole frame is dropped where something was found:
    nobody can read it."""
    frames = _frames(body)
    if not frames:
        return None
    lines = b"".join([frame.payload.replace(b"\n", b" ") + b"\n" for frame in frames])
    result = redactor.stream(lines)
    heads = [redactor.text(frame.headers) for frame in frames]
    if not result.edits and not any(head.edits for head in heads):
        return Edited(body, [], Counter())
    ends = _ends(frames)
    places = [0, *moved(result.edits, ends)]
    edits: list[Edit] = []
    for number, frame in enumerate(frames):
        payload = result.data[places[number] : places[number + 1] - 1]
        # A changed header would need new lengths inside; a secret there is an error's text, which is left out whole.
        headers = b"" if heads[number].edits else frame.headers
        edits.append(Edit(frame.start, frame.end, _framed(headers, payload, frame.is_wrapped)))
    edits.append(Edit(frames[-1].end, len(body), b""))
    counts = sum((head.counts for head in heads), result.counts)
    return Edited(b"".join([edit.replacement for edit in edits]), edits, counts)


def _ends(frames: Sequence[_Frame]) -> list[int]:
    ends: list[int] = []
    place = 0
    for frame in frames:
        place += len(frame.payload) + 1
        ends.append(place)
    return ends


def _frames(body: bytes) -> list[_Frame]:
    frames: list[_Frame] = []
    place = 0
    while place + _LEAST_BYTES <= len(body):
        total, header_bytes, crc = _PRELUDE.unpack_from(body, place)
        headers_end = place + _PRELUDE.size + header_bytes
        if binascii.crc32(body[place : place + 8]) != crc or headers_end + _CRC.size > place + total:
            break
        if place + total > len(body):
            break
        payload, is_wrapped = _unwrapped(body[headers_end : place + total - _CRC.size])
        frames.append(_Frame(place, place + total, body[place + _PRELUDE.size : headers_end], payload, is_wrapped))
        place += total
    return frames


def _unwrapped(payload: bytes) -> tuple[bytes, bool]:
    try:
        return binascii.a2b_base64(_wrapped.decode(payload).bytes), True
    except (msgspec.MsgspecError, ValueError):
        return payload, False


def _framed(headers: bytes, payload: bytes, is_wrapped: bool) -> bytes:
    if is_wrapped:
        payload = msgspec.json.encode({"bytes": binascii.b2a_base64(payload, newline=False).decode()})
    total = _LEAST_BYTES + len(headers) + len(payload)
    start = struct.pack(">II", total, len(headers))
    message = start + _CRC.pack(binascii.crc32(start)) + headers + payload
    return message + _CRC.pack(binascii.crc32(message))
