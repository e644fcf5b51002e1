"""Header fields as text."""

from __future__ import annotations

import msgspec


class HeaderTexts(msgspec.Struct, frozen=True, gc=False):
    """The fields of one message, decoded once and used by identity, client detection and event derivation."""

    fields: list[tuple[str, str, str]]
    """(lower-case name, name as sent, value), in the order sent."""
    first: dict[str, str]
    """Lower-case name → value of the first field of that name."""

    def get(self, name: str) -> str | None:
        """The value of the first field with this lower-case name; None where there is none or it is empty."""
        return self.first.get(name) or None


NO_HEADERS = HeaderTexts([], {})
