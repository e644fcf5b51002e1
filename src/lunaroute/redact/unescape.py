"""A text with its JSON escapes undone, and where each byte of it stood before."""

from __future__ import annotations

import re
from bisect import bisect_right

_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[\"\\/bfnrt])")
_ODD = re.compile(rb"\\(?:/|u00[2-7])")
"""Escapes of characters that words are made of; all others can only stand between words."""
_AROUND_BYTES = 1024
_LETTERS = {0x6E: b"\n", 0x72: b"\r", 0x74: b"\t", 0x62: b"\b", 0x66: b"\f"}


def has_odd_escapes(text: bytes) -> bool:
    """Whether a word may be written in a way that no pattern knows."""
    return b"\\" in text and _ODD.search(text) is not None


def odd_windows(text: bytes) -> list[tuple[int, int]]:
    """The surroundings of such escapes."""
    windows: list[tuple[int, int]] = []
    for match in _ODD.finditer(text):
        start, end = max(0, match.start() - _AROUND_BYTES), min(len(text), match.end() + _AROUND_BYTES)
        if windows and start <= windows[-1][1]:
            windows[-1] = (windows[-1][0], end)
        else:
            windows.append((start, end))
    return windows


class Unescaped:
    """One level of escapes undone."""

    def __init__(self, raw: bytes) -> None:
        self._raws: list[int] = []
        """Where in `raw` each piece begins; escapes and what is between them take turns."""
        self._starts: list[int] = []
        """Where it begins in `text`."""
        self._is_escape: list[bool] = []
        pieces: list[bytes] = []
        size = done = 0
        for match in _ESCAPE.finditer(raw):
            for begin, piece, is_escape in (
                (done, raw[done : match.start()], False),
                (match.start(), _meant(match[0]), True),
            ):
                if piece or is_escape:
                    self._raws.append(begin)
                    self._starts.append(size)
                    self._is_escape.append(is_escape)
                    pieces.append(piece)
                    size += len(piece)
            done = match.end()
        self._raws.append(done)
        self._starts.append(size)
        self._is_escape.append(False)
        pieces.append(raw[done:])
        self.text = b"".join(pieces)

    def raw_start(self, place: int) -> int:
        """Where in the raw text the byte at `place` is said, or the end where it is the end."""
        number = bisect_right(self._starts, place) - 1
        return self._raws[number] + (0 if self._is_escape[number] else place - self._starts[number])

    def raw_end(self, place: int) -> int:
        """Where in the raw text it is over what ends before `place`."""
        if place == 0:
            return self._raws[0]
        number = bisect_right(self._starts, place - 1) - 1
        if self._is_escape[number]:
            return self._raws[number + 1]
        return self._raws[number] + place - self._starts[number]


def _meant(escape: bytes) -> bytes:
    if escape[1] != 0x75:
        return _LETTERS.get(escape[1], escape[1:])
    code = int(escape[2:6], 16)
    if len(escape) == 12:
        code = 0x10000 + ((code - 0xD800) << 10) + (int(escape[8:12], 16) - 0xDC00)
    return b"?" if 0xD800 <= code < 0xE000 else chr(code).encode()
