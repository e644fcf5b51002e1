"""The end of a session file: which line is the last whole one, what is torn off behind it.

In: an open file. Out: its valid length, and the `seq` and link of its last event. Reads backwards in blocks, so that a
file of gigabytes costs no more than its last line. The torn bytes need no rescue: they were never acknowledged, and the
same event is handed over again.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from lunaroute.encryption.lines import open_line
from lunaroute.events.chain import link_of_line

from .packed import read_index
from .session_file import read_lines_from

_BLOCK_BYTES = 1 << 16

EMPTY_SEQ = -1
"""The `seq` before the first event."""


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    valid_bytes: int
    """Length up to and including the last newline that ends an event."""
    last_seq: int
    """EMPTY_SEQ when there is no event."""
    link: str | None
    """Of the last event's line; None when there is none."""


NO_TAIL = Tail(valid_bytes=0, last_seq=EMPTY_SEQ, link=None)
"""Of an empty file."""


class _Numbered(msgspec.Struct):
    seq: int


_decoder = msgspec.json.Decoder(_Numbered)


def find_tail(fd: int) -> Tail:
    """Where the whole lines of the file end. A last line that is not JSON counts as torn, like one without a
    newline: a power cut leaves holes of zero bytes behind. Raises OSError."""
    file = _Backwards(fd)
    end = file.rfind_newline(file.size_bytes) + 1
    while end:
        start = file.rfind_newline(end - 1) + 1
        try:
            line = open_line(file.read(start, end - 1))
            return Tail(valid_bytes=end, last_seq=_decoder.decode(line).seq, link=link_of_line(line))
        except ValueError:
            end = start
    return NO_TAIL


def last_line(fd: int) -> bytes:
    """The last whole line of the file, without its newline. Raises OSError."""
    file = _Backwards(fd)
    end = file.rfind_newline(file.size_bytes)
    return open_line(file.read(file.rfind_newline(end) + 1, end))


def last_seq_of_compressed(path: Path) -> int:
    """`seq` of the last event of a `.jsonl.zst`. One that somebody else compressed is read wholly: rare, only when old
    events come again."""
    index = read_index(path)
    start = 0 if index is None else index.plain_bytes - index.line_lengths[-1]
    last = b""
    for _, line in read_lines_from(path, start):
        last = line
    return _decoder.decode(last).seq if last else EMPTY_SEQ


class _Backwards:
    """A file read from its end: its last block once, which mostly has the last line whole."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size_bytes = os.fstat(fd).st_size
        self._start = max(0, self.size_bytes - _BLOCK_BYTES)
        self._block = _read(fd, self._start, self.size_bytes)

    def rfind_newline(self, end: int) -> int:
        """Offset of the last newline before `end`; -1 = none."""
        while end > 0:
            start = self._start if end > self._start else max(0, end - _BLOCK_BYTES)
            found = self.read(start, end).rfind(b"\n")
            if found >= 0:
                return start + found
            end = start
        return -1

    def read(self, start: int, end: int) -> bytes:
        if start >= self._start:
            return self._block[start - self._start : end - self._start]
        return _read(self._fd, start, end)


def _read(fd: int, start: int, end: int) -> bytes:
    """Bytes [start, end). A read may return less than asked, and never more than 2 GiB."""
    parts = []
    while start < end:
        part = os.pread(fd, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)
