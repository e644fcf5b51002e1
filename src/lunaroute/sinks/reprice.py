"""The costs of finished sessions computed again, in their files and in the index.

In: the session files, prices. Out: the same files with other costs in them, where they differ, and the rows of the
index that follow from them. Only the costs, those of missed cache hits too, and `prev` behind a line that changed, are
others: all other bytes of every line stay what they are. A file is written beside the old one and takes its place in
one step; its rows follow in one transaction. Whatever was interrupted is made good by the next run, which finds what is
still different.

A session that is not over, in its file and in the index, is left alone: its lines and rows are the recorder's. So it is
safe while a server runs. Whoever rewrites finished files holds a lock on the folder of the sessions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from lunaroute.errors import LunarouteError
from lunaroute.events.figures import (
    Cost,
)
from lunaroute.events.repricing import Recost, SessionRepricer
from lunaroute.events.types import (
    Completed,
)
from lunaroute.pricing import PICODOLLARS, Pricer

from .alone import rewriting_alone
from .layout import session_files
from .relinking import relinked
from .replacing import identity, put_in_place
from .session_file import BadLine, SessionFileWriter, read_events, read_lines
from .sqlite.reprice import is_stale, reprice_rows
from .sqlite.store import open_live

Progress = Callable[[int, int], None]
"""(sessions done, sessions in all)."""


class ModelCosts(msgspec.Struct):
    """What the exchanges of one model cost, in picodollars, before and after."""

    exchanges: int = 0
    old: int = 0
    new: int = 0
    old_unpriced: int = 0
    new_unpriced: int = 0

    def take(self, other: ModelCosts) -> None:
        """Add another model's."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def add(self, old: Cost, new: Cost) -> None:
        """Take an exchange in."""
        self.exchanges += 1
        self.old += round((old.total_cost_usd or 0) * PICODOLLARS)
        self.new += round((new.total_cost_usd or 0) * PICODOLLARS)
        self.old_unpriced += old.unpriced_requests
        self.new_unpriced += new.unpriced_requests


class RepriceReport(msgspec.Struct, kw_only=True):
    """What was found, and changed unless it was only to be looked at."""

    session_count: int = 0
    """Finished sessions that were read."""
    changed_count: int = 0
    """Of these, whose file or rows had other costs."""
    live_count: int = 0
    """Sessions that are not over, and were left alone."""
    by_model: dict[tuple[str, str], ModelCosts] = {}
    """(provider, model) → its costs in the finished sessions."""
    left_alone: list[str] = []
    """Files that are not whole, one line each."""
    has_index: bool = True


def reprice(
    sessions_dir: Path, database: Path, pricer: Pricer, *, is_dry: bool = False, on_progress: Progress | None = None
) -> RepriceReport:
    """Compute all costs again. Raises LunarouteError when somebody else is at it, OSError, sqlite3.Error."""
    report = RepriceReport(has_index=database.exists())
    place = database.stat().st_ino if report.has_index else None
    with rewriting_alone(sessions_dir), closing(_open_index(database)) as index:
        finished = _finished(index)
        files = list(session_files(sessions_dir))
        for done, (session_id, path) in enumerate(files):
            if on_progress is not None:
                on_progress(done, len(files))
            if finished is not None and session_id not in finished:
                report.live_count += 1
            else:
                _reprice_session(path, index, pricer, report, is_dry=is_dry)
        if on_progress is not None:
            on_progress(len(files), len(files))
    if place is not None and not (database.exists() and database.stat().st_ino == place):
        raise LunarouteError(
            f"{database} was made anew meanwhile, from files half of which had other costs; run it again"
        )
    return report


def _reprice_session(
    path: Path, index: sqlite3.Connection, pricer: Pricer, report: RepriceReport, *, is_dry: bool
) -> None:
    before = identity(path)
    recosts, problem = _read(path, pricer)
    if problem is not None:
        report.left_alone.append(problem)
        return
    if not recosts or not isinstance(recosts[-1].event, Completed):
        report.live_count += 1
        return
    report.session_count += 1
    for recost in recosts[:-1]:
        key = (recost.provider, recost.model or "unknown")
        report.by_model.setdefault(key, ModelCosts()).add(recost.old, recost.new)
    changed = {recost.event.seq: recost for recost in recosts if recost.is_changed}
    has_stale_rows = report.has_index and is_stale(index, recosts)
    report.changed_count += bool(changed or has_stale_rows)
    if is_dry:
        return
    if changed:
        _rewrite(path, before, changed)
    if has_stale_rows or (changed and report.has_index):
        reprice_rows(index, recosts)


def _read(path: Path, pricer: Pricer) -> tuple[list[Recost], str | None]:
    """Every cost of the session; or why the file cannot be trusted to hold them all."""
    repricer = SessionRepricer(pricer)
    recosts: list[Recost] = []
    bad: list[BadLine] = []
    for seq, event in enumerate(read_events(path, bad.append)):
        if event.seq != seq and not bad:
            return [], f"{path}: event {seq} is missing"
        recost = repricer.add(event)
        if recost is not None:
            recosts.append(recost)
    return recosts, str(bad[0]) if bad else None


def _rewrite(path: Path, before: tuple[int, int, int], changed: dict[int, Recost]) -> None:
    """The file with other costs. Each line's number is its `seq`: that was looked at."""
    aside = path.with_name(f"{path.name}.repriced")
    try:
        with SessionFileWriter(aside) as writer:
            for line in relinked(read_lines(path), lambda seq, line: _recosted(line, changed.get(seq))):
                writer.write(line)
        put_in_place(aside, path, before)
    finally:
        aside.unlink(missing_ok=True)


def _recosted(line: bytes, recost: Recost | None) -> bytes:
    return line if recost is None else _with_cost(line, recost)


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def _with_cost(line: bytes, recost: Recost) -> bytes:
    """The line with other costs in it, and no other byte changed."""
    is_session = isinstance(recost.event, Completed)
    stats = "final_stats" if is_session else "stats"
    miss = ("cache_miss_cost_usd",) if is_session else ("cache_miss", "cost_usd")
    line = _replaced(line, (stats, "estimated_cost"), recost.new)
    return _replaced(line, (stats, "context", *miss), recost.new_miss_usd) if recost.has_misses else line


def _replaced(data: bytes | msgspec.Raw, path: tuple[str, ...], value: Cost | float | None) -> bytes:
    """The JSON object with another value at the end of the path."""
    fields, (name, *rest) = _fields.decode(data), path
    inner = _replaced(fields[name], tuple(rest), value) if rest else _encode(value)
    return _encode(fields | {name: msgspec.Raw(inner)})


def _open_index(database: Path) -> sqlite3.Connection:
    return open_live(database) if database.exists() else sqlite3.connect(":memory:")


def _finished(index: sqlite3.Connection) -> set[str] | None:
    """Sessions that are over in the index; None where there is no index to ask."""
    try:
        rows = index.execute("SELECT session_id FROM sessions WHERE completed_at IS NOT NULL")
    except sqlite3.OperationalError:
        return None
    return {session_id for (session_id,) in rows}
