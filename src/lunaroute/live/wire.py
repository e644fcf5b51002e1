"""[pure] What passes over the live socket: one JSON object a line.

    watcher → recorder    Hello, once
    recorder → watcher    Update*, the first one at once

An update says what changed since the one before, and of an exchange that is new to the watcher, all there is. So a
watcher that came late, or was slow, needs nothing but the next update.
"""

from __future__ import annotations

import msgspec

from lunaroute.dialects.so_far import PartKind

_RATE_FROM_MS = 250.0


class Hello(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a watcher wants."""

    with_exchanges: bool = True
    """What streams right now. Without: only where the feed ends, which costs the recorder nothing."""


class Delta(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a part of an answer got longer by."""

    key: str
    """Names the part within its exchange."""
    kind: PartKind
    name: str | None = None
    """Of the tool that is called."""
    at: int = 0
    """Characters of the part before this text."""
    text: str = ""


class InFlight(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An exchange that has not ended. Times are by the relay's clock, counts are what is known so far."""

    request_id: str
    session_id: str
    provider: str
    started_at: str
    """RFC 3339, UTC."""
    model: str | None = None
    thread_kind: str = "main"
    time_to_first_byte_ms: float | None = None
    """None = the provider has not said anything yet."""
    streaming_ms: float = 0.0
    """From its first byte to its newest one."""
    response_size_bytes: int = 0
    input_tokens: int | None = None
    """None = the provider has not said; most say it at the end."""
    output_tokens: int = 0
    output_is_estimated: bool = False
    """Counted from the length of the text, because the provider has said nothing, or less."""
    cost_usd: float | None = None
    """Of the tokens above: a lower bound where the input is not known. None = no price is known."""
    is_withheld: bool = False
    """Redaction is on, so texts are not shown before they are whole."""
    deltas: list[Delta] = []

    @property
    def tokens_per_second(self) -> float | None:
        """Of output, since its first byte; None = too early to tell."""
        return 1000 * self.output_tokens / self.streaming_ms if self.streaming_ms >= _RATE_FROM_MS else None


class Update(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is new."""

    feed_end: int = 0
    """Position after the last event of the feed; all before are in their files."""
    exchanges: list[InFlight] = []
    """Those that changed."""
    ended: list[str] = []
    """Request ids of those that are over; their events are in the feed."""


_encoder = msgspec.json.Encoder()
_updates = msgspec.json.Decoder(Update)
_hellos = msgspec.json.Decoder(Hello)


def encode(message: Hello | Update) -> bytes:
    """The message as a line."""
    return _encoder.encode(message) + b"\n"


def read_update(line: bytes) -> Update:
    """Raises ValueError."""
    return _updates.decode(line)


def read_hello(line: bytes) -> Hello:
    """Raises ValueError."""
    return _hellos.decode(line)
