"""WebSocket bytes → messages (RFC 6455), permessage-deflate undone (RFC 7692). One reader for each direction.

In: `feed(data, t_ns)` with the bytes of each read after the handshake and its arrival, then `finish()`. Out: messages
in order, control frames among them. Invariants: however the bytes are split into reads, the same messages come out; no
bytes make it raise; nothing is left out.

Bytes that are not WebSocket as the handshake agreed it (reserved bits or opcodes, a message within a message, deflate
data that is none, a message larger than the bound) have one outcome: from that frame on, everything of this direction
is handed out as it came, as messages of the kind `unread`, and `error` says why. It cannot be read again later: a frame
is found only by the length of the one before it, and the window of the compression is lost.

Stricter than needed it is not: a mask that should be there and is not, or text that is not UTF-8, is read all the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Literal

import msgspec

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Of a message, compressed or not."""

Kind = Literal["text", "binary", "close", "ping", "pong", "unread", "cut"]

_KINDS: dict[int, Kind] = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
_CONTINUATION = 0
_FIRST_CONTROL = 8
_MAX_CONTROL_BYTES = 125
_FINAL, _COMPRESSED, _RESERVED = 0x80, 0x40, 0x30
_MASKED = 0x80
_WINDOW_BYTES = 32768
_RAW_DEFLATE = -15
_TAIL = b"\x00\x00\xff\xff"
"""RFC 7692 §7.2.1: removed from the end of each message by its sender."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message, a control frame, or bytes that could not be read."""

    kind: Kind
    """`cut`: the beginning of a message whose rest never came."""
    data: bytes
    """Payload, without mask and compression; of `unread`, the bytes as they came."""
    started_ns: int
    """Monotonic arrival of the read with its first byte."""
    t_ns: int
    """… of the read that completed it."""


class Deflate(msgspec.Struct, frozen=True):
    """permessage-deflate, as the server's answer agreed to it. Smaller windows need nothing of a reader."""

    client_keeps_window: bool
    server_keeps_window: bool


def agreed_deflate(extensions: Iterable[str]) -> Deflate | None:
    """From the values of `Sec-WebSocket-Extensions` in the answer; None where messages are not compressed."""
    for extension in ",".join(extensions).lower().split(","):
        name, *parameters = (part.strip() for part in extension.split(";"))
        if name == "permessage-deflate":
            return Deflate(
                client_keeps_window="client_no_context_takeover" not in parameters,
                server_keeps_window="server_no_context_takeover" not in parameters,
            )
    return None


def close_reason(payload: bytes) -> str:
    """A close frame's code and reason, for people."""
    if len(payload) < 2:
        return "no status"
    reason = payload[2:].decode("utf-8", "replace")
    code = str(int.from_bytes(payload[:2], "big"))
    return f"{code} {reason}" if reason else code


class ReaderState(msgspec.Struct, array_like=True):
    """Where a reader is, between two reads: all that it needs to go on."""

    pieces: list[bytes] = []
    """Of a frame that is not complete."""
    wanted_bytes: int = 0
    """How many bytes from its beginning on are needed before it is looked at again."""
    began_ns: int = 0
    """Its arrival."""
    kind: Kind | None = None
    """Of the message whose frames are coming in."""
    is_compressed: bool = False
    fragments: list[bytes] = []
    fragments_bytes: int = 0
    started_ns: int = 0
    """The message's arrival."""
    window: bytes = b""
    """The last output, which compressed data may refer to."""
    error: str | None = None


