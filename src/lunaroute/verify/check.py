"""[io] All session files and the index: read once, compared, nothing changed.

In: the folder of the sessions. Out: a report with every problem, each with its place. The events that the files hold
are put into an index of their own on the way; the real one must look the same.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from lunaroute.errors import LunarouteError
from lunaroute.events import Event
from lunaroute.sinks.layout import COMPRESSED_SUFFIX, compressed_path, plain_path, session_files
from lunaroute.sinks.removed import add_removed_sums
from lunaroute.sinks.session_file import read_lines
from lunaroute.sinks.sqlite.migrations import check_version
from lunaroute.sinks.sqlite.scratch import open_scratch
from lunaroute.sinks.sqlite.store import write_events
from lunaroute.sinks.zstd import DAMAGE

from .index import compare_indexes
from .lines import ChainCheck, LinesCheck

_BATCH_EVENTS = 200
_PAUSES_S = (0.2, 1.0, 3.0)

Progress = Callable[[int, int], None]
"""(files done, files in all)."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a session's chain, when it was looked at."""

    session_id: str
    line_count: int
    link: str
    """Of that many lines, the last one's: it stands for all of them."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    path: str
    """The file; for the index, its own."""
    line_number: int | None
    """From 1; null where it is not about one line."""
    problem: str

    def __str__(self) -> str:
        place = self.path if self.line_number is None else f"{self.path}:{self.line_number}"
        return f"{place}: {self.problem}"


class Report(msgspec.Struct, kw_only=True):
    """What was read, and what was found."""

    session_count: int = 0
    open_count: int = 0
    """Sessions that are not over while a recorder runs."""
    line_count: int = 0
    problems: list[Problem] = []
    heads: list[Head] = []


def verify(sessions_dir: Path, database: Path, recorder_lock: Path, on_progress: Progress | None = None) -> Report:
    """Everything. Raises OSError, sqlite3.Error where it cannot be told."""
    report = Report()
    is_live = is_locked(recorder_lock)
    with tempfile.TemporaryDirectory(prefix="lunaroute-verify-") as folder:
        anew = Path(folder) / "anew.db"
        connection = open_scratch(anew, is_durable=False)
        try:
            add_removed_sums(connection, sessions_dir, {session_id for session_id, _ in session_files(sessions_dir)})
            open_sessions = _check_files(sessions_dir, connection, report, is_live, on_progress)
        finally:
            connection.close()
        report.open_count = len(open_sessions)
        _check_index(sessions_dir, database, anew, open_sessions, report, is_live)
    return report


def verify_chains(sessions_dir: Path, kept: Collection[Head] = (), on_progress: Progress | None = None) -> Report:
    """Only whether each line names the one before it, and whether the files still have the heads that were kept
    elsewhere. Raises OSError."""
    report = Report()
    wanted = {head.session_id: head for head in kept}
    files = list(session_files(sessions_dir))
    for done, (session_id, path) in enumerate(files):
        if on_progress is not None:
            on_progress(done, len(files))
        chain, head = ChainCheck(), wanted.pop(session_id, None)
        for line in _lines(path, report):
            problem = chain.add(line)
            if problem is not None:
                _note(report, path, chain.count, problem)
            if head is not None and chain.count == head.line_count and chain.head != head.link:
                _note(report, path, chain.count, "the file up to here is not the one whose head was kept")
        if head is not None and chain.count < head.line_count:
            _note(report, path, None, f"has {chain.count} lines; when its head was kept it had {head.line_count}")
        _count(report, session_id, chain)
    for session_id in wanted:
        _note(report, sessions_dir / session_id, None, "is gone, though its head was kept")
    return report


def is_locked(path: Path) -> bool:
    """Whether some process holds this lock."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


# ---- files ------------------------------------------------------------------------------------------------------


