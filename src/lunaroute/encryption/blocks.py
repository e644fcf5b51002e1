"""[io] A whole file sealed in blocks, so that any part of it can be read without the rest.

    file     "LRSEAL1\\0" · 4 bytes key id · 16 random bytes · blocks
    block    ciphertext of 65,536 bytes, the last one of what is left, perhaps of none · 16 bytes tag

A block's nonce is the file's random bytes and the block's number, eight bytes with the highest bit set in the last one:
so none can be moved or taken out, and a file that is cut off shows it.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO, cast

from .keyring import KEY_ID_BYTES, TAG_BYTES, DamagedError
from .keys import keyring

MAGIC = b"LRSEAL1\0"
BLOCK_BYTES = 1 << 16
_RANDOM_BYTES = 16
_HEADER_BYTES = len(MAGIC) + KEY_ID_BYTES + _RANDOM_BYTES
_LAST = 1 << 63
_SEALED_BYTES = BLOCK_BYTES + TAG_BYTES


class BlockWriter:
    """write … write, finish. Over a new file, open for writing."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ring = keyring()
        self._prefix = self._ring.random(_RANDOM_BYTES)
        self._number = 0
        self._rest = bytearray()
        file.write(MAGIC + self._ring.first_id + self._prefix)

    def write(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) > BLOCK_BYTES:  # the last block is only known when there is no more
            self._put(bytes(self._rest[:BLOCK_BYTES]), 0)
            del self._rest[:BLOCK_BYTES]

    def tell(self) -> int:
        """Bytes that were given."""
        return self._number * BLOCK_BYTES + len(self._rest)

    def finish(self) -> None:
        self._put(bytes(self._rest), _LAST)

    def _put(self, data: bytes, flag: int) -> None:
        self._file.write(self._ring.seal_with(_nonce(self._prefix, self._number | flag), data))
        self._number += 1


def is_sealed(path: Path) -> bool:
    """Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def open_stored(path: Path, *, buffer_bytes: int = io.DEFAULT_BUFFER_SIZE) -> BinaryIO:
    """The file, for reading, as if it were not sealed where it is; `buffer_bytes` are read at once. Raises OSError,
    NoKeyError; reading raises EOFError where a block is damaged or missing."""
    file = path.open("rb", buffering=buffer_bytes)
    try:
        start = file.read(_HEADER_BYTES)
        if start[: len(MAGIC)] != MAGIC:
            file.seek(0)
            return file
        return cast(BinaryIO, io.BufferedReader(_BlockReader(file, start), BLOCK_BYTES))
    except BaseException:
        file.close()
        raise


class _BlockReader(io.RawIOBase):
    def __init__(self, file: BinaryIO, header: bytes) -> None:
        self._file = file
        self._ring = keyring()
        self._key = self._ring.key_of(header[len(MAGIC) : len(MAGIC) + KEY_ID_BYTES])
        self._prefix = header[len(MAGIC) + KEY_ID_BYTES :]
        body = os.fstat(file.fileno()).st_size - _HEADER_BYTES
        self._block_count = max(1, -(-body // _SEALED_BYTES))
        self._size = max(0, body - self._block_count * TAG_BYTES)
        self._at = 0
        self._number, self._block = -1, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number, start = divmod(self._at, BLOCK_BYTES)
        if number >= self._block_count:
            return 0
        if number != self._number:
            self._block, self._number = self._read_block(number), number
        part = self._block[start : start + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _read_block(self, number: int) -> bytes:
        self._file.seek(_HEADER_BYTES + number * _SEALED_BYTES)
        flag = _LAST if number == self._block_count - 1 else 0
        try:
            data = self._file.read(_SEALED_BYTES)
            return self._ring.open_with(self._key, _nonce(self._prefix, number | flag), data)
        except DamagedError as error:
            raise EOFError(f"block {number} is damaged, or what follows it is missing") from error

    def close(self) -> None:
        self._file.close()
        super().close()


def _nonce(prefix: bytes, number: int) -> bytes:
    return prefix + number.to_bytes(8, "big")
