"""What is redacted, and how: given from outside, checked here."""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

import msgspec

Mode = Literal["mask", "remove", "tokenize", "partial"]

GROUPS = ("secrets", "personal")


class RedactionSettings(msgspec.Struct, frozen=True, kw_only=True):
    mode: Mode = "mask"
    rules: tuple[str, ...] = GROUPS
    """Groups or single rules by their names."""
    patterns: dict[str, str] = {}
    """The user's own: name → pattern (RE2)."""
    key: bytes = b""
    """Of this home: what tokens and the hash of an original are made with."""


def redaction_key(salt: bytes) -> bytes:
    """The key of a home with this salt: another one than that of its fingerprints."""
    return hmac.new(salt, b"lunaroute redaction", hashlib.sha256).digest()
