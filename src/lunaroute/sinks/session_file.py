"""Reading one session file, plain or compressed, and writing a whole one.

In: a path. Out: its whole lines, or its events. A last line without a newline is still being written and is left
out. A line that is no event is handed to the caller as a `BadLine`, and reading goes on after it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from lunaroute.events import Event, decode_event

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL = 3
_WINDOW_LOG = 27
"""Every line of a session repeats the history; what it repeats may be up to 128 MB back."""
_WINDOW_LOG_MAX = 31
"""Accept every window a compressor may have chosen: whole sessions are packed with long ones."""


DAMAGED = (EOFError, zstd.ZstdError)
"""What reading a compressed file raises that is cut or damaged."""


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that could not be read."""

    path: Path
    line_number: int
    """From 1, as editors count."""
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line_number}: {self.reason}"


def read_lines(path: Path, *, is_tail_wanted: bool = False) -> Iterator[bytes]:
    """The file's whole lines without their newlines, decoded as a stream, and a last one without if it is wanted.
    Raises OSError; DAMAGED where a compressed file is cut or damaged."""
    with _open(path) as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line[:-1]
            elif is_tail_wanted:
                yield line


def _whole_lines(path: Path) -> Iterator[bytes]:
    """With their newlines."""
    with _open(path) as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def read_events(path: Path, on_bad: Callable[[BadLine], None]) -> Iterator[Event]:
    """The file's events in order; what cannot be read goes to `on_bad`. Raises OSError if it cannot be opened."""
    number = 0
    try:
        for number, line in enumerate(_whole_lines(path), start=1):
            try:
                event = decode_event(line)  # white space behind it does not matter, a copy without it would
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                on_bad(BadLine(path=path, line_number=number, reason=str(error)))
            else:
                yield event
    except DAMAGED as error:
        on_bad(BadLine(path=path, line_number=number + 1, reason=f"compressed data is damaged: {error}"))


class SessionFileWriter:
    """A new file of whole lines, readable by its owner only; on disk when the block is left without an exception."""

    def __init__(self, path: Path, *, is_compressed: bool) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._stream: BinaryIO = self._file
        if is_compressed:
            options = {
                int(zstd.CompressionParameter.compression_level): _LEVEL,
                int(zstd.CompressionParameter.enable_long_distance_matching): 1,
                int(zstd.CompressionParameter.window_log): _WINDOW_LOG,
            }
            self._stream = cast(BinaryIO, zstd.open(self._file, "wb", options=options))

    def write(self, line: bytes) -> None:
        """Add a line, given without its newline."""
        self._stream.write(line)
        self._stream.write(b"\n")

    def __enter__(self) -> SessionFileWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._stream is not self._file:
                self._stream.close()
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()


def _open(path: Path) -> BinaryIO:
    if path.suffix != ".zst":
        return path.open("rb")
    options = {int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG_MAX}
    return cast(BinaryIO, zstd.open(path, "rb", options=options))
