"""Events as the lines of a session file: which of them are new to it, and their bytes, linked and sealed."""

from __future__ import annotations

import os

import msgspec

from lunaroute.encryption.keys import keyring
from lunaroute.encryption.lines import seal_line
from lunaroute.events.chain import link_of
from lunaroute.events.codec import encode_event
from lunaroute.events.types import Event

_WRITE_BYTES = 256 * 1024
"""Lines are gathered up to so much; a longer one is written at once, so that its memory is free for the next."""
_MOST_PIECES = 1024
"""What one writev takes (IOV_MAX of Linux and macOS)."""


def new_events(events: list[Event], last_seq: int) -> tuple[list[Event], list[tuple[int, int]]]:
    """The events that come after `last_seq`, and the (first, last) numbers of those that are missing between."""
    new: list[Event] = []
    missing: list[tuple[int, int]] = []
    for event in events:
        seq = event.seq
        if seq > last_seq + 1:
            missing.append((last_seq + 1, seq - 1))
        if seq > last_seq:
            new.append(event)
            last_seq = seq
    return new, missing


def write_lines(fd: int, events: list[Event], link: str | None) -> str | None:
    """Append the events as lines, the first of which names `link` as the line before it; the link of the last. Raises
    OSError, perhaps in the middle of a line."""
    is_sealed = keyring().is_on
    pieces: list[bytes] = []
    size_bytes = 0
    for event in events:
        line = encode_event(msgspec.structs.replace(event, prev=link))
        link = link_of(event, line)
        pieces.append(seal_line(line) if is_sealed else line)
        pieces.append(b"\n")
        size_bytes += len(line) + 1
        if size_bytes >= _WRITE_BYTES:
            _write_all(fd, pieces)
            pieces, size_bytes = [], 0
    if pieces:
        _write_all(fd, pieces)
    return link


def _write_all(fd: int, pieces: list[bytes]) -> None:
    # Joining long lines would cost more than writing them: the pages of the copy are touched for the first time.
    written = os.writev(fd, pieces) if len(pieces) <= _MOST_PIECES else 0
    if written < sum(map(len, pieces)):
        view = memoryview(b"".join(pieces))[written:]
        while view:
            written = os.write(fd, view)  # not in the slice, where mypyc would do it twice
            view = view[written:]
