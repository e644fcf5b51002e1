"""What a recording says of its redaction."""

from __future__ import annotations

import msgspec

from .settings import Mode


class Redaction(msgspec.Struct, frozen=True, kw_only=True):
    """Redaction was on when this was recorded; what it did. `body_sha256` and all sizes are of what is kept."""

    mode: Mode
    """What was put in the place of what was found."""
    counts: dict[str, int] = {}
    """What was replaced, by rule, in heads and body together."""
    original_size_bytes: int | None = None
    """Of the body as it was sent; null = the body was not changed."""
    original_hmac_sha256: str | None = None
    """HMAC-SHA-256 of the body as it was sent, hex, with a key of this home (see SECURITY.md)."""
    content_encoding_removed: str | None = None
    """The body came in this content coding; what is kept is without it."""
    withheld: str | None = None
    """Why the body, or the rest of it, could not be looked at and is not kept."""
