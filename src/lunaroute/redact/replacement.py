"""What is put in the place of what was found. ASCII without quotes and backslashes, so that it can stand anywhere."""

from __future__ import annotations

import hashlib
import hmac

from .settings import Mode

_SHOWABLE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_LONG_ENOUGH = 4
"""So many times as long as what is shown of it must a value be."""
_TOKEN_DIGITS = 16


def replacement_of(mode: Mode, key: bytes, rule: str, value: bytes, shown_last: int) -> bytes:
    """For a value that `rule` found."""
    if mode == "remove":
        return b""
    if mode == "tokenize":
        return f"[redacted:{rule}:{_token(key, rule, value)}]".encode()
    if mode == "partial" and shown_last:
        tail = bytes(byte for byte in value if byte in _SHOWABLE)
        if len(tail) >= shown_last * _LONG_ENOUGH or (rule in ("ssn", "phone") and len(tail) > 2 * shown_last):
            return f"[redacted:{rule}:*{tail[-shown_last:].decode()}]".encode()
    return f"[redacted:{rule}]".encode()


def keyed_hash(key: bytes, data: bytes) -> str:
    """HMAC-SHA-256, hex. Without a key, the hash of a body that is known but for a few digits would tell them."""
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def _token(key: bytes, rule: str, value: bytes) -> str:
    return keyed_hash(key, rule.encode() + b"\0" + value)[:_TOKEN_DIGITS]
