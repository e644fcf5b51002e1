"""What a rule is, and the pieces that patterns are made of.

Patterns are for RE2, which takes time linear in the text whatever the pattern: no text can hold the recorder up. They
are applied to bytes as they were sent, escapes and all. So a word may begin behind `\\n` or `%20`, of which nothing
is part of it (`START`), and a quote may have backslashes in front, one more with each JSON within JSON (`QUOTE`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

Group = Literal["secrets", "personal", "custom"]

START = rb"(?:\b|\\[nrtbf]|\\u[0-9a-fA-F]{4}|%[0-9a-fA-F]{2})"
QUOTE = rb"""\\{0,15}["'`]"""
SPACE = rb"(?:[ \t]|\\+[nrt]|[\r\n])"


class Rule(msgspec.Struct, frozen=True):
    """One kind of thing that is not to be recorded."""

    name: str
    """As it stands in recordings and settings."""
    pattern: bytes
    """RE2; what its first group matches is replaced, or all of it where it has none."""
    group: Group = "secrets"
    accept: str | None = None
    """The check in `accept` that a match must pass as well."""
    shown_last: int = 4
    """How many of the last characters the mode `partial` leaves."""
