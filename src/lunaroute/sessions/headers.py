"""Header fields as text: bytes of a record in, names and values to look up out.

Nothing is lost on the way: HTTP header bytes are read as ISO 8859-1, which maps every byte to one character.
"""

from __future__ import annotations

from functools import lru_cache

from lunaroute.capture.records import split_headers


class HeaderTexts:
    """The fields of one message, decoded once and used by identity, client detection and event derivation.

    A plain class: compiled, its fields are read directly, and a message's headers are asked for some twenty names."""

    def __init__(self, fields: list[tuple[str, str, str]], first: dict[str, str]) -> None:
        self.fields = fields
        """(lower-case name, name as sent, value), in the order sent."""
        self._first = first
        """Lower-case name → value of the first field of that name."""

    def get(self, name: str) -> str | None:
        """The value of the first field with this lower-case name; None where there is none or it is empty."""
        return self._first.get(name) or None


NO_HEADERS = HeaderTexts([], {})


def header_texts(header_lines: bytes) -> HeaderTexts:
    """The fields of a message as text; `header_lines` as they stand in a record."""
    fields: list[tuple[str, str, str]] = []
    first: dict[str, str] = {}
    for line in header_lines.split(b"\r\n"):
        for field in _field(line):
            fields.append(field)
            first.setdefault(field[0], field[2])
    return HeaderTexts(fields, first)


@lru_cache(maxsize=1024)
def _field(line: bytes) -> tuple[tuple[str, str, str], ...]:
    """The field of a line, or none. Most lines come again with every exchange of a client."""
    return tuple(_texts(name.decode("latin-1"), value.decode("latin-1")) for name, value in split_headers(line))


def _texts(name: str, value: str) -> tuple[str, str, str]:
    return name.lower(), name, value
