"""What takes how much space below the home.

In: the home's folders. Out: bytes on disk, part by part; of the index also by table, each with its indexes. Of a large
index that takes seconds: every page is looked at.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import msgspec

from lunaroute.sinks.layout import COMPRESSED_SUFFIX, session_files


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Something that takes space."""

    name: str
    """`sessions, plain`, `sessions, compressed`, `index`, `index: TABLE`, `spool`, `recorder`."""
    items: int
    """Files; rows of a table."""
    disk_bytes: int
    bytes_per_exchange: float | None
    """None = nothing was recorded yet, or it does not grow with what is recorded."""


def storage(home: Path) -> list[Part]:
    """The parts, the index's tables right behind it, the largest first. Raises OSError, sqlite3.Error."""
    database = home / "sessions" / "sessions.db"
    exchanges, tables = _tables(database)
    plain: list[Path] = []
    packed: list[Path] = []
    for _, path in session_files(home / "sessions"):
        (packed if path.name.endswith(COMPRESSED_SUFFIX) else plain).append(path)
    index = [path for path in database.parent.glob(f"{database.name}*") if path.is_file()]

    def part(name: str, items: int, disk_bytes: int) -> Part:
        return Part(
            name=name,
            items=items,
            disk_bytes=disk_bytes,
            bytes_per_exchange=disk_bytes / exchanges if exchanges and name not in ("spool", "recorder") else None,
        )

    return [
        part("sessions, plain", len(plain), _disk_bytes(plain)),
        part("sessions, compressed", len(packed), _disk_bytes(packed)),
        part("index", len(index), _disk_bytes(index)),
        *(part(f"index: {name}", rows, size) for name, rows, size in tables),
        *(part(name, *_folder(home / name)) for name in ("spool", "recorder")),
    ]


def _tables(database: Path) -> tuple[int, list[tuple[str, int, int]]]:
    """(exchanges, [(table, rows, bytes with its indexes)]); no tables where this SQLite cannot tell."""
    if not database.exists():
        return 0, []
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)) as index:
        (exchanges,) = index.execute("SELECT count(*) FROM session_stats").fetchone()
        try:
            sizes: list[tuple[str, int]] = index.execute(
                "SELECT s.tbl_name, sum(d.pgsize) FROM dbstat d JOIN sqlite_schema s ON s.name = d.name"
                " WHERE d.aggregate = 1 GROUP BY s.tbl_name ORDER BY 2 DESC"
            ).fetchall()
        except sqlite3.OperationalError:
            return exchanges, []
        return exchanges, [(name, _rows(index, name), size) for name, size in sizes]


def _rows(index: sqlite3.Connection, table: str) -> int:
    (count,) = index.execute(f'SELECT count(*) FROM "{table}"').fetchone()
    return int(count)


def _folder(folder: Path) -> tuple[int, int]:
    found = [Path(where, name) for where, _, names in os.walk(folder) for name in names]
    return len(found), _disk_bytes(found)


def _disk_bytes(paths: Iterable[Path]) -> int:
    """What the file system gives out: whole blocks, and none for holes."""
    total = 0
    for path in paths:
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue  # compressed or given back meanwhile
    return total
