"""An index to write to and to look at."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lunaroute.events import Event
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import SessionScript

Rows = list[tuple[Any, ...]]


class Index:
    """A sink over a folder, the events it rejected, and a second pair of eyes on the database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "sessions.db"
        self.rejected: list[tuple[str, int, str]] = []
        self.sink = SqliteSink(self.database, folder, self._reject)
        self.sink.open()

    def _reject(self, event: Event, reason: str) -> None:
        self.rejected.append((event.session_id, event.seq, reason))

    def write(self, *scripts: SessionScript) -> None:
        self.sink.write_batch([event for script in scripts for event in script.events])

    def query(self, sql: str, *parameters: Any) -> Rows:
        connection = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)
        try:
            return list(connection.execute(sql, parameters))
        finally:
            connection.close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    opened = Index(tmp_path / "sessions")
    yield opened
    opened.sink.close()
