"""The keeper's process: does what is to be done with sessions that are over, beside the recorder and after it.

In: the settings, and the end of a pipe whose other end the supervisor holds. Out: compressed files. It runs with the
lowest priority and is stopped by being killed: every step of its work leaves the sessions whole.
"""

from __future__ import annotations

import select
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lunaroute.config import Config, seconds_of

from .compress import CompressReport, compress_all, compress_sessions

_LOOK_S = 2.0
_SCAN_S = 3600.0
_OVERLAP = timedelta(minutes=1)
"""The index may learn of an end somewhat later than it was."""


def run_keeper(config: Config, alive_fd: int) -> None:
    """Until the end of `alive_fd`."""
    Keeper(config, alive_fd).run()


class Keeper:
    """Every two seconds it asks the index what has ended; every hour, and first of all, it looks at all files."""

    def __init__(self, config: Config, alive_fd: int) -> None:
        self._config = config
        self._watched = [alive_fd] if alive_fd >= 0 else []
        self._compress_after_s = seconds_of(config.storage.compress_after)
        self._scan_at_s = 0.0
        self._asked_until = datetime.now(UTC)

    def run(self) -> None:
        while self._goes_on(0):
            if time.monotonic() >= self._scan_at_s:
                self._scan_at_s = time.monotonic() + _SCAN_S
                self._scan()
            else:
                self._look()
            if not self._goes_on(_LOOK_S):
                return

    def _goes_on(self, wait_s: float) -> bool:
        """False when the supervisor is gone."""
        return not select.select(self._watched, [], [], wait_s)[0]

    def _scan(self) -> None:
        if self._compress_after_s is None:
            return
        self._asked_until = datetime.now(UTC) - timedelta(seconds=self._compress_after_s)
        sessions_dir = self._config.sessions_dir
        _say_problems(compress_all(sessions_dir, min_age_s=self._compress_after_s, on_progress=self._is_to_go_on))

    def _look(self) -> None:
        if self._compress_after_s is None:
            return
        until = datetime.now(UTC) - timedelta(seconds=self._compress_after_s)
        ended = ended_between(self._config.database, self._asked_until - _OVERLAP, until)
        self._asked_until = until
        _say_problems(compress_sessions(self._config.sessions_dir, ended, self._is_to_go_on))

    def _is_to_go_on(self, _done: int, _total: int) -> bool:
        return self._goes_on(0)


def ended_between(database: Path, since: datetime, until: datetime) -> list[str]:
    """Sessions that ended then, by the index; none where it cannot be asked now: the next scan finds them."""
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as index:
            rows = index.execute(
                "SELECT session_id FROM sessions WHERE completed_at > ? AND completed_at <= ?",
                (_sql_time(since), _sql_time(until)),
            ).fetchall()
    except sqlite3.Error:
        return []
    return [session_id for (session_id,) in rows]


def _sql_time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"


def _say_problems(report: CompressReport) -> None:
    for problem in report.left_alone:
        print(f"lunaroute: not compressed: {problem}", file=sys.stderr, flush=True)