def _check_files(
    sessions_dir: Path,
    anew: sqlite3.Connection,
    report: Report,
    is_live: bool,
    on_progress: Progress | None,
) -> set[str]:
    """Check every file and put its events into `anew`; the sessions that are not over."""
    open_sessions = set()
    files = list(session_files(sessions_dir))
    for done, (session_id, path) in enumerate(files):
        if on_progress is not None:
            on_progress(done, len(files))
        if path not in (plain_path(sessions_dir, session_id), compressed_path(sessions_dir, session_id)):
            _note(report, path, None, "is not in the folder of its day")
        check = LinesCheck(session_id)
        _index(anew, _events(path, check, report), path, report)
        for line_number, text in check.problems:
            _note(report, path, line_number, text)
        if not check.is_completed and is_live:
            open_sessions.add(session_id)
        elif not check.is_completed:
            _note(
                report, path, None, "has no `completed`, and no recorder runs that could write it; the next start does"
            )
        elif _has_torn_end(path):
            _note(report, path, None, "has bytes behind its last line")
        _count(report, session_id, check.chain)
    return open_sessions


def _events(path: Path, check: LinesCheck, report: Report) -> Iterator[Event]:
    for line in _lines(path, report):
        event = check.add(line)
        if event is not None:
            yield event


def _lines(path: Path, report: Report) -> Iterator[bytes]:
    try:
        yield from read_lines(path)
    except DAMAGE as error:
        _note(report, path, None, f"compressed data is damaged: {error}")


def _index(anew: sqlite3.Connection, events: Iterator[Event], path: Path, report: Report) -> None:
    batch: list[Event] = []

    def flush() -> None:
        write_events(anew, batch, lambda event, why: _note(report, path, event.seq + 1, f"cannot be indexed: {why}"))
        batch.clear()

    for event in events:
        batch.append(event)
        if len(batch) >= _BATCH_EVENTS:
            flush()
    flush()


def _has_torn_end(path: Path) -> bool:
    if path.name.endswith(COMPRESSED_SUFFIX):
        return False
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


# ---- index ------------------------------------------------------------------------------------------------------


def _check_index(
    sessions_dir: Path, database: Path, anew: Path, open_sessions: set[str], report: Report, is_live: bool
) -> None:
    if not database.exists():
        if report.session_count:
            _note(report, database, None, "is missing; `lunaroute reindex` makes it anew")
        return
    try:
        _check_version(database)
        for text in _differences(sessions_dir, database, anew, open_sessions, report, is_live):
            _note(report, database, None, text)
    except (sqlite3.Error, LunarouteError) as error:
        _note(report, database, None, f"cannot be read: {error}")


def _differences(
    sessions_dir: Path, database: Path, anew: Path, open_sessions: set[str], report: Report, is_live: bool
) -> list[str]:
    """Of the index. A recorder writes files first, so while one runs it gets the time to follow."""
    for pause_s in _PAUSES_S if is_live else ():
        left_out = open_sessions | _begun_since(sessions_dir, report)
        texts = list(compare_indexes(database, anew, left_out, is_quiet=False))
        if not texts:
            return []
        time.sleep(pause_s)
    return texts if is_live else list(compare_indexes(database, anew, open_sessions, is_quiet=True))


def _check_version(database: Path) -> None:
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    try:
        check_version(connection)
    finally:
        connection.close()


def _begun_since(sessions_dir: Path, report: Report) -> set[str]:
    """Sessions that nobody had begun when the files were listed."""
    return {session_id for session_id, _ in session_files(sessions_dir)} - {head.session_id for head in report.heads}


# ---- the report -------------------------------------------------------------------------------------------------


def _count(report: Report, session_id: str, chain: ChainCheck) -> None:
    report.session_count += 1
    report.line_count += chain.count
    if chain.head is not None:
        report.heads.append(Head(session_id=session_id, line_count=chain.count, link=chain.head))


def _note(report: Report, path: Path, line_number: int | None, text: str) -> None:
    report.problems.append(Problem(path=str(path), line_number=line_number, problem=text))
