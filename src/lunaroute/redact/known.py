"""What was found in texts lately, so that a re-sent history is looked through once.

Clients send the whole conversation with every request: of 400 KB, a few are new. Where a text begins like one that was
looked through before, what was found in the part they share is known. Whether a text was found here changes nothing but
the time it takes.

Nothing that is found has a double quote in it, and what a pattern wants in front of that is bounded (`surroundings`).
So a double quote divides: what ends before it does not depend on what follows, and what begins behind it depends on at
most `_BEFORE_BYTES` in front of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from .finder import Finding

_SMALLEST_BYTES = 16_384
"""Below this, looking through costs no more than comparing."""
_MOST_TEXTS = 32
_MOST_BYTES = 24 << 20
_PIECE_BYTES = 65_536
_PROBE_BYTES = 256
_MARGIN_BYTES = 4096
"""The shared part counts only as far as this before its end."""
_BEFORE_BYTES = 1024


class _Known(msgspec.Struct, frozen=True, eq=False):
    text: bytes
    found: list[Finding]


class Shared(msgspec.Struct, frozen=True):
    """What is known of a text that begins like another one."""

    found: list[Finding]
    """All that is in it before `end`."""
    start: int
    """Where to begin looking for the rest."""
    end: int
    """Of what is found from `start` on, that counts which ends behind this."""


class KnownTexts:
    """Those looked through last."""

    def __init__(self) -> None:
        self._texts: list[_Known] = []
        self._size_bytes = 0

    def shared(self, text: bytes) -> Shared | None:
        """None where nothing is known, or too little to be worth it."""
        if len(text) < _SMALLEST_BYTES:
            return None
        known, length = self._likeliest(text)
        if known is None:
            return None
        end = text.rfind(b'"', 0, length - _MARGIN_BYTES)
        if end < _SMALLEST_BYTES:
            return None
        self._texts.remove(known)
        self._size_bytes -= len(known.text)
        return Shared([one for one in known.found if one.end <= end], max(0, end - _BEFORE_BYTES), end)

    def keep(self, text: bytes, found: list[Finding]) -> None:
        """Remember it, and forget the oldest ones."""
        if not _SMALLEST_BYTES <= len(text) <= _MOST_BYTES // 4:
            return
        self._texts.append(_Known(text, found))
        self._size_bytes += len(text)
        while len(self._texts) > _MOST_TEXTS or self._size_bytes > _MOST_BYTES:
            self._size_bytes -= len(self._texts.pop(0).text)

    def _likeliest(self, text: bytes) -> tuple[_Known | None, int]:
        best, most = None, _SMALLEST_BYTES
        for known in reversed(self._texts):
            middle = min(len(known.text), len(text)) // 2
            probes = ((0, _PROBE_BYTES), (middle, middle + _PROBE_BYTES))
            if all(known.text[start:end] == text[start:end] for start, end in probes):
                length = _common_bytes(known.text, text)
                if length > most:
                    best, most = known, length
                if length == len(known.text) or 2 * length > len(text) + most:
                    break
        return best, most


def _common_bytes(one: bytes, other: bytes) -> int:
    """How long the beginning is that both share."""
    size = min(len(one), len(other))
    start = 0
    while start < size and one[start : start + _PIECE_BYTES] == other[start : start + _PIECE_BYTES]:
        start += _PIECE_BYTES
    if start >= size:
        return size
    end = min(size, start + _PIECE_BYTES)
    while start < end:  # the first difference is in [start, end), or there is none before `end`
        middle = (start + end + 1) // 2
        if one[start:middle] == other[start:middle]:
            start = middle
        else:
            end = middle - 1
    return start
