"""Compressed session files: what is in a `.jsonl.zst`, and how it is made.

In: a whole plain file. Out: standard zstd frames that hold its bytes, and after them a skippable frame with a seek
index, which every zstd reader passes over:

    frame …  │ frame │ 0x184D2A5B, size │ index: MessagePack, compressed │ its size, "LunaSeek"
    whole lines, checksum │ skippable   │                                │ 4 + 8 bytes

Each line of an agent's session repeats the history of the line before, so the window spans several lines and a frame
many of them: a frame pays for its first line only. A frame can be read by itself, so an exchange costs the frame it
stands in and not the file. Window and frame grow with the longest line; no window is larger than the 128 MiB that
zstd's own tools take unasked.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from lunaroute.encryption.blocks import BlockWriter, open_stored
from lunaroute.encryption.keys import keyring
from lunaroute.encryption.lines import open_line

from .zstd import decompressor, zstd

_LEVEL = 3
_WINDOW_LOGS = (24, 27)
"""16 MiB: decompression stays within a processor's cache. More only where two lines are longer."""
_FRAME_BYTES = 64 << 20
_FRAME_LINES = 32
"""A frame holds so many of the longest line at least, else what is sent again would be paid again too often."""
_CHUNK_BYTES = 4 << 20
_SKIPPABLE_MAGIC = 0x184D2A5B
_SKIPPABLE = struct.Struct("<II")
_TRAILER = struct.Struct("<I8s")
_TRAILER_MAGIC = b"LunaSeek"
_LAST_INDEX_BYTES = 1 << 30

_TAIL = re.compile(rb'"request_id":"([0-9a-f-]{36})"(?:,"\w+":(?:"[^"\\]*"|\d+|null))*\}\Z')
"""Between the own fields of an event and the end of its line are texts and numbers only: nothing a body says can stand
there."""
_TAIL_BYTES = 512
_ID_BYTES = 16


class _Output(Protocol):
    def write(self, data: bytes, /) -> object: ...

    def tell(self) -> int: ...


