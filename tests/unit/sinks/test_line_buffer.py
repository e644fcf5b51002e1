"""Lines come out of the buffer as they stand in the file, however it is read."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from lunaroute.sinks.line_buffer import LineBuffer


class _Slow(io.RawIOBase):
    """Gives so many bytes at a time, at most."""

    def __init__(self, data: bytes, most: int) -> None:
        self._rest = data
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._rest[: min(self._most, len(buffer))]
        buffer[: len(piece)] = piece
        self._rest = self._rest[len(piece) :]
        return len(piece)


_LINES = st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=8)


@given(_LINES, st.binary(max_size=20).filter(lambda line: b"\n" not in line), st.integers(1, 60), st.integers(2, 70))
def test_lines_are_those_of_the_file_without_a_torn_one(
    lines: list[bytes], torn: bytes, most: int, first_bytes: int
) -> None:
    buffer = LineBuffer(first_bytes)
    for _ in range(2):  # the second file finds what the first left behind
        data = b"".join(line + b"\n" for line in lines) + torn
        assert [bytes(line) for line in buffer.lines_of(_Slow(data, most))] == lines


def test_the_longest_line_of_all_fits() -> None:
    lines = [b"x" * length for length in (3_000_000, 1, 700_000)]
    data = b"\n".join([*lines, b""])
    assert [bytes(line) for line in LineBuffer().lines_of(_Slow(data, 50_000))] == lines
