"""Events as JSON lines.

`encode_event` never emits a newline: strings are escaped by the encoder, and whoever fills a `Raw` field
(`events.bodies`) has made sure that it holds none.
"""

from __future__ import annotations

import msgspec

from .types import Event

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """One event as one line of JSON, without the newline."""
    return _encoder.encode(event)


def decode_event(line: bytes | memoryview) -> Event:
    """The event of one line. Raises msgspec.DecodeError (a ValueError) on anything else."""
    return _decoder.decode(line)
