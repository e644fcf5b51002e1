"""Connections to the index, and the transaction in which events become rows.

In: batches of events. Out: one transaction each. An event that cannot be stored is named to the caller and left
out; its neighbours are stored. Nothing else is ever half done.
"""

from __future__ import annotations

import operator
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from lunaroute.events import Event

from .batch import Batch
from .migrations import migrate

Rejected = Callable[[Event, str], None]
"""Told of an event that could not be stored, and why, before the transaction that leaves it out is committed."""

_LOCK_TIMEOUT_S = 30.0
_WAL_KEPT_BYTES = 64 * 1024 * 1024
_CHECKPOINT_PAGES = 4000
"""16 MB: at SQLite's own 1000, a busy recorder would spend its time in fsync."""

_EVENTS_KEPT = 500
"""As rows: those that are whole are written then."""

# What is wrong with the event rather than with the database: wrong types, numbers or texts SQLite cannot hold,
# ids that exist already.
_EVENT_FAULTS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    ValueError,
    TypeError,
    OverflowError,
)
_CORRUPT_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

# Of every value that is not exactly an int, float or str, Python's sqlite3 asks how it is to be adapted: its registry
# first, then two attributes that nobody has. A row has fifty values of these two types; what is registered is found.
sqlite3.register_adapter(type(None), {None: None}.get)
sqlite3.register_adapter(bool, operator.pos)


def open_live(path: Path) -> sqlite3.Connection:
    """The index, for writing while others read; created or migrated. Raises IndexTooNew, sqlite3.Error."""
    connection = connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def write_events(connection: sqlite3.Connection, events: Iterable[Event], on_rejected: Rejected) -> None:
    """Store what is not stored yet, in one transaction; none of the events is kept longer than it takes to make its
    rows. They are gone through a second time where one of them cannot be stored. Raises sqlite3.Error, having stored
    nothing."""
    try:
        in_transaction(connection, lambda: _write_together(connection, events))
    except _EVENT_FAULTS:
        # Rare, so the price of a savepoint for each event is paid only now.
        in_transaction(connection, lambda: _write_singly(connection, events, on_rejected))


def is_corrupt(error: sqlite3.Error) -> bool:
    """The file is damaged or no database at all; trying again cannot help."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _CORRUPT_CODES


def connect(path: Path) -> sqlite3.Connection:
    """A database of this program, readable by its owner only, as SQLite itself would have it. Raises sqlite3.Error."""
    if not path.exists():
        # SQLite would make it readable by all. Only when it is missing: closing a second descriptor of a database
        # would drop the locks this process holds on it.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    # Counts for a new file only: what is deleted later can be given back without writing all of it anew.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    return connection


def in_transaction(connection: sqlite3.Connection, work: Callable[[], None]) -> None:
    """All of the work or, when it raises, nothing. Raises sqlite3.Error, and what the work raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        work()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _write_together(connection: sqlite3.Connection, events: Iterable[Event]) -> None:
    batch = Batch(connection)
    for number, event in enumerate(events, start=1):
        batch.add(event)
        if number % _EVENTS_KEPT == 0:
            batch.flush_whole_rows()
    batch.flush()


def _write_singly(connection: sqlite3.Connection, events: Iterable[Event], on_rejected: Rejected) -> None:
    for event in events:
        try:
            _in_savepoint(connection, event, skip=False)
        except _EVENT_FAULTS as error:
            on_rejected(event, str(error) or type(error).__name__)
            _skip(connection, event)


def _skip(connection: sqlite3.Connection, event: Event) -> None:
    try:
        _in_savepoint(connection, event, skip=True)
    except _EVENT_FAULTS:
        # So broken that not even its session can be noted; it is rejected again if it comes again.
        return


def _in_savepoint(connection: sqlite3.Connection, event: Event, *, skip: bool) -> None:
    connection.execute("SAVEPOINT one_event")
    try:
        batch = Batch(connection)
        if skip:
            batch.skip(event)
        else:
            batch.add(event)
        batch.flush()
    except BaseException:
        connection.execute("ROLLBACK TO one_event")
        raise
    finally:
        connection.execute("RELEASE one_event")
