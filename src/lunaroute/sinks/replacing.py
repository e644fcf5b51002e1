"""A finished session file replaced by another one, or by its compressed form; at no moment it is not there.

In: files written aside and synced. Out: the same name, or the same session's other name. Whoever dies on the way leaves
the old file, the new one, or both; where both are there the plain one counts (`layout`), and it is never removed before
what replaces it was read again from the disk and found to hold the same.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from lunaroute.errors import LunarouteError

from .layout import COMPRESSED_SUFFIX, PLAIN_SUFFIX
from .packed import pack, verify_packed
from .tail import find_tail, last_line

_ASIDE = ".new"

Identity = tuple[int, int, int]


class _Kind(msgspec.Struct):
    type: str


_kind = msgspec.json.Decoder(_Kind)


def identity(path: Path) -> Identity:
    """Changes when anybody writes to the file or replaces it. Raises OSError."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def put_in_place(aside: Path, path: Path, before: Identity) -> None:
    """The plain file `aside`, on disk already, takes the place of `path`, in the form that `path` has. Raises OSError,
    LunarouteError where `path` is no longer what it was before, or the disk gives back something else."""
    packed = None
    if path.suffix == ".zst":
        packed = _packed_aside(aside, path)
    try:
        if identity(path) != before:
            raise LunarouteError(f"{path} was changed by somebody else; run it again")
        os.replace(packed or aside, path)
    finally:
        if packed is not None:
            packed.unlink(missing_ok=True)
    fsync_path(path.parent)


def is_finished(path: Path) -> bool:
    """Whether a plain file ends with a whole `completed` line: nobody will write to it again. Raises OSError."""
    with path.open("rb") as file:
        tail = find_tail(file.fileno())
        if tail.valid_bytes == 0 or tail.valid_bytes != os.fstat(file.fileno()).st_size:
            return False
        return _kind.decode(last_line(file.fileno())).type == "completed"


def compress_file(path: Path) -> Path:
    """Replace a finished plain file by its compressed form; the new path. Times of the file stay as they are. Raises
    OSError, ValueError where it is not whole lines, LunarouteError where somebody changed it meanwhile or the disk
    gives back something else; the plain file then is as it was."""
    before = identity(path)
    target = path.with_name(path.name.removesuffix(PLAIN_SUFFIX) + COMPRESSED_SUFFIX)
    aside = _packed_aside(path, target)
    try:
        if identity(path) != before:
            raise LunarouteError(f"{path} was changed by somebody else")
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    fsync_path(path.parent)
    path.unlink()
    fsync_path(path.parent)
    return target


def fsync_path(path: Path) -> None:
    """Make a file, or what was renamed or removed in a folder, survive a power loss. Raises OSError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _packed_aside(source: Path, target: Path) -> Path:
    """The compressed form of `source` beside `target`, on disk, and read again from there."""
    aside = target.with_name(target.name + _ASIDE)
    aside.unlink(missing_ok=True)  # of somebody who died on the way
    try:
        status = source.stat()
        index = pack(source, aside)
        os.utime(aside, ns=(status.st_atime_ns, status.st_mtime_ns))
        if not verify_packed(aside, index.sha256):
            raise LunarouteError(f"{aside} does not hold what was written to it; {source} stays as it is")
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return aside
