"""Sessions into the archive, proven there, and back.

In: compressed sessions, an archive. Out: objects whose bytes were read back and compared before any manifest names
them; and files that hold what their entry says before they take their place. A push goes on where another one was
interrupted: what the manifests do not name is put again, which changes nothing where it is there, and compared again.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from lunaroute.errors import LunarouteError
from lunaroute.events.chain import link_of_line
from lunaroute.sinks.layout import (
    COMPRESSED_SUFFIX,
    compressed_path,
    existing_file,
    make_private_dir,
    plain_path,
    session_files,
)
from lunaroute.sinks.packed import read_index, verify_packed
from lunaroute.sinks.replacing import fsync_path
from lunaroute.sinks.session_file import read_lines, read_lines_from

from .store import Archived, ArchiveStore, key_of

_AT_ONCE = 8
_BATCH = 64
"""A manifest is written after so many sessions: what an interruption repeats."""
_DELETED = b'"bodies_deleted":true'
_SHOWN = (
    *("started_at", "completed_at", "provider", "model_used", "client_name", "tags", "request_count", "total_tokens"),
    *("total_cost_usd", "first_text"),
)
_COPIES = 4
"""Nothing is written over: a damaged object stays, and a whole one is put beside it, so often."""

Progress = Callable[[int, int], bool]
"""(sessions done, sessions in all) → whether to go on."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class PushReport(msgspec.Struct, kw_only=True):
    pushed_count: int = 0
    pushed_bytes: int = 0
    known_count: int = 0
    """Sessions that were in the archive as they are here."""
    plain_count: int = 0
    """Sessions that are not compressed: not over, or not yet."""
    left_alone: list[str] = []
    """What could not be pushed, one line each."""


class VerifyReport(msgspec.Struct, kw_only=True):
    verified_count: int = 0
    verified_bytes: int = 0
    problems: list[str] = []
    """Objects that are missing, cannot be read, or say something else, one line each."""
    damaged_ids: list[str] = []
    """Their sessions."""


class PullReport(msgspec.Struct, kw_only=True):
    session_ids: list[str] = []
    """What is here now and was not before."""
    pulled_bytes: int = 0
    present_count: int = 0
    problems: list[str] = []


def push(
    store: ArchiveStore,
    sessions_dir: Path,
    *,
    only: Collection[str] | None = None,
    is_checked: bool = False,
    on_progress: Progress = lambda _done, _total: True,
) -> PushReport:
    """Push what is over and compressed and not there yet, as it is here; `is_checked`: what is there is read back too,
    and pushed again where it is damaged. Raises LunarouteError, OSError."""
    report = PushReport()
    known = store.entries() if only is None else store.entries_of(only)
    if is_checked:
        damaged = verify_archive(store, only=only).damaged_ids
        known = {session_id: entry for session_id, entry in known.items() if session_id not in damaged}
    rows = _rows(sessions_dir / "sessions.db", only)
    wanted = []
    for session_id, path in _files(sessions_dir, only):
        if not path.name.endswith(COMPRESSED_SUFFIX):
            report.plain_count += 1
        elif _is_news(path, known.get(session_id)):
            wanted.append((session_id, path))
        else:
            report.known_count += 1

    def one(item: tuple[str, Path]) -> Archived | str:
        try:
            return _push_one(store, *item, rows.get(item[0], {}))
        except (OSError, ValueError, LunarouteError) as error:
            return f"{item[0]}: {error}"

    for done, batch in _in_batches(one, wanted):
        entries = [entry for entry in batch if isinstance(entry, Archived)]
        report.left_alone += [problem for problem in batch if isinstance(problem, str)]
        store.sync()
        store.add_manifests(entries)
        report.pushed_count += len(entries)
        report.pushed_bytes += sum(entry.object_bytes for entry in entries)
        if not on_progress(done, len(wanted)):
            break
    return report


def verify_archive(
    store: ArchiveStore,
    *,
    only: Collection[str] | None = None,
    on_progress: Progress = lambda _done, _total: True,
) -> VerifyReport:
    """Read every object that the manifests name, and compare. Raises LunarouteError."""
    report = VerifyReport()
    entries = list((store.entries() if only is None else store.entries_of(only)).values())

    def one(entry: Archived) -> tuple[Archived, str | None]:
        return entry, _problem_there(store, entry)

    for done, batch in _in_batches(one, entries):
        good = [entry for entry, problem in batch if problem is None]
        report.problems += [f"{entry.key}: {problem}" for entry, problem in batch if problem is not None]
        report.damaged_ids += [entry.session_id for entry, problem in batch if problem is not None]
        report.verified_count += len(good)
        report.verified_bytes += sum(entry.object_bytes for entry in good)
        if not on_progress(done, len(entries)):
            break
    return report


def verified(store: ArchiveStore, sessions_dir: Path, session_ids: Collection[str]) -> set[str]:
    """Those of the sessions whose file here, or what it was before it lost its bodies, the archive has: read back from
    there and compared now. Raises LunarouteError."""
    good: set[str] = set()
    wanted = list(store.entries_of(session_ids).values())

    def one(entry: Archived) -> str | None:
        path = existing_file(sessions_dir, entry.session_id)
        if path is not None and _is_news(path, entry):
            return None
        return entry.session_id if _problem_there(store, entry) is None else None

    for _, batch in _in_batches(one, wanted):
        good.update(session_id for session_id in batch if session_id is not None)
    return good


