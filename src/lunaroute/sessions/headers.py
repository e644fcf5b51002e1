"""Header fields as text: bytes of a record in, names and values to look up out.

Nothing is lost on the way: HTTP header bytes are read as ISO 8859-1, which maps every byte to one character.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from lunaroute.capture.records import split_headers


class HeaderTexts(msgspec.Struct, frozen=True):
    """The fields of one message, decoded once and used by identity, client detection and event derivation."""

    fields: list[tuple[str, str, str]]
    """(lower-case name, name as sent, value), in the order sent."""
    first: dict[str, str]
    """Lower-case name → value of the first field of that name."""

    def get(self, name: str) -> str | None:
        """The value of the first field with this lower-case name; None where there is none or it is empty."""
        return self.first.get(name) or None


NO_HEADERS = HeaderTexts([], {})


def header_texts(header_lines: bytes) -> HeaderTexts:
    """The fields of a message as text; `header_lines` as they stand in a record."""
    fields: list[tuple[str, str, str]] = []
    for line in header_lines.split(b"\r\n"):
        fields += _field(line)
    return HeaderTexts(fields, {lower: value for lower, _, value in reversed(fields)})


@lru_cache(maxsize=1024)
def _field(line: bytes) -> tuple[tuple[str, str, str], ...]:
    """The field of a line, or none. Most lines come again with every exchange of a client."""
    return tuple(_texts(name.decode("latin-1"), value.decode("latin-1")) for name, value in split_headers(line))


def _texts(name: str, value: str) -> tuple[str, str, str]:
    return name.lower(), name, value