class SeekIndex(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where the lines are. Offsets count bytes of the plain file, unless they say otherwise."""

    plain_bytes: int
    sha256: bytes
    """Of the plain file."""
    frame_offsets: list[int]
    """Where each frame begins in the compressed file."""
    frame_starts: list[int]
    """Where the lines of each frame begin."""
    line_lengths: list[int]
    """With their newlines, in order."""
    line_requests: list[int]
    """For each line the place of its request in `request_ids`."""
    request_ids: bytes
    """16 bytes each, in the order of their first lines."""

    def lines_of(self, request_ids: Collection[str]) -> list[tuple[int, int]]:
        """(start, length) of all lines of these requests, in order."""
        wanted = {self._place(request_id) for request_id in request_ids}
        places = zip(self.lines_from(0), self.line_requests, strict=True)
        return [place for place, request in places if request in wanted]

    def lines_from(self, first: int) -> list[tuple[int, int]]:
        """(start, length) of all lines that begin there or later."""
        starts = accumulate(self.line_lengths, initial=0)
        return [place for place in zip(starts, self.line_lengths, strict=False) if place[0] >= first]

    def lines_by_frame(self) -> list[list[tuple[int, int]]]:
        """(start, length) of the lines of each frame, in order."""
        frames: list[list[tuple[int, int]]] = [[] for _ in self.frame_starts]
        frame = 0
        for start, length in self.lines_from(0):
            while frame + 1 < len(frames) and start >= self.frame_starts[frame + 1]:
                frame += 1
            frames[frame].append((start, length))
        return frames

    def _place(self, request_id: str) -> int:
        wanted = _id_bytes(request_id.encode())
        starts = range(0, len(self.request_ids), _ID_BYTES)
        return next((at // _ID_BYTES for at in starts if self.request_ids[at : at + _ID_BYTES] == wanted), -1)


def pack(source: Path, target: Path) -> SeekIndex:
    """Write the bytes of `source`, which must be whole lines, compressed to `target`, which must not exist; on disk
    when this returns, and encrypted where there is a key. Raises OSError, ValueError where `source` is no file of whole
    lines."""
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file, _plain(source) as plain:
        out = BlockWriter(file) if keyring().is_on else file
        index = _write_frames(plain, out)
        _write_index(index, out)
        if isinstance(out, BlockWriter):
            out.finish()
        file.flush()
        os.fsync(file.fileno())
    return index


@contextmanager
def _plain(source: Path) -> Iterator[mmap.mmap]:
    """The lines of the file. What is encrypted stands in memory then, and nowhere else."""
    with source.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise ValueError(f"{source} is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stored:
            is_sealed = stored[:1] == b"~" or stored.find(b"\n~") >= 0
            if not is_sealed:
                yield stored
                return
        opened = mmap.mmap(-1, os.fstat(file.fileno()).st_size)  # sealed lines are longer than what is in them
        with opened:
            for line in file:
                opened.write(open_line(line[:-1]) + b"\n" if line.endswith(b"\n") else line)
            opened.resize(opened.tell())
            yield opened


def read_index(path: Path) -> SeekIndex | None:
    """None where the file has none: somebody else compressed it. Raises OSError."""
    with open_stored(path) as file:
        end = file.seek(0, os.SEEK_END)
        if end < _TRAILER.size:
            return None
        file.seek(end - _TRAILER.size)
        size, magic = _TRAILER.unpack(file.read(_TRAILER.size))
        start = end - _TRAILER.size - size
        if magic != _TRAILER_MAGIC or start < 0:
            return None
        file.seek(start)
        packed = file.read(size)
    try:
        return msgspec.msgpack.decode(decompressor().decompress(packed, _LAST_INDEX_BYTES), type=SeekIndex)
    except (zstd.ZstdError, msgspec.MsgspecError):
        return None


def read_ranges(path: Path, index: SeekIndex, ranges: list[tuple[int, int]]) -> Iterator[bytes]:
    """The plain bytes [start, start + length) of each range; ranges are in order and none crosses a frame. Raises
    OSError; EOFError or ZstdError where the file is cut or damaged."""
    with open_stored(path) as file:
        frame, reader = -1, None
        for start, length in ranges:
            place = _frame_of(index, start)
            if reader is None or place != frame:
                frame = place
                file.seek(index.frame_offsets[frame])
                reader = _FrameReader(file, index.frame_starts[frame])
            yield reader.read(start, length)


def verify_packed(path: Path, sha256: bytes) -> bool:
    """Whether the file, read again from its first byte to its last, holds the bytes with this hash. Raises OSError."""
    digest = hashlib.sha256()
    try:
        with open_stored(path) as file:
            if hasattr(os, "posix_fadvise"):  # from the disk, not from the memory it was written from
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            for chunk in plain_chunks(file):
                digest.update(chunk)
    except (EOFError, zstd.ZstdError):
        return False
    return digest.digest() == sha256


def plain_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Everything that is in the frames, in pieces of some MiB. Raises OSError; EOFError or ZstdError where the file is
    cut or damaged."""
    reader = decompressor()
    data = file.read(_CHUNK_BYTES)
    while data or not reader.needs_input:
        chunk = reader.decompress(data, _CHUNK_BYTES)
        if chunk:
            yield chunk
        data = b""
        if reader.eof:
            data = reader.unused_data or file.read(_CHUNK_BYTES)
            if not data:
                return
            reader = decompressor()
        elif reader.needs_input:
            data = file.read(_CHUNK_BYTES)
    raise EOFError("the file ends in the middle of a frame")


class _FrameReader:
    """Reads one frame forwards; what lies before a range is decompressed and let go."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._chunks = plain_chunks(file)
        self._chunk = b""
        self._start = start
        """Of `_chunk`."""

    def read(self, start: int, length: int) -> bytes:
        parts = []
        while length:
            if start >= self._start + len(self._chunk):
                self._start += len(self._chunk)
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise EOFError("the index names what the file does not have")
                self._chunk = chunk
                continue
            part = self._chunk[start - self._start : start - self._start + length]
            parts.append(part)
            start, length = start + len(part), length - len(part)
        return b"".join(parts)


def _frame_of(index: SeekIndex, start: int) -> int:
    return max(place for place, frame_start in enumerate(index.frame_starts) if frame_start <= start)


def _write_frames(plain: mmap.mmap, out: _Output) -> SeekIndex:
    lengths, requests, ids = _lines(plain)
    longest = max(lengths)
    window_log = min(max((2 * longest).bit_length(), _WINDOW_LOGS[0]), _WINDOW_LOGS[1])
    options = {
        int(zstd.CompressionParameter.compression_level): _LEVEL,
        int(zstd.CompressionParameter.checksum_flag): 1,
        # Finds what a level's own tables have forgotten: histories with images in them.
        int(zstd.CompressionParameter.enable_long_distance_matching): 1,
        int(zstd.CompressionParameter.window_log): window_log,
    }
    digest = hashlib.sha256()
    offsets, starts = [], []
    for start, end in _frames(lengths, max(_FRAME_BYTES, _FRAME_LINES * longest)):
        offsets.append(out.tell())
        starts.append(start)
        _write_frame(plain, start, end, options, digest.update, out)
    return SeekIndex(
        plain_bytes=len(plain),
        sha256=digest.digest(),
        frame_offsets=offsets,
        frame_starts=starts,
        line_lengths=lengths,
        line_requests=requests,
        request_ids=b"".join(ids),
    )


def _write_frame(
    plain: mmap.mmap, start: int, end: int, options: dict[int, int], hashed: Callable[[bytes], None], out: _Output
) -> None:
    compressor = zstd.ZstdCompressor(options=options)
    compressor.set_pledged_input_size(end - start)
    for at in range(start, end, _CHUNK_BYTES):
        chunk = plain[at : min(at + _CHUNK_BYTES, end)]
        hashed(chunk)
        out.write(compressor.compress(chunk))
    out.write(compressor.flush(zstd.ZstdCompressor.FLUSH_FRAME))


def _lines(plain: mmap.mmap) -> tuple[list[int], list[int], list[bytes]]:
    """(length, number of the request) of each line, and the requests' ids. Raises ValueError at a torn last line."""
    lengths, requests = [], []
    places: dict[bytes, int] = {}
    start = 0
    while start < len(plain):
        end = plain.find(b"\n", start) + 1
        if end == 0:
            raise ValueError("the last line is not whole")
        lengths.append(end - start)
        requests.append(places.setdefault(_request_id(plain, start, end - 1), len(places)))
        start = end
    return lengths, requests, list(places)


class _Head(msgspec.Struct):
    request_id: str


_head = msgspec.json.Decoder(_Head)


def _request_id(plain: mmap.mmap, start: int, end: int) -> bytes:
    found = _TAIL.search(plain[max(start, end - _TAIL_BYTES) : end])
    if found is not None:
        return _id_bytes(found[1])
    try:
        return _id_bytes(_head.decode(plain[start:end]).request_id.encode())
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return bytes(_ID_BYTES)  # no event: it belongs to no request


def _id_bytes(request_id: bytes) -> bytes:
    try:
        found = bytes.fromhex(request_id.replace(b"-", b"").decode("ascii"))
    except ValueError:
        return bytes(_ID_BYTES)
    return found if len(found) == _ID_BYTES else bytes(_ID_BYTES)


def _frames(lengths: list[int], frame_bytes: int) -> Iterator[tuple[int, int]]:
    """(start, end) of whole lines that go into one frame."""
    start = end = 0
    for length in lengths:
        if end > start and end + length - start > frame_bytes:
            yield start, end
            start = end
        end += length
    yield start, end


def _write_index(index: SeekIndex, out: _Output) -> None:
    packed = zstd.compress(msgspec.msgpack.encode(index), level=19)
    out.write(_SKIPPABLE.pack(_SKIPPABLE_MAGIC, len(packed) + _TRAILER.size))
    out.write(packed)
    out.write(_TRAILER.pack(len(packed), _TRAILER_MAGIC))
