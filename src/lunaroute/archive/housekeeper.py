"""The housekeeper's process: does what is to be done with sessions that are over, beside the recorder and after it.

In: the settings, and the end of a pipe whose other end the supervisor holds. Out: compressed files, what is due pushed
to the archive and deleted here, and `housekeeper.json`. It runs with the lowest priority and is stopped by being
killed: every step of its work leaves the sessions whole.
"""

from __future__ import annotations

import os
import select
import sqlite3
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from lunaroute.config import Config, seconds_of
from lunaroute.errors import LunarouteError

from .compress import CompressReport, compress_all, compress_sessions
from .ended import ended_between
from .pusher import Pusher
from .retention import PruneReport, prune

_LOOK_S = 2.0
_SCAN_S = 3600.0
_OVERLAP = timedelta(minutes=1)
"""The index may learn of an end somewhat later than it was."""


def run_housekeeper(config: Config, alive_fd: int) -> None:
    """Until the end of `alive_fd`."""
    Housekeeper(config, alive_fd).run()


class Housekeeper:
    """Every two seconds it asks the index what has ended; every hour, and first of all, it looks at all files."""

    def __init__(self, config: Config, alive_fd: int) -> None:
        self._config = config
        self._watched = [alive_fd] if alive_fd >= 0 else []
        self._compress_after_s = seconds_of(config.storage.compress_after)
        self._scan_at_s = 0.0
        self._asked_until = datetime.now(UTC)
        self._pusher = Pusher(config, _say, self._is_to_go_on)

    def run(self) -> None:
        while self._goes_on(0):
            if time.monotonic() >= self._scan_at_s:
                self._scan_at_s = time.monotonic() + _SCAN_S
                self._scan()
            else:
                self._look()
            self._pusher.look()
            if not self._goes_on(_LOOK_S):
                return

    def _goes_on(self, wait_s: float) -> bool:
        """False when the supervisor is gone."""
        return not select.select(self._watched, [], [], wait_s)[0]

    def _scan(self) -> None:
        self._prune()
        if self._compress_after_s is None:
            return
        self._asked_until = datetime.now(UTC) - timedelta(seconds=self._compress_after_s)
        sessions_dir = self._config.sessions_dir
        _say_problems(compress_all(sessions_dir, min_age_s=self._compress_after_s, on_progress=self._is_to_go_on))

    def _prune(self) -> None:
        try:
            report = prune(self._config, datetime.now(UTC), on_progress=self._is_to_go_on)
        except (OSError, sqlite3.Error, LunarouteError) as error:
            _say(f"nothing deleted: {error}")
            return
        for problem in report.left_alone:
            _say(f"not deleted: {problem}")
        write_report(self._config.run_dir, report)

    def _look(self) -> None:
        if self._compress_after_s is None:
            return
        until = datetime.now(UTC) - timedelta(seconds=self._compress_after_s)
        ended = ended_between(self._config.database, self._asked_until - _OVERLAP, until)
        self._asked_until = until
        _say_problems(compress_sessions(self._config.sessions_dir, ended, self._is_to_go_on))

    def _is_to_go_on(self, _done: int, _total: int) -> bool:
        return self._goes_on(0)


class HousekeeperInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`housekeeper.json`, for those who show how the server does: the last look at what is to be deleted."""

    updated_at: float
    """Unix seconds."""
    bodies_deleted: int
    """Sessions that lost their bodies then; the other numbers likewise."""
    sessions_deleted: int
    sums_deleted: int
    freed_bytes: int
    held_count: int
    left_alone: list[str]


def write_report(run_dir: Path, report: PruneReport) -> None:
    """Put `housekeeper.json` in place in one step; a full disk must not stop the housekeeper over its own report."""
    names = set(HousekeeperInfo.__struct_fields__) - {"updated_at"}
    info = HousekeeperInfo(updated_at=time.time(), **{name: getattr(report, name) for name in names})
    try:
        aside = run_dir / "housekeeper.json.new"
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(info))
        os.replace(aside, run_dir / "housekeeper.json")
    except OSError as error:
        _say(f"no report: {error}")


def _say_problems(report: CompressReport) -> None:
    for problem in report.left_alone:
        _say(f"not compressed: {problem}")


def _say(line: str) -> None:
    print(f"lunaroute: housekeeper: {line}", file=sys.stderr, flush=True)
