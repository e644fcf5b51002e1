"""The index as a sink: it heals itself.

In: batches of events. Out: `sessions.db`, live. A missing or damaged file is built again from the session files; a
file that was replaced while we were writing (`lunaroute reindex`, or somebody deleted it) is noticed before the
next batch, and what was recorded in between is read from the files. So the session files must be written first:
the recorder lists the JSONL sink before this one.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from lunaroute.events import Event
from lunaroute.sinks.layout import make_private_dir, session_files
from lunaroute.sinks.reindex import ReindexReport, catch_up, reindex

from .migrations import is_outdated
from .statements import SELECT_ANSWERED
from .store import Rejected, is_corrupt, open_live, write_events

_FileId = tuple[int, int]


class SqliteSink:
    """Sink over one `sessions.db`."""

    name = "sqlite"

    def __init__(self, database: Path, sessions_dir: Path, on_rejected: Rejected | None = None) -> None:
        """`on_rejected` is told of each event that could not be stored; by default a line on stderr says so."""
        self._database = database
        self._sessions_dir = sessions_dir
        self._on_rejected = on_rejected or _say_rejected
        self._connection: sqlite3.Connection | None = None
        self._file_id: _FileId | None = None
        self._is_dirty = False

    def open(self) -> None:
        """Open, create, migrate or rebuild the index. Raises IndexTooNew, OSError, sqlite3.Error."""
        make_private_dir(self._database.parent)
        if self._is_missing() and any(session_files(self._sessions_dir)):
            self._rebuild("is missing")
        try:
            self._connection = open_live(self._database)
            if is_outdated(self._connection):
                self.close()
                self._rebuild("has the tables of another lunaroute")
                self._connection = open_live(self._database)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            self._replace_corrupt(error)
        self._file_id = _file_id(self._database)

    def write_batch(self, events: Sequence[Event]) -> None:
        """One transaction. Raises sqlite3.Error or OSError, having stored nothing."""
        if self._is_replaced():
            self._reopen()
        try:
            write_events(self._opened(), events, self._on_rejected)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            self._replace_corrupt(error)
            write_events(self._opened(), events, self._on_rejected)
        self._is_dirty = True

    def catch_up(self) -> None:
        """Read from the session files what they have and the index does not. Raises sqlite3.Error, OSError."""
        _report(catch_up(self._opened(), self._sessions_dir))

    def answered(self, request_ids: Iterable[str]) -> dict[str, str]:
        """{request_id: the first request_id of its session} of those whose response is in the index."""
        found = (self._opened().execute(SELECT_ANSWERED, (request_id,)).fetchone() for request_id in request_ids)
        return dict(row for row in found if row is not None)

    def sync(self) -> None:
        """fsync the write-ahead log; what has left it for the database is synced by SQLite itself."""
        if not self._is_dirty:
            return
        log = self._database.with_name(self._database.name + "-wal")
        if log.exists():
            # SQLite holds no locks on the log, so closing a second descriptor of it is harmless.
            fd = os.open(log, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        self._is_dirty = False

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._file_id = self._connection, None, None
        if connection is not None:
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the sink is not open")
        return self._connection

    def _is_missing(self) -> bool:
        return not self._database.exists() or self._database.stat().st_size == 0

    def _is_replaced(self) -> bool:
        """Or lost: the last attempt to open it again failed."""
        return self._connection is None or _file_id(self._database) != self._file_id

    def _reopen(self) -> None:
        self.close()
        self.open()
        try:
            self.catch_up()
        except BaseException:
            # Half caught up is not caught up: begin again with the next batch.
            self.close()
            raise

    def _replace_corrupt(self, error: sqlite3.DatabaseError) -> None:
        self.close()
        aside = _free_name(self._database)
        # Its log and index of the log go with it: they would damage the new one.
        for suffix in ("", "-wal", "-shm"):
            source = self._database.with_name(self._database.name + suffix)
            if source.exists():
                source.replace(aside.with_name(aside.name + suffix))
        self._rebuild(f"is damaged ({error}); it is kept as {aside.name}")
        self._connection = open_live(self._database)
        self._file_id = _file_id(self._database)

    def _rebuild(self, why: str) -> None:
        _say(f"{self._database} {why}: building it again from the session files")
        _report(reindex(self._sessions_dir, self._database))


def _file_id(path: Path) -> _FileId | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _free_name(database: Path) -> Path:
    number = 1
    while (aside := database.with_name(f"{database.name}.corrupt-{number}")).exists():
        number += 1
    return aside


def _report(report: ReindexReport) -> None:
    for bad in report.bad_lines:
        _say(f"passed over {bad}")
    for rejected in report.rejected:
        _say(f"not indexed: {rejected}")


def _say_rejected(event: Event, reason: str) -> None:
    _say(f"not indexed: {event.session_id} {event.seq}: {reason}")


def _say(line: str) -> None:
    print(f"lunaroute: {line}", file=sys.stderr)
