"""The index made again from the session files.

In: the session files, plain and compressed. Out: a `sessions.db` with the same rows as the one that grew while
they were written. It is built beside the old one and takes its place in one step, so readers see the old one or
the new one; a running recorder notices and adds what was recorded in the meantime.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from lunaroute.errors import IndexTooNew, LunarouteError
from lunaroute.events import Event

from .collector import without_collector
from .layout import session_files
from .reading import Part, Reading
from .removed import add_removed_sums
from .replacing import fsync_path
from .session_file import BadLine
from .sqlite.migrations import is_outdated
from .sqlite.scratch import finish_scratch, open_scratch
from .sqlite.store import write_events

_UNFINISHED = ".unfinished"
_BATCH_EVENTS = 16_000
_BATCH_CHARS = 16_000_000


class ReindexReport(msgspec.Struct, kw_only=True):
    """What a re-index read."""

    session_count: int = 0
    event_count: int = 0
    bad_lines: list[BadLine] = []
    """Lines that are no events, in the order they were met."""
    rejected: list[str] = []
    """Events that the index could not hold: `session_id seq: reason`."""


Progress = Callable[[int, int], None]
"""(sessions done, sessions in all)."""


def reindex(sessions_dir: Path, database: Path, on_progress: Progress | None = None) -> ReindexReport:
    """Build the index anew and put it in the place of the old one, which need not exist. Raises LunarouteError when
    it is being built already, OSError, sqlite3.Error; the old index then is as it was.

    What was built when it is interrupted, even by kill -9, stays beside the old index, and the next time goes on
    from there: an event that is in already is passed over by its `seq`.
    """
    scratch = database.with_name(f"{database.name}{_UNFINISHED}")
    with _alone(scratch.with_name(f"{scratch.name}.lock")):
        files = list(session_files(sessions_dir))
        connection = _resume(scratch, dict(files))
        try:
            add_removed_sums(connection, sessions_dir, {session_id for session_id, _ in files})
            report = index_files(connection, _not_completed(connection, files), on_progress)
            finish_scratch(connection)
        finally:
            connection.close()
        fsync_path(scratch)
        _remove_journals(database)
        os.replace(scratch, database)
        _remove_journals(scratch)
        fsync_path(database.parent)
    return report


def catch_up(connection: sqlite3.Connection, sessions_dir: Path) -> ReindexReport:
    """Add what the files have and the index does not. Sessions that are completed in the index are not read."""
    return index_files(connection, _not_completed(connection, list(session_files(sessions_dir))), None)


def index_files(
    connection: sqlite3.Connection, files: list[tuple[str, Path]], on_progress: Progress | None
) -> ReindexReport:
    """Store the events of the files; known ones are passed over. Raises OSError, sqlite3.Error."""
    report = ReindexReport()

    def on_rejected(event: Event, reason: str) -> None:
        report.rejected.append(f"{event.session_id} {event.seq}: {reason}")

    def on_foreign(event: Event, path: Path) -> None:
        report.rejected.append(f"{path}: event {event.seq} belongs to session {event.session_id}")

    reading = Reading(files, report.bad_lines.append, on_foreign, on_progress or (lambda _done, _total: None))
    with without_collector(), closing(reading.events):
        while not reading.is_done:
            write_events(connection, Part(reading, _BATCH_EVENTS, _BATCH_CHARS), on_rejected)
            if reading.failure is not None:
                raise reading.failure
    report.session_count, report.event_count = len(files), reading.event_count
    return report


def _not_completed(connection: sqlite3.Connection, files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    done = {row[0] for row in connection.execute("SELECT session_id FROM sessions WHERE completed_at IS NOT NULL")}
    return [(session_id, path) for session_id, path in files if session_id not in done]


def _resume(scratch: Path, files: dict[str, Path]) -> sqlite3.Connection:
    """What an earlier attempt left, where it is of this program's tables and of files that are still there; else a
    new one."""
    written_ns = _last_written_ns(scratch)  # before it is opened, which takes back what was not committed
    try:
        connection = open_scratch(scratch)
        if not is_outdated(connection) and _is_of(connection, files, written_ns):
            return connection
        connection.close()
    except (sqlite3.DatabaseError, IndexTooNew):
        pass
    _remove_database(scratch)
    return open_scratch(scratch)


def _is_of(connection: sqlite3.Connection, files: dict[str, Path], written_ns: int) -> bool:
    """Whether its sessions have their files, and no file of a finished one was rewritten since."""
    for session_id, completed_at in connection.execute("SELECT session_id, completed_at FROM sessions"):
        path = files.get(session_id)
        if path is None or (completed_at is not None and path.stat().st_mtime_ns > written_ns):
            return False
    return True


def _last_written_ns(database: Path) -> int:
    return database.stat().st_mtime_ns if database.exists() else 0


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LunarouteError("the index is being built already") from None
        yield
        lock.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _remove_database(path: Path) -> None:
    path.unlink(missing_ok=True)
    _remove_journals(path)


def _remove_journals(path: Path) -> None:
    """A write-ahead log left behind would be played into whatever database is put beside it."""
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
