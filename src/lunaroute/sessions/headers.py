"""Header fields as text: bytes of a record in, names and values to look up out.

Nothing is lost on the way: HTTP header bytes are read as ISO 8859-1, which maps every byte to one character.
"""

from __future__ import annotations

import msgspec

from lunaroute.capture.records import HeaderList


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


def header_texts(headers: HeaderList) -> HeaderTexts:
    """The fields of a message as text."""
    fields: list[tuple[str, str, str]] = []
    first: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1")
        lower = name.lower()
        value = raw_value.decode("latin-1")
        fields.append((lower, name, value))
        first.setdefault(lower, value)
    return HeaderTexts(fields, first)
