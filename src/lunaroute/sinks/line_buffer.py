"""Lines of files in a buffer that is used over and over: none of them is copied, and no memory is asked for.

In: a file. Out: views of its whole lines, each good until the next one is wanted. A last line without a newline is
still being written, and left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator


class LineBuffer:
    """One for any number of files, read one after the other."""

    def __init__(self, first_bytes: int = 1 << 18) -> None:
        """It grows with the longest line."""
        self._buffer = bytearray(first_bytes)

    def lines_of(self, file: io.RawIOBase) -> Iterator[memoryview]:
        """The lines without their newlines. Raises what reading does."""
        start = searched = end = 0
        while True:
            buffer = self._buffer
            view = memoryview(buffer)
            newline = buffer.find(b"\n", searched, end)
            while newline >= 0:
                yield view[start:newline]
                start = newline + 1
                newline = buffer.find(b"\n", start, end)
            searched = end = self._to_front(start, end)
            start = 0
            count = file.readinto(memoryview(self._buffer)[end:])
            if not count:
                return
            end += count

    def _to_front(self, start: int, end: int) -> int:
        """Move the beginning of a line to the front, with as much room behind it; where it then ends."""
        length = end - start
        rest = memoryview(self._buffer)[start:end]
        if length > len(self._buffer) // 2:
            self._buffer = bytearray(2 * len(self._buffer))  # somebody may still look at the other one
        elif start == 0:
            return end
        memoryview(self._buffer)[:length] = rest
        return length
