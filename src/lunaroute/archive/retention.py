"""Retention: what is deleted when, by three clocks and a limit of size.

In: the settings, the index, the time. Out: a plan of what is due, and, when it is carried out, sessions without bodies,
sessions that are gone, sums that are gone. Only what is over is touched, oldest end first; pinned sessions and those
with a tag that holds are not. Files go first and rows follow, each session by itself: whoever dies on the way leaves
sessions that are whole, or without bodies, or gone, and the next run finds what is left.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from lunaroute.config import Config, StorageConfig, seconds_of
from lunaroute.errors import LunarouteError
from lunaroute.events import Event
from lunaroute.events.bodies_deleted import without_bodies
from lunaroute.sinks.alone import rewriting_alone
from lunaroute.sinks.layout import compressed_path, existing_file, plain_path
from lunaroute.sinks.relinking import relinked
from lunaroute.sinks.removed import forget_removed_before, remember_removed, removed_sessions
from lunaroute.sinks.replacing import fsync_path, identity, put_in_place
from lunaroute.sinks.session_file import BadLine, SessionFileWriter, read_events, read_lines
from lunaroute.sinks.sqlite.forget import delete_sums_before, give_space_back, replace_session
from lunaroute.sinks.sqlite.migrations import check_version
from lunaroute.sinks.sqlite.store import open_live

from .compress import compress_sessions
from .pins import read_pins
from .push import push, verified
from .store import ArchiveStore

Progress = Callable[[int, int], bool]
"""(sessions done, sessions in all) → whether to go on."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A session of which something is to be deleted."""

    session_id: str
    completed_at: str
    what: str
    """`bodies` or `session`."""
    why: str
    """The setting that says so."""
    file_bytes: int


class PruneReport(msgspec.Struct, kw_only=True):
    """What was due, and what was done about it."""

    due: list[Due] = []
    bodies_deleted: int = 0
    sessions_deleted: int = 0
    sums_deleted: int = 0
    freed_bytes: int = 0
    """Of session files."""
    held_count: int = 0
    """Sessions that were due but for a pin or a tag."""
    left_alone: list[str] = []
    """What could not be done, one line each."""


def prune(
    config: Config, now: datetime, *, is_dry: bool = False, on_progress: Progress = lambda _done, _total: True
) -> PruneReport:
    """Delete what is due, or only say it; nothing without an index to ask. Raises OSError, sqlite3.Error."""
    report = PruneReport()
    if not config.database.exists():
        return report
    with closing(open_live(config.database)) as index:
        index.execute("PRAGMA secure_delete = ON")  # a deleted row is not to be read in the file's free pages
        check_version(index)
        report.due = _due(config, index, now, report)
        if is_dry:
            return report
        proven = _proven(config, report)
        removed = {one.session_id for one in removed_sessions(config.sessions_dir)}
        for done, one in enumerate(report.due):
            if not on_progress(done, len(report.due)):
                return report
            if proven is not None and one.session_id not in proven:
                report.left_alone.append(f"{one.session_id}: it is not in the archive as it is here")
                continue
            try:
                with rewriting_alone(config.sessions_dir):
                    _carry_out(config.sessions_dir, index, one, removed, report)
            except (OSError, ValueError, sqlite3.Error, LunarouteError) as error:
                report.left_alone.append(f"{one.session_id}: {error}")
        on_progress(len(report.due), len(report.due))
        _delete_sums(config, index, now, report)
        if report.due or report.sums_deleted:
            give_space_back(index)
    return report


def _proven(config: Config, report: PruneReport) -> set[str] | None:
    """Of what is due, the sessions that the archive has, pushed now where they were not, and each read back from there;
    None where there is no archive."""
    if config.archive.url is None or not report.due:
        return None
    due = {one.session_id for one in report.due}
    compress_sessions(config.sessions_dir, due, lambda _done, _total: True)
    store = ArchiveStore(config.archive.url)
    report.left_alone += push(store, config.sessions_dir, only=due).left_alone
    return verified(store, config.sessions_dir, due)


