"""The recorder's memory: what a checkpoint stored comes back, plans stay until the next, half of one never shows."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lunaroute.assemble.exchange import ExchangeKey
from lunaroute.capture.records import Record, RelayStarted, RequestChunk, ResponseChunk
from lunaroute.recorder.journal import Checkpoint, Journal, LaneState, Plan, Range
from lunaroute.spool.follow import Position

KEY = ExchangeKey("w0", 5, 1)
OTHER = ExchangeKey("w1", 5, 1)
STARTED = RelayStarted(1, 2, "run", 3, "version")
PLAN = Plan([Range("w0", Position(1, 32), Position(2, 40))], 77, ["w1"])


def checkpoint(
    *,
    put: dict[str, bytes] | None = None,
    deleted: set[str] | None = None,
    new_records: list[tuple[ExchangeKey, int, list[Record]]] | None = None,
    closed: list[ExchangeKey] | None = None,
) -> Checkpoint:
    return Checkpoint(
        positions={"w0": Position(2, 40)},
        run_id="run",
        lanes={"w0": LaneState(STARTED, True)},
        put=put or {},
        deleted=deleted or set(),
        new_records=new_records or [],
        closed_exchanges=closed or [],
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recorder" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    opened = Journal(path)
    yield opened
    opened.close()


def test_a_new_journal_remembers_nothing_and_is_private(journal: Journal, path: Path) -> None:
    remembered = journal.load()
    assert (remembered.positions, remembered.run_id, remembered.lanes) == ({}, None, {})
    assert (remembered.state, remembered.open_exchanges, remembered.plans) == ({}, [], [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_checkpoint_comes_back_whole(journal: Journal, path: Path) -> None:
    records: list[Record] = [RequestChunk(1, 9, b"\x00\xff", None), ResponseChunk(1, 10, b"text")]
    journal.commit(checkpoint(put={"s:1": b"one", "s:2": b"two"}, new_records=[(KEY, 0, records)]))
    journal.close()
    again = Journal(path)
    remembered = again.load()
    again.close()
    assert remembered.positions == {"w0": Position(2, 40)}
    assert remembered.run_id == "run"
    assert remembered.lanes == {"w0": LaneState(STARTED, True)}
    assert remembered.state == {"s:1": b"one", "s:2": b"two"}
    assert remembered.open_exchanges == [(KEY, 1, records)]


def test_checkpoints_add_change_and_delete(journal: Journal) -> None:
    journal.commit(checkpoint(put={"s:1": b"old", "s:2": b"gone soon"}))
    journal.commit(checkpoint(put={"s:1": b"new"}, deleted={"s:2", "s:never"}))
    assert journal.load().state == {"s:1": b"new"}


def test_parts_of_an_open_exchange_come_back_in_order_and_go_when_it_is_closed(journal: Journal) -> None:
    parts: list[Record] = [ResponseChunk(1, at, b"%d" % at) for at in range(12)]
    for number, part in enumerate(parts):
        journal.commit(checkpoint(new_records=[(KEY, number, [part]), (OTHER, number, [part])]))
    assert journal.load().open_exchanges == [(KEY, 12, parts), (OTHER, 12, parts)]
    journal.commit(checkpoint(closed=[KEY]))
    assert journal.load().open_exchanges == [(OTHER, 12, parts)]


def test_plans_are_kept_in_order_until_the_next_checkpoint(journal: Journal, path: Path) -> None:
    later = msgspec.structs.replace(PLAN, now_wall_ns=78)
    journal.add_plan(PLAN)
    journal.add_plan(later)
    journal.close()
    again = Journal(path)
    assert again.load().plans == [PLAN, later]
    again.commit(checkpoint())
    assert again.load().plans == []
    again.close()


def test_a_plan_can_be_read_by_the_next_process_at_once(journal: Journal, path: Path) -> None:
    journal.add_plan(PLAN)
    other = Journal(path)
    assert other.load().plans == [PLAN]
    other.close()


def test_a_checkpoint_that_fails_changes_nothing(journal: Journal) -> None:
    journal.commit(checkpoint(put={"s:1": b"kept"}))
    journal.add_plan(PLAN)
    spoilt = checkpoint(put={"s:1": b"lost"}, new_records=[(KEY, "no number", [])])  # type: ignore[list-item]
    spoilt.closed_exchanges = [None]  # type: ignore[list-item]
    with pytest.raises(AttributeError):
        journal.commit(spoilt)
    remembered = journal.load()
    assert remembered.state == {"s:1": b"kept"}
    assert remembered.plans == [PLAN]
    journal.commit(checkpoint())


def test_a_checkpoint_is_synced_and_a_plan_is_not(journal: Journal) -> None:
    """FULL has SQLite fsync the log at each commit; with NORMAL a plan costs a write."""
    journal.add_plan(PLAN)
    assert _synchronous(journal) == 1
    levels: list[int] = []
    journal._db.set_trace_callback(lambda sql: levels.append(_level(sql)) if sql.startswith("PRAGMA sync") else None)
    journal.commit(checkpoint())
    journal._db.set_trace_callback(None)
    assert levels == [2, 1]
    assert _synchronous(journal) == 1


def _synchronous(journal: Journal) -> int:
    level: int = journal._db.execute("PRAGMA synchronous").fetchone()[0]
    return level


def _level(sql: str) -> int:
    return {"FULL": 2, "NORMAL": 1}[sql.rpartition("=")[2].strip()]


def test_a_journal_is_new_until_it_was_begun(journal: Journal, path: Path) -> None:
    assert journal.is_new
    journal.begin(["r1", "r2"])
    assert not journal.is_new
    assert journal.load().passed_over == {"r1", "r2"}
    again = Journal(path)
    assert not again.is_new
    again.commit(checkpoint())
    assert again.load().passed_over == {"r1", "r2"}
    again.close()


def test_what_is_no_journal_is_an_error_of_the_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, however long it may be" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Journal(path)
