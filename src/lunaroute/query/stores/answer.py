"""[pure] What a statement has answered, as `sqlite3.Cursor` would hand it out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


class Rows:
    """All rows of an answer."""

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        self._rows = [tuple(row) for row in rows]

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)
