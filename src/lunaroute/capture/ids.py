"""Identifiers: UUIDv7 (RFC 9562 §5.7) made from given time and randomness, so that pure code can make them too."""

from __future__ import annotations

import hashlib


def uuid7(unix_ms: int, random_bits: bytes) -> str:
    """A UUIDv7 from Unix milliseconds and at least 10 random bytes, as lower-case hyphenated text."""
    tail = int.from_bytes(random_bits[:10], "big")
    value = (unix_ms & ((1 << 48) - 1)) << 80 | tail
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_uuid7(unix_ms: int, *parts: str) -> str:
    """A UUIDv7 whose random bits are a hash of `parts`: the same input gives the same id on every replay."""
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=10).digest()
    return uuid7(unix_ms, digest)
