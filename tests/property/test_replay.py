"""A recording is a function of the spool: whatever is read at a time, the files are the same, byte for byte."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lunaroute.spool import follow
from tests.support.faults import dump
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

    again = copied(recorded.with_name("home"), f"again-{seed}")
    read_differently()
    record(again, read_differently)
    assert files(again) == files(recorded)
    assert dump(again / "sessions" / "sessions.db") == dump(recorded / "sessions" / "sessions.db")
