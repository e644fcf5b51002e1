"""What removed sessions leave behind: their part of the sums of hours and days, so that an index can be made anew.

In: the events of a session that is about to be removed. Out: a line of `removed.jsonl` beside the index, written and
synced before the session's file goes. While the file is there, its line does not count: whoever dies between the two
has removed nothing. A session has one line that counts, its first, and the last line may be torn.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from lunaroute.events.types import Event

from .replacing import fsync_path
from .sqlite.forget import sums_of
from .sqlite.rollups import add_rollups
from .tables.columns import HourRow, LatencyRow, ToolDayRow
from .tables.rollups import Rollups

_NAME = "removed.jsonl"


class RemovedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A line. Histograms, which are long numbers, are in hexadecimal."""

    session_id: str
    hours: list[HourRow]
    latencies: list[tuple[str, str, str, str, str, str]]
    tools: list[tuple[str, str, str, str, int, int, int, float, str]]


_decoder = msgspec.json.Decoder(RemovedSession)


def remember_removed(sessions_dir: Path, session_id: str, events: Sequence[Event]) -> None:
    """Write the session's line, on disk when this returns. Raises OSError, sqlite3.Error, ValueError."""
    path = sessions_dir / _NAME
    hours, latencies, tools = sums_of(events)
    line = RemovedSession(
        session_id=session_id,
        hours=hours,
        latencies=[(*_key(one), hex(one.latency_histogram), hex(one.ttft_histogram)) for one in latencies],
        tools=[
            (
                *(one.day, one.model_name, one.client_name, one.tool_name),
                *(one.call_count, one.result_count, one.error_count, one.total_execution_time_ms),
                hex(one.execution_histogram),
            )
            for one in tools
        ],
    )
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(fd, "ab") as file:
        # The line feed before it ends what somebody who died left half written.
        file.write(b"\n" + msgspec.json.encode(line) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fsync_path(sessions_dir)


def removed_sessions(sessions_dir: Path) -> Iterator[RemovedSession]:
    """Every line there is. Raises OSError."""
    try:
        with (sessions_dir / _NAME).open("rb") as file:
            for line in file:
                try:
                    yield _decoder.decode(line)
                except msgspec.MsgspecError:
                    continue  # torn, or the empty line before one
    except FileNotFoundError:
        return


def add_removed_sums(index: sqlite3.Connection, sessions_dir: Path, present: Collection[str]) -> None:
    """Put the sums of removed sessions into an index that has none yet; once, and all of it or nothing. `present`:
    sessions that have a file. Raises OSError, sqlite3.Error."""
    if index.execute("SELECT 1 FROM sessions UNION ALL SELECT 1 FROM hourly_stats LIMIT 1").fetchone():
        return
    rollups = Rollups()
    counted = set(present)
    for one in removed_sessions(sessions_dir):
        if one.session_id not in counted:
            counted.add(one.session_id)
            rollups.add_rows(
                one.hours,
                [LatencyRow(*row[:4], int(row[4], 16), int(row[5], 16)) for row in one.latencies],
                [ToolDayRow(*row[:8], int(row[8], 16)) for row in one.tools],
            )
    index.execute("BEGIN IMMEDIATE")
    try:
        add_rollups(index, rollups)
        index.execute("COMMIT")
    except BaseException:
        index.execute("ROLLBACK")
        raise


def forget_removed_before(sessions_dir: Path, day: str) -> None:
    """Drop from all lines what belongs to days before this one, and lines of which nothing is left. Raises OSError."""
    path = sessions_dir / _NAME
    if not path.exists():
        return
    kept = []
    for one in removed_sessions(sessions_dir):
        rest = RemovedSession(
            session_id=one.session_id,
            hours=[row for row in one.hours if row.hour >= day],
            latencies=[row for row in one.latencies if row[0] >= day],
            tools=[row for row in one.tools if row[0] >= day],
        )
        if rest.hours or rest.latencies or rest.tools:
            kept.append(msgspec.json.encode(rest) + b"\n")
    aside = path.with_name(f"{_NAME}.new")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.writelines(kept)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
    fsync_path(sessions_dir)


def _key(row: LatencyRow) -> tuple[str, str, str, str]:
    return row.hour, row.provider, row.model_name, row.client_name
