"""The index made again from the session files.

In: the session files, plain and compressed. Out: a `sessions.db` with the same rows as the one that grew while
they were written. It is built beside the old one and takes its place in one step, so readers see the old one or
the new one; a running recorder notices and adds what was recorded in the meantime.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from lunaroute.errors import IndexTooNew, LunarouteError
from lunaroute.events import Event
from lunaroute.events.types import RequestRecorded, ResponseRecorded

from .collector import without_collector
from .layout import session_files
from .removed import add_removed_sums
from .replacing import fsync_path
from .session_file import BadLine, read_events
from .sqlite.migrations import is_outdated
from .sqlite.store import open_scratch, write_events

_UNFINISHED = ".unfinished"
_BATCH_EVENTS = 4000
_BATCH_BYTES = 16 * 1024 * 1024


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
            connection.execute("INSERT INTO text_search (text_search) VALUES ('optimize')")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
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

    with without_collector():
        for batch in _batches(_read_all(files, report, on_progress)):
            write_events(connection, batch, on_rejected)
            report.event_count += len(batch)
    return report


def _not_completed(connection: sqlite3.Connection, files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    done = {row[0] for row in connection.execute("SELECT session_id FROM sessions WHERE completed_at IS NOT NULL")}
    return [(session_id, path) for session_id, path in files if session_id not in done]


def _resume(scratch: Path, files: dict[str, Path]) -> sqlite3.Connection:
    """What an earlier attempt left, where it is of this program's tables and of files that are still there; else a
    new one."""
    written_ns = _last_written_ns(scratch)  # before it is opened, which touches its log
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
    parts = (database.with_name(database.name + suffix) for suffix in ("", "-wal"))
    return max((part.stat().st_mtime_ns for part in parts if part.exists()), default=0)


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


def _read_all(files: list[tuple[str, Path]], report: ReindexReport, on_progress: Progress | None) -> Iterator[Event]:
    for done, (session_id, path) in enumerate(files):
        if on_progress is not None:
            on_progress(done, len(files))
        for event in read_events(path, report.bad_lines.append):
            if event.session_id == session_id:
                yield event
            else:
                report.rejected.append(f"{path}: event {event.seq} belongs to session {event.session_id}")
        report.session_count += 1
    if on_progress is not None:
        on_progress(len(files), len(files))


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Bounded by bytes too: bodies of megabytes are normal."""
    batch: list[Event] = []
    size_bytes = 0
    for event in events:
        batch.append(event)
        size_bytes += _body_bytes(event)
        if len(batch) >= _BATCH_EVENTS or size_bytes >= _BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _body_bytes(event: Event) -> int:
    match event:
        case RequestRecorded():
            body_json, body = event.request_json, event.request_body
        case ResponseRecorded():
            body_json, body = event.response_json, event.response_body
        case _:
            return 0
    return memoryview(body_json).nbytes + (len(body.data) if body else 0)


def _remove_database(path: Path) -> None:
    path.unlink(missing_ok=True)
    _remove_journals(path)


def _remove_journals(path: Path) -> None:
    """A write-ahead log left behind would be played into whatever database is put beside it."""
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
