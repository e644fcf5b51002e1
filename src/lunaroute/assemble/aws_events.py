"""Events out of an AWS event stream (`application/vnd.amazon.eventstream`), the framing of Bedrock's streams.

In: `feed(data, t_ns)` with the bytes of each read and its arrival, then `finish()`. Out: the same events that a
stream of server-sent events would give: the name is `:event-type`, the data the payload. What Bedrock wraps once more
(`{"bytes": "<base64>"}`, the events of a model's own format) is unwrapped; an exception becomes an event `error`
with the error in Anthropic's form. Format: total length, header length, CRC; headers; payload; CRC; big-endian.

Invariant: however the bytes are split into reads, the same events come out. Never raises; bytes that are no frames end
the stream.
"""

from __future__ import annotations

import binascii
import struct

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent

_PRELUDE = struct.Struct(">III")
_CRC_BYTES = 4
_MAX_FRAME_BYTES = 32 * 1024 * 1024
_STRING = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Of the header types with a fixed one; 6 and 7 begin with their length."""


class _Wrapped(msgspec.Struct):
    bytes: str


_wrapped = msgspec.json.Decoder(_Wrapped)


class AwsEventParser:
    """feed(data, t_ns) → events; finish() → none: half a frame says nothing."""

    def __init__(self) -> None:
        self.is_broken = False
        """What came was never a frame."""
        self._buffer = bytearray()
        self._is_over = False
        self._has_events = False

    def feed(self, data: bytes, t_ns: int) -> list[ServerSentEvent]:
        """The events that `data` completes. `t_ns` is the arrival of `data`."""
        self._buffer += data
        events: list[ServerSentEvent] = []
        while not self._is_over and len(self._buffer) >= _PRELUDE.size:
            total, header_bytes, crc = _PRELUDE.unpack_from(self._buffer)
            is_frame = _PRELUDE.size + header_bytes + _CRC_BYTES <= total <= _MAX_FRAME_BYTES
            if not is_frame or binascii.crc32(self._buffer[:8]) != crc:
                self._is_over = True
                self.is_broken = not self._has_events
                self._buffer.clear()
                break
            if len(self._buffer) < total:
                break
            headers_end = _PRELUDE.size + header_bytes
            headers = _headers(bytes(self._buffer[_PRELUDE.size : headers_end]))
            payload = bytes(self._buffer[headers_end : total - _CRC_BYTES])
            del self._buffer[:total]
            self._has_events = True
            events.append(_event(headers, payload, t_ns))
        return events

    def finish(self) -> list[ServerSentEvent]:
        """Nothing; for the sake of the other parsers' form."""
        return []


def _headers(data: bytes) -> dict[str, str]:
    """The headers that are strings; all that matter are."""
    found: dict[str, str] = {}
    place = 0
    while place + 2 <= len(data):
        name_end = place + 1 + data[place]
        name = data[place + 1 : name_end].decode("utf-8", "replace")
        if name_end >= len(data):
            break
        kind = data[name_end]
        place = name_end + 1
        if kind in _SIZES:
            place += _SIZES[kind]
            continue
        size = int.from_bytes(data[place : place + 2], "big")
        if kind == _STRING:
            found[name] = data[place + 2 : place + 2 + size].decode("utf-8", "replace")
        place += 2 + size
    return found


def _event(headers: dict[str, str], payload: bytes, t_ns: int) -> ServerSentEvent:
    if headers.get(":message-type", "event") != "event":
        kind = headers.get(":exception-type") or headers.get(":error-code")
        data = msgspec.json.encode({"type": "error", "error": {"type": kind, "message": _message(headers, payload)}})
        return ServerSentEvent(event="error", data=data, t_ns=t_ns)
    try:
        return ServerSentEvent(event="", data=binascii.a2b_base64(_wrapped.decode(payload).bytes), t_ns=t_ns)
    except (msgspec.MsgspecError, ValueError):
        return ServerSentEvent(event=headers.get(":event-type", ""), data=payload, t_ns=t_ns)


def _message(headers: dict[str, str], payload: bytes) -> str:
    try:
        message = msgspec.json.decode(payload)["message"]
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError):
        message = headers.get(":error-message") or payload.decode("utf-8", "replace")
    return str(message)
