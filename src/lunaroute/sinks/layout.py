"""Where session files are (CONTRACT §1): `<UTC date of the session's start>/<session_id>.jsonl` or `.jsonl.zst`.

In: a session id. Out: the one path its file can have. A session id is a UUIDv7 whose milliseconds are the start
of the session's first exchange, so the folder follows from the id alone, for ever, without an index.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

PLAIN_SUFFIX = ".jsonl"
COMPRESSED_SUFFIX = ".jsonl.zst"

_SESSION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_DAY_MS = 86_400_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def start_ms(session_id: str) -> int:
    """Unix milliseconds of the session's start. Raises ValueError on anything but a lower-case UUIDv7: an id
    becomes a file name, so nothing else may pass."""
    if not _SESSION_ID.fullmatch(session_id):
        raise ValueError(f"not a session id: {session_id[:60]!r}")
    return int(session_id[:8] + session_id[9:13], 16)


def day_of(session_id: str) -> str:
    """`YYYY-MM-DD`, UTC, of the session's start. Raises ValueError."""
    try:
        return _date(start_ms(session_id) // _DAY_MS)
    except OverflowError as error:
        raise ValueError(f"not a session id: {session_id!r} ({error})") from error


@lru_cache(maxsize=256)
def _date(days: int) -> str:
    """`YYYY-MM-DD` of so many days after 1970-01-01."""
    return (date(1970, 1, 1) + timedelta(days)).isoformat()


def plain_path(sessions_dir: Path, session_id: str) -> Path:
    """Where the session's file is, or will be, while it is not compressed. Raises ValueError."""
    return sessions_dir.joinpath(day_of(session_id), session_id + PLAIN_SUFFIX)


def compressed_path(sessions_dir: Path, session_id: str) -> Path:
    """Where the session's file is after compression. Raises ValueError."""
    return sessions_dir.joinpath(day_of(session_id), session_id + COMPRESSED_SUFFIX)


def existing_file(sessions_dir: Path, session_id: str) -> Path | None:
    """The session's file, compressed or not; None = there is none. Raises ValueError.

    Where both exist the plain one counts: compression was interrupted before it removed its source."""
    plain = plain_path(sessions_dir, session_id)
    if plain.is_file():
        return plain
    compressed = compressed_path(sessions_dir, session_id)
    return compressed if compressed.is_file() else None


def session_files(sessions_dir: Path) -> Iterator[tuple[str, Path]]:
    """(session_id, path) of every recorded session, oldest first, one path per session."""
    found: dict[str, Path] = {}
    for path in _candidates(sessions_dir):
        name = path.name
        suffix = COMPRESSED_SUFFIX if name.endswith(COMPRESSED_SUFFIX) else PLAIN_SUFFIX
        session_id = name.removesuffix(suffix)
        if name != session_id and _SESSION_ID.fullmatch(session_id):
            if session_id in found and suffix == COMPRESSED_SUFFIX:
                continue
            found[session_id] = path
    yield from sorted(found.items())


def _candidates(sessions_dir: Path) -> Iterator[Path]:
    if not sessions_dir.is_dir():
        return
    with os.scandir(sessions_dir) as folders:
        days = [Path(entry.path) for entry in folders if _DAY.fullmatch(entry.name) and entry.is_dir()]
    for day in days:
        with os.scandir(day) as files:
            yield from [Path(entry.path) for entry in files if entry.is_file()]


def make_private_dir(path: Path) -> None:
    """Create the directory, and missing parents, readable by their owner only. Existing ones stay as they are."""
    if path.is_dir():
        return
    make_private_dir(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
