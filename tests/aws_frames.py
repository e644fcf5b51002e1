"""Frames of an AWS event stream, as Bedrock sends them: an implementation of its own, for the tests of ours."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any


def aws_frame(event_type: str, payload: Any, message_type: str = "event") -> bytes:
    """One frame; of an exception, `event_type` is its name."""
    kind = ":event-type" if message_type == "event" else ":exception-type"
    headers = _header(kind, event_type) + _header(":content-type", "application/json")
    headers += _header(":message-type", message_type)
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return frame + struct.pack(">I", zlib.crc32(frame))


def _header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
