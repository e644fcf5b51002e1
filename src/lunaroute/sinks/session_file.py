"""Reading one session file, plain or compressed, and writing a whole one.

In: a path. Out: its whole lines, or its events, whichever of its two forms the file has by the time it is opened. A
last line without a newline is still being written and is left out. What is encrypted is read like the rest, and so
is written where there is a key. A line that is no event is handed to the caller as a
`BadLine`, and reading goes on after it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from lunaroute.encryption.blocks import open_stored
from lunaroute.encryption.lines import open_line, seal_line
from lunaroute.events import Event, decode_event

from .layout import COMPRESSED_SUFFIX, PLAIN_SUFFIX
from .packed import read_index, read_ranges
from .zstd import DAMAGE, READ_OPTIONS, zstd

_READ_BYTES = 1 << 18
"""At once: what is longer than the buffer is put together from pieces, and lines of agents are."""
_BUFFER_BYTES = 1 << 20


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that could not be read."""

    path: Path
    line_number: int
    """From 1, as editors count."""
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line_number}: {self.reason}"


def read_lines(path: Path, *, of: Collection[str] | None = None, is_tail_wanted: bool = False) -> Iterator[bytes]:
    """The file's whole lines without their newlines, decoded as a stream, and a last one without if it is wanted. `of`:
    those of these requests are enough, and a compressed file is not read for others; there may be others among them all
    the same. Raises OSError; DAMAGE where a compressed file is cut or damaged."""
    path = _present_form(path)
    index = read_index(path) if of is not None and path.suffix == ".zst" else None
    if index is not None and of is not None:
        yield from (line[:-1] for line in read_ranges(path, index, index.lines_of(of)))
        return
    with opened(path) as file:
        for line in file:
            if line.endswith(b"\n"):
                yield open_line(line[:-1])
            elif is_tail_wanted:
                yield open_line(line)


def read_lines_from(path: Path, start: int) -> Iterator[tuple[int, bytes]]:
    """(its length in the file, the line without its newline) of the whole lines from this byte of the plain file on.
    Raises what `read_lines` raises."""
    path = _present_form(path)
    index = read_index(path) if path.suffix == ".zst" else None
    if index is not None:
        yield from ((len(line), line[:-1]) for line in read_ranges(path, index, index.lines_from(start)))
        return
    with opened(path) as file:
        file.seek(start)  # in a compressed file without an index: by reading up to there
        yield from ((len(line), open_line(line[:-1])) for line in file if line.endswith(b"\n"))


def read_lines_backwards(path: Path) -> Iterator[bytes]:
    """The lines of a compressed file without their newlines, the last one first. Of one that has an index, no frame is
    read before its lines are wanted. Raises what `read_lines` raises."""
    index = read_index(path)
    if index is None:
        yield from list(read_lines(path))[::-1]
        return
    for lines in index.lines_by_frame()[::-1]:
        yield from [line[:-1] for line in read_ranges(path, index, lines)][::-1]


def read_events(path: Path, on_bad: Callable[[BadLine], None], *, of: Collection[str] | None = None) -> Iterator[Event]:
    """The file's events in order; what cannot be read goes to `on_bad`. `of` as in `read_lines`. Raises OSError if it
    cannot be opened."""
    return events_in(read_lines(path, of=of), path, on_bad)


def events_in(lines: Iterable[bytes | memoryview], path: Path, on_bad: Callable[[BadLine], None]) -> Iterator[Event]:
    """The events of the lines of this file; what is none, or cannot be read, goes to `on_bad`."""
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            try:
                event = decode_event(line)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                on_bad(BadLine(path=path, line_number=number, reason=str(error)))
            else:
                yield event
    except DAMAGE as error:
        on_bad(BadLine(path=path, line_number=number + 1, reason=f"compressed data is damaged: {error}"))


class SessionFileWriter:
    """A new file of whole lines, readable by its owner only; on disk when the block is left without an exception."""

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")

    def write(self, line: bytes) -> None:
        """Add a line, given without its newline."""
        self._file.write(seal_line(line))
        self._file.write(b"\n")

    def __enter__(self) -> SessionFileWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()


@contextmanager
def opened(path: Path, *, buffer_bytes: int = _READ_BYTES) -> Iterator[BinaryIO]:
    """The file, for reading, in whichever form it is, as if it were neither compressed nor sealed as a whole;
    `buffer_bytes` are read from the disk at once. Raises OSError."""
    try:
        file = open_stored(path, buffer_bytes=buffer_bytes)
    except FileNotFoundError:
        path = _present_form(path)
        file = open_stored(path, buffer_bytes=buffer_bytes)
    with file as stored:
        if path.suffix != ".zst":
            yield stored
            return
        with zstd.open(stored, "rb", options=READ_OPTIONS) as stream:
            yield cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, stream), _BUFFER_BYTES))


def _present_form(path: Path) -> Path:
    """The file may have been compressed since somebody found it."""
    if path.exists():
        return path
    if path.name.endswith(COMPRESSED_SUFFIX):
        other = path.with_name(path.name.removesuffix(COMPRESSED_SUFFIX) + PLAIN_SUFFIX)
    else:
        other = path.with_name(path.name.removesuffix(PLAIN_SUFFIX) + COMPRESSED_SUFFIX)
    return other if other.exists() else path
