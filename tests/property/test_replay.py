"""A recording is a function of the spool: whatever is read at a time, and however often, the files are the same, byte
for byte, and everything in them counts once."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from lunaroute.events import decode_event
from lunaroute.events.types import RequestRecorded, ResponseRecorded
from lunaroute.spool import follow
from tests.support.faults import dump
from tests.support.server import query
from tests.support.spooled import copied, files, record, write_spool

LEAST_BYTES = 4096
"""Larger than any frame of this spool, as READ_BYTES must be."""


@pytest.fixture(scope="module", params=[1, 2, 3])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose spool, of so many lanes, was kept and recorded in one go."""
    home = tmp_path_factory.mktemp("replay") / "home"
    write_spool(home / "spool", lanes=request.param)
    whole = copied(home, "whole")
    record(whole)
    assert len(files(whole)) >= 5
    return whole


@pytest.mark.parametrize("seed", range(5))
def test_batch_boundaries_change_no_byte(recorded: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    most_bytes = chance.choice([LEAST_BYTES, 20_000, 100_000])

    def read_differently() -> None:
        monkeypatch.setattr(follow, "READ_BYTES", chance.randint(LEAST_BYTES, most_bytes))
        monkeypatch.setattr(follow, "_LEAST_READ_BYTES", chance.choice([100, most_bytes]))
        monkeypatch.setattr(follow, "_RECORDS_A_READ", chance.randint(1, 50))

    again = copied(recorded.with_name("home"), f"again-{seed}")
    read_differently()
    record(again, read_differently)
    assert files(again) == files(recorded)
    assert dump(again / "sessions" / "sessions.db") == dump(recorded / "sessions" / "sessions.db")


def test_the_same_spool_once_more_is_counted_once(recorded: Path) -> None:
    """A recorder that has lost all that it knew reads what has been recorded before, beside what it recorded."""
    again = copied(recorded.with_name("home"), "once-more")
    record(again)
    shutil.rmtree(again / "recorder")
    shutil.rmtree(again / "spool")
    shutil.copytree(recorded.with_name("home") / "spool", again / "spool")
    record(again)
    assert files(again) == files(recorded)
    assert dump(again / "sessions" / "sessions.db") == dump(recorded / "sessions" / "sessions.db")


def test_sessions_exchanges_and_days_have_the_sums_of_what_the_provider_said(recorded: Path) -> None:
    """Said in the provider's own words, which the files keep: here Anthropic's and those of Responses."""
    events = [decode_event(line) for data in files(recorded).values() for line in data.splitlines()]
    said = [event.stats.usage_raw for event in events if isinstance(event, ResponseRecorded)]
    asked_once = {event.request_id for event in events if isinstance(event, RequestRecorded)}
    cached = ("cache_read_input_tokens", "cache_creation_input_tokens")
    inputs = sum(sum(usage.get(name, 0) for name in ("input_tokens", *cached)) for usage in said if usage)
    outputs = sum(usage.get("output_tokens", 0) for usage in said if usage)
    assert inputs > 0
    database = recorded / "sessions" / "sessions.db"
    for table in ("sessions", "session_stats", "daily_stats", "hourly_stats"):
        [row] = query(database, f"SELECT SUM(input_tokens) AS i, SUM(output_tokens) AS o FROM {table}")
        assert (row["i"], row["o"]) == (inputs, outputs), table
    [row] = query(database, "SELECT SUM(request_count) AS sessions FROM sessions")
    [rows] = query(database, "SELECT COUNT(*) AS exchanges FROM session_stats")
    assert row["sessions"] == rows["exchanges"] == len(said) == len(asked_once)
