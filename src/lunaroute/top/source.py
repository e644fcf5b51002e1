"""What the screen shows, from the index and the feed; the live socket tells the rest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from lunaroute.config import Config
from lunaroute.events import Event
from lunaroute.query.feed import Feed
from lunaroute.query.filter import Filter, Flag
from lunaroute.query.index import open_index
from lunaroute.query.running import RunningTool, running_tools
from lunaroute.query.sessions import SessionSummary, list_sessions

_SESSIONS = 40
_FIRST_EVENTS = 50
_READ_EVENTS = 500


class Sessions(msgspec.Struct, frozen=True):
    """Those that have not ended, the newest first, and the tools that their clients run."""

    sessions: list[SessionSummary] = []
    tools: list[RunningTool] = []


class Source:
    """Reads in one thread at a time."""

    def __init__(self, config: Config) -> None:
        self._database = config.database
        self._feed = Feed(config.feed_dir, config.sessions_dir)
        self._epoch = ""
        self._position = 0
        self._index: sqlite3.Connection | None = None

    def sessions(self) -> Sessions:
        """Those of the last day. Raises LunarouteError, OSError, sqlite3.Error."""
        if self._index is None:
            self._index = open_index(self._database, is_shared=True)
        if self._index is None:
            return Sessions()
        wanted = Filter(conditions=(Flag(field="live", is_so=True),), since=datetime.now(UTC) - timedelta(days=1))
        found = list_sessions(self._index, wanted, limit=_SESSIONS).items
        return Sessions(found, running_tools(self._index, [one.session_id for one in found]) if found else [])

    def events(self) -> Iterator[tuple[Event, bool]]:
        """(event, whether it has just come) since the last time; at first the newest ones. Raises OSError."""
        extent = self._feed.extent()
        is_new = extent.epoch == self._epoch
        if not is_new or self._position < extent.first:
            self._epoch, self._position = extent.epoch, max(extent.first, extent.end - _FIRST_EVENTS)
        while self._position < extent.end:
            events, self._position = self._feed.read(self._position, _READ_EVENTS)
            for fed in events:
                try:
                    yield fed.event, is_new
                except (ValueError, RecursionError):
                    continue

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None
