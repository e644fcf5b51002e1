"""[pure] Lines and values that are sealed one by one, and so can be appended, cut off and read one by one.

    sealed line    "~" · base64 of sealed bytes (`keyring`), without padding; no line of JSON begins like that
    sealed value   "~" · sealed bytes; no value in MessagePack that is a list or a map begins like that

What is not sealed is given back as it is, so a file may have both.
"""

from __future__ import annotations

import binascii

from .keyring import DamagedError
from .keys import keyring

_MARK = b"~"


def seal_line(line: bytes) -> bytes:
    """A line without its newline → one to write; the same line where there is no key."""
    ring = keyring()
    if not ring.is_on:
        return line
    return _MARK + binascii.b2a_base64(ring.seal(line), newline=False).rstrip(b"=")


def is_sealed(line: bytes | memoryview) -> bool:
    """Whether `open_line` would give back another one."""
    return len(line) > 0 and line[0] == _MARK[0]


def open_line(line: bytes) -> bytes:
    """The line that was sealed. A damaged one is given back as it is: it is no event then. Raises NoKeyError."""
    if not line.startswith(_MARK):
        return line
    try:
        text = line[1:]
        return keyring().open(binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True))
    except (DamagedError, binascii.Error):
        return line


def seal_value(value: bytes) -> bytes:
    ring = keyring()
    return _MARK + ring.seal(value) if ring.is_on else value


def open_value(value: bytes) -> bytes:
    """Raises NoKeyError, DamagedError."""
    return keyring().open(value[1:]) if value.startswith(_MARK) else value