def pull(
    store: ArchiveStore,
    sessions_dir: Path,
    *,
    only: Collection[str] | None = None,
    on_progress: Progress = lambda _done, _total: True,
) -> PullReport:
    """Fetch sessions that have no file here, or one without bodies. Raises LunarouteError."""
    report = PullReport()
    wanted = []
    for entry in (store.entries() if only is None else store.entries_of(only)).values():
        path = existing_file(sessions_dir, entry.session_id)
        if path is not None and not is_without_bodies(path):
            report.present_count += 1
        else:
            wanted.append(entry)

    def one(entry: Archived) -> Archived | str:
        try:
            fetch(store, entry, sessions_dir)
        except (OSError, ValueError, LunarouteError) as error:
            return f"{entry.session_id}: {error}"
        return entry

    for done, batch in _in_batches(one, wanted):
        pulled = [entry for entry in batch if isinstance(entry, Archived)]
        report.problems += [problem for problem in batch if isinstance(problem, str)]
        report.session_ids += [entry.session_id for entry in pulled]
        report.pulled_bytes += sum(entry.object_bytes for entry in pulled)
        if not on_progress(done, len(wanted)):
            break
    return report


def fetch(store: ArchiveStore, entry: Archived, sessions_dir: Path) -> Path:
    """Put the session's file into `sessions_dir`, compared with its entry. Raises OSError, LunarouteError."""
    data = store.get(entry.key)
    problem = _problem(data, entry)
    if data is None or problem is not None:
        raise LunarouteError(f"{entry.key} in the archive: {problem}")
    path = compressed_path(sessions_dir, entry.session_id)
    make_private_dir(path.parent)
    aside = path.with_name(f"{path.name}.pulled")
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if not verify_packed(aside, bytes.fromhex(entry.plain_sha256)):
            raise LunarouteError(f"{entry.key} in the archive does not hold the lines its manifest says")
        os.replace(aside, path)
        plain_path(sessions_dir, entry.session_id).unlink(missing_ok=True)  # one without bodies, which would count
        fsync_path(path.parent)
    finally:
        aside.unlink(missing_ok=True)
    return path


def is_without_bodies(path: Path) -> bool:
    """Whether retention has taken the bodies out of the file. Raises OSError."""
    for line in read_lines(path):
        if line.startswith(b'{"type":"request_recorded"'):
            return _DELETED in line[-2048:]
    return False


def _files(sessions_dir: Path, only: Collection[str] | None) -> Iterator[tuple[str, Path]]:
    if only is None:
        yield from session_files(sessions_dir)
        return
    for session_id in sorted(only):
        path = existing_file(sessions_dir, session_id)
        if path is not None:
            yield session_id, path


def _is_news(path: Path, entry: Archived | None) -> bool:
    """A file that lost its bodies is no news: the archive has it whole."""
    if entry is None:
        return True
    index = read_index(path)
    if index is not None and index.sha256.hex() == entry.plain_sha256:
        return False
    return not is_without_bodies(path)


def _push_one(store: ArchiveStore, session_id: str, path: Path, row: dict[str, Any]) -> Archived:
    index = read_index(path)
    if index is None or not verify_packed(path, index.sha256):
        raise LunarouteError(f"{path} is damaged, or was not compressed by lunaroute")
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    for copy in range(_COPIES):
        key = key_of(session_id, sha256, copy)
        store.put(key, data)
        if _gives_back(store, key, data):
            break
    else:
        raise LunarouteError(f"the archive does not give back what is written to {key}")
    *_, (_, last) = read_lines_from(path, index.plain_bytes - index.line_lengths[-1])
    return Archived(
        session_id=session_id,
        key=key,
        object_bytes=len(data),
        sha256=sha256,
        plain_bytes=index.plain_bytes,
        plain_sha256=index.sha256.hex(),
        head=link_of_line(last),
        pushed_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        **row,
    )


def _gives_back(store: ArchiveStore, key: str, data: bytes) -> bool:
    try:
        return store.get(key) == data
    except LunarouteError:  # a store that knows its object to be damaged
        return False


def _problem_there(store: ArchiveStore, entry: Archived) -> str | None:
    try:
        return _problem(store.get(entry.key), entry)
    except LunarouteError as error:
        return str(error)


def _problem(data: bytes | None, entry: Archived) -> str | None:
    if data is None:
        return "it is missing"
    return None if hashlib.sha256(data).hexdigest() == entry.sha256 else "it is not what was pushed"


def _rows(database: Path, only: Collection[str] | None) -> dict[str, dict[str, Any]]:
    """What the index knows of each session, for the manifests; nothing where there is none to ask."""
    if not database.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)) as index:
            asked = f"SELECT session_id, {', '.join(_SHOWN)} FROM sessions"
            if only is None:
                found = index.execute(asked).fetchall()
            else:
                one = f"{asked} WHERE session_id = ?"
                found = [row for session_id in only for row in index.execute(one, (session_id,))]
            return {row[0]: dict(zip(_SHOWN, row[1:], strict=True)) for row in found}
    except sqlite3.Error:
        return {}


def _in_batches(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[tuple[int, list[_Result]]]:
    """(items done, results) of one batch after the other, each done in parallel."""
    waiting = list(items)
    with ThreadPoolExecutor(_AT_ONCE, "archive") as threads:
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            yield start + len(batch), list(threads.map(work, batch))
