"""Gaps are on record once, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from lunaroute.assemble.exchange import RecordingGap
from lunaroute.recorder.gaps import GapFile

FIRST = RecordingGap(1_790_000_000_000_000_000, 1_790_000_005_500_000_000, 3, "No space left on device")
SECOND = RecordingGap(1_790_000_100_000_000_000, 1_790_000_101_000_000_000, 2, "Input/output error")


def test_a_gap_is_a_line_that_says_when_why_and_how_much(tmp_path: Path) -> None:
    path = tmp_path / "gaps.jsonl"
    gaps = GapFile(path)
    gaps.add(FIRST)
    gaps.add(SECOND)
    assert gaps.unrecorded_exchanges == 5
    first, _ = path.read_bytes().splitlines()
    assert msgspec.json.decode(first) == {
        "since": "2026-09-21T14:13:20.000000Z",
        "until": "2026-09-21T14:13:25.500000Z",
        "exchange_count": 3,
        "reason": "No space left on device",
    }
    assert path.stat().st_mode & 0o077 == 0


def test_a_gap_that_comes_again_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "gaps.jsonl"
    for _ in range(2):
        gaps = GapFile(path)
        gaps.add(FIRST)
        gaps.add(FIRST)
    assert len(path.read_bytes().splitlines()) == 1
    assert GapFile(path).unrecorded_exchanges == 3


@pytest.mark.parametrize("torn", [b"{", b'{"since":"x"}\n', b"\0\0\0"])
def test_a_torn_line_costs_only_itself(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "gaps.jsonl"
    GapFile(path).add(FIRST)
    with path.open("ab") as file:
        file.write(torn)
    GapFile(path).add(SECOND)
    assert GapFile(path).unrecorded_exchanges == 5


def test_without_gaps_there_is_no_file(tmp_path: Path) -> None:
    assert GapFile(tmp_path / "gaps.jsonl").unrecorded_exchanges == 0
    assert list(tmp_path.iterdir()) == []