def _due(config: Config, index: sqlite3.Connection, now: datetime, report: PruneReport) -> list[Due]:
    storage = config.storage
    held = read_pins(config.sessions_dir) | _tagged(index, storage.hold_tags)
    ended = index.execute(
        "SELECT session_id, completed_at, bodies_deleted FROM sessions WHERE completed_at IS NOT NULL"
        " ORDER BY completed_at, session_id"
    ).fetchall()
    sizes = {session_id: _file_bytes(config.sessions_dir, session_id) for session_id, _, _ in ended}
    reasons = _reasons(storage, ended, sizes, now, held)
    report.held_count = sum(session_id in held for session_id in reasons)
    return [
        Due(session_id=session_id, completed_at=at, what=what, why=why, file_bytes=sizes[session_id])
        for session_id, at, _ in ended
        for what, why in [reasons.get(session_id, ("", ""))]
        if what and session_id not in held
    ]


def _reasons(
    storage: StorageConfig,
    ended: list[tuple[str, str, int]],
    sizes: dict[str, int],
    now: datetime,
    held: set[str],
) -> dict[str, tuple[str, str]]:
    """session_id → (what, why), held ones included."""
    reasons: dict[str, tuple[str, str]] = {}
    for name, what in (("delete_bodies_after", "bodies"), ("delete_sessions_after", "session")):
        limit = _before(getattr(storage, name), now)
        for session_id, at, is_without_bodies in ended:
            if limit is not None and at <= limit and not (what == "bodies" and is_without_bodies):
                reasons[session_id] = (what, f"storage.{name}")
    total = sum(sizes.values()) - sum(sizes[session_id] for session_id in reasons.keys() - held)
    for session_id, _, is_without_bodies in ended:
        if not storage.max_bytes or total <= storage.max_bytes:
            break
        if session_id not in reasons and not is_without_bodies:
            reasons[session_id] = ("bodies", "storage.max_bytes")
            total -= 0 if session_id in held else sizes[session_id]
    return reasons


def _before(span: str, now: datetime) -> str | None:
    seconds = seconds_of(span)
    return None if seconds is None else f"{now - timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S.%f}"


def _tagged(index: sqlite3.Connection, tags: Iterable[str]) -> set[str]:
    return {
        session_id
        for tag in tags
        for (session_id,) in index.execute(
            "SELECT session_id FROM session_facets WHERE kind = 'tag' AND value = ?", (tag,)
        )
    }


def _file_bytes(sessions_dir: Path, session_id: str) -> int:
    path = existing_file(sessions_dir, session_id)
    return 0 if path is None else path.stat().st_size


def _carry_out(sessions_dir: Path, index: sqlite3.Connection, due: Due, removed: set[str], report: PruneReport) -> None:
    path = existing_file(sessions_dir, due.session_id)
    if due.what == "session":
        if path is not None and due.session_id not in removed:
            remember_removed(sessions_dir, due.session_id, _events(path))
        for one in (plain_path(sessions_dir, due.session_id), compressed_path(sessions_dir, due.session_id)):
            one.unlink(missing_ok=True)
        if path is not None:
            fsync_path(path.parent)
        replace_session(index, due.session_id, [])
        report.sessions_deleted += 1
        report.freed_bytes += due.file_bytes
        return
    if path is None:
        raise LunarouteError("its file is gone")
    _delete_bodies(path)
    replace_session(index, due.session_id, _events(path))
    report.bodies_deleted += 1
    report.freed_bytes += due.file_bytes - _file_bytes(sessions_dir, due.session_id)


def _delete_bodies(path: Path) -> None:
    before = identity(path)
    aside = path.with_name(f"{path.name}.bodiless")
    try:
        with SessionFileWriter(aside) as writer:
            for line in relinked(read_lines(path), lambda _number, line: without_bodies(line)):
                writer.write(line)
        put_in_place(aside, path, before)
    finally:
        aside.unlink(missing_ok=True)


def _events(path: Path) -> list[Event]:
    """Raises LunarouteError at a file that is not whole: its part of the sums could not be right."""
    bad: list[BadLine] = []
    events = list(read_events(path, bad.append))
    if bad:
        raise LunarouteError(str(bad[0]))
    return events


def _delete_sums(config: Config, index: sqlite3.Connection, now: datetime, report: PruneReport) -> None:
    limit = _before(config.storage.delete_sums_after, now)
    if limit is not None:
        with rewriting_alone(config.sessions_dir):
            forget_removed_before(config.sessions_dir, limit[:10])
            report.sums_deleted = delete_sums_before(index, limit[:10])