class MessageReader:
    """feed(data, t_ns) → messages; finish() → the message that was never completed, if any."""

    def __init__(self, keeps_window: bool | None, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """`keeps_window`: whether messages may refer to the ones before them; None = compression was not agreed."""
        self._keeps_window = keeps_window
        self._max_bytes = max_bytes
        self.state = ReaderState()

    @property
    def error(self) -> str | None:
        return self.state.error

    @property
    def is_between_messages(self) -> bool:
        return not self.state.pieces and self.state.kind is None

    def feed(self, data: bytes, t_ns: int) -> list[Message]:
        """The messages that `data` completes. `t_ns` is its arrival."""
        state = self.state
        if state.error is not None:
            return [Message("unread", data, t_ns, t_ns)] if data else []
        began_ns = t_ns
        if state.pieces:
            began_ns = state.began_ns
            state.pieces.append(data)
            state.wanted_bytes -= len(data)
            if state.wanted_bytes > 0:
                return []
            data = b"".join(state.pieces)
            state.pieces = []
        return self._read(data, began_ns, t_ns)

    def finish(self, t_ns: int) -> Message | None:
        """The end of the bytes: what had arrived of the message in progress. Call once."""
        state = self.state
        if state.error is not None:
            return None
        frame = b"".join(state.pieces)
        header_bytes, length, mask = _header(frame, 0)
        data = b"".join(state.fragments)
        started_ns, is_compressed = state.started_ns, state.is_compressed
        if length is not None and frame[0] & 0x0F < _FIRST_CONTROL:
            data += _unmasked(frame[header_bytes:], mask)
            if state.kind is None:
                started_ns, is_compressed = state.began_ns, bool(frame[0] & _COMPRESSED)
        if data and is_compressed:
            data = self._inflated_start(data)
        return Message("cut", data, started_ns, t_ns) if data else None

    def _read(self, data: bytes, began_ns: int, t_ns: int) -> list[Message]:
        """The messages in `data`, which begins with a frame; what is left of it is kept."""
        state = self.state
        messages: list[Message] = []
        at, size = 0, len(data)
        while at < size:
            header_bytes, length, mask = _header(data, at)
            if length is None:
                state.wanted_bytes = header_bytes - (size - at)
                break
            error = self._misfit(data[at], length)
            if error is not None:
                self._give_up(error, data[at:], messages, began_ns, t_ns)
                return messages
            end = at + header_bytes + length
            if end > size:
                state.wanted_bytes = end - size
                break
            payload = _unmasked(data[at + header_bytes : end], mask)
            if not self._take(data[at], payload, messages, began_ns, t_ns):
                if end < size:
                    messages.append(Message("unread", data[end:], t_ns, t_ns))
                return messages
            at, began_ns = end, t_ns
        if at < size:
            state.pieces, state.began_ns = [data[at:]], began_ns
        return messages

    def _misfit(self, first: int, length: int) -> str | None:
        """Why a frame with this first byte and length cannot be here; None: it can."""
        state = self.state
        opcode = first & 0x0F
        if first & _RESERVED or (first & _COMPRESSED and (self._keeps_window is None or opcode not in (1, 2))):
            return "a reserved bit is set"
        if opcode >= _FIRST_CONTROL:
            if opcode not in _KINDS:
                return f"unknown opcode {opcode}"
            return None if first & _FINAL and length <= _MAX_CONTROL_BYTES else "a control frame that is none"
        if opcode != _CONTINUATION and opcode not in _KINDS:
            return f"unknown opcode {opcode}"
        if (opcode == _CONTINUATION) is (state.kind is None):
            return "a continuation of nothing" if state.kind is None else "a message within a message"
        if length + state.fragments_bytes > self._max_bytes:
            return f"a message of more than {self._max_bytes} bytes"
        return None

    def _take(self, first: int, payload: bytes, messages: list[Message], began_ns: int, t_ns: int) -> bool:
        """A whole frame; False: its message cannot be read."""
        state = self.state
        opcode = first & 0x0F
        if opcode >= _FIRST_CONTROL:
            messages.append(Message(_KINDS[opcode], payload, began_ns, t_ns))
            return True
        if opcode != _CONTINUATION:
            state.kind, state.started_ns = _KINDS[opcode], began_ns
            state.is_compressed = bool(first & _COMPRESSED)
        if not first & _FINAL:
            state.fragments.append(payload)
            state.fragments_bytes += len(payload)
            return True
        if state.fragments:
            payload = b"".join([*state.fragments, payload])
            state.fragments, state.fragments_bytes = [], 0
        kind, started_ns = state.kind or "binary", state.started_ns
        state.kind = None
        if state.is_compressed:
            try:
                payload = self._inflated(payload)
            except zlib.error as error:
                self._give_up(str(error), payload, messages, started_ns, t_ns)
                return False
        messages.append(Message(kind, payload, started_ns, t_ns))
        return True

    def _give_up(self, error: str, rest: bytes, messages: list[Message], began_ns: int, t_ns: int) -> None:
        state = self.state
        state.error = error
        if state.fragments:
            messages.append(Message("unread", b"".join(state.fragments), state.started_ns, t_ns))
        messages.append(Message("unread", rest, began_ns, t_ns))
        state.fragments, state.kind, state.window = [], None, b""

    def _inflated(self, data: bytes) -> bytes:
        """A whole message without its compression. Raises zlib.error, also where it is larger than the bound.

        Each message gets a decoder of its own that starts from the window: so nothing of one but its output can
        matter to the next, and a window is all there is to save."""
        window = self.state.window
        data += _TAIL
        pieces: list[bytes] = []
        room = self._max_bytes + 1
        while not pieces or data not in (b"", _TAIL):
            decoder = zlib.decompressobj(_RAW_DEFLATE, zdict=window) if window else zlib.decompressobj(_RAW_DEFLATE)
            piece = decoder.decompress(data, room)
            room -= len(piece)
            if room <= 0:
                raise zlib.error(f"a message of more than {self._max_bytes} bytes")
            pieces.append(piece)
            window = (window + piece)[-_WINDOW_BYTES:]
            data = decoder.unused_data  # after a final block, which does not end a message (RFC 7692 §7.2.3.5)
        if self._keeps_window:
            self.state.window = window
        return b"".join(pieces)

    def _inflated_start(self, data: bytes) -> bytes:
        """Of the beginning of a message, what can be inflated."""
        window = self.state.window
        decoder = zlib.decompressobj(_RAW_DEFLATE, zdict=window) if window else zlib.decompressobj(_RAW_DEFLATE)
        try:
            return decoder.decompress(data, self._max_bytes)
        except zlib.error:
            return b""


def _header(data: bytes, at: int) -> tuple[int, int | None, bytes]:
    """(bytes of a frame's header, of its payload, mask); where the header is not complete, how many are needed of it to
    know more, and no length."""
    room = len(data) - at
    if room < 2:
        return 2, None, b""
    second = data[at + 1]
    length = second & 0x7F
    extended = 2 if length == 126 else 8 if length == 127 else 0
    header_bytes = 2 + extended + (4 if second & _MASKED else 0)
    if room < header_bytes:
        return header_bytes, None, b""
    if extended:
        length = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
    return header_bytes, length, data[at + 2 + extended : at + header_bytes]


def _unmasked(data: bytes, mask: bytes) -> bytes:
    """RFC 6455 §5.3: every byte XOR the mask's, in turn; done as one large number, which is fast."""
    if not mask or not data:
        return data
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
