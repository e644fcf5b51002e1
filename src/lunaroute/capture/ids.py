"""Identifiers: UUIDv7 (RFC 9562 §5.7) made from given time and randomness, so that pure code can make them too."""

from __future__ import annotations

import hashlib


def uuid7_bytes(unix_ms: int, random_bits: int) -> bytes:
    """A UUIDv7 from Unix milliseconds and 74 random bits, as 16 bytes."""
    high, low = random_bits >> 62 & 0xFFF, random_bits & 0x3FFFFFFFFFFFFFFF
    return (unix_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low).to_bytes(16, "big")


def uuid_text(value: bytes) -> str:
    """A UUID's 16 bytes as lower-case hyphenated text."""
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid7(unix_ms: int, random_bytes: bytes) -> str:
    """A UUIDv7 from Unix milliseconds and at least 10 random bytes, as text."""
    tail = int.from_bytes(random_bytes[:10], "big")
    # Of the 80 bits, those that a UUIDv7 has for itself (version and variant) are left out.
    return uuid_text(uuid7_bytes(unix_ms, (tail >> 64 & 0xFFF) << 62 | tail & 0x3FFFFFFFFFFFFFFF))


def own_call_id(request_id: str, number: int) -> str:
    """Names a tool call to which the provider gave no id: the how manieth it is in the response to this request."""
    return f"{request_id}#{number}"


def derived_uuid7(unix_ms: int, *parts: str) -> str:
    """A UUIDv7 whose random bits are a hash of `parts`: the same input gives the same id on every replay."""
    return uuid7(unix_ms, hashlib.blake2b("\0".join(parts).encode(), digest_size=10).digest())
