"""A home with recordings of the last minutes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from lunaroute.alerts.readings import Sources
from lunaroute.events.totals import Totals
from lunaroute.query.index import open_index
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import SessionScript


class Home:
    """Sessions are added to it; it is asked at `now`, noon of a day."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = datetime(2026, 11, 22, 12, 0).astimezone()

    def add(self, *scripts: SessionScript) -> None:
        sessions_dir = self.path / "sessions"
        for sink in (JsonlSink(sessions_dir), SqliteSink(sessions_dir / "sessions.db", sessions_dir)):
            sink.open()
            sink.write_batch([event for script in scripts for event in script.events])
            sink.close()

    def sources(self, totals: Totals | None = None) -> Sources:
        index = open_index(self.path / "sessions" / "sessions.db")
        return Sources(now=self.now, index=index, recorder=None, totals=totals or Totals())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)
