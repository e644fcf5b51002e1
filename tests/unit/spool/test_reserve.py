import os
from pathlib import Path

import pytest

from lunaroute.spool import reserve, segments
from lunaroute.spool.reserve import keep_ready

KB256 = 1 << 18


class Stop(Exception):
    pass


class Turns:
    """Stands in for the clock: what is done between two pauses, and when it ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.todo: list[object] = []
        monkeypatch.setattr(reserve.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(reserve.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        if not self.todo:
            raise Stop
        action = self.todo.pop(0)
        assert callable(action)
        action()


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    return Turns(monkeypatch)


def run(lane_dir: Path) -> None:
    with pytest.raises(Stop):
        keep_ready(lane_dir, KB256)


def take(lane_dir: Path, count: int) -> None:
    for _ in range(count):
        taken = segments.take_free(lane_dir, KB256)
        assert taken is not None
        taken.unlink()


def test_a_few_are_made_with_all_of_their_pages(tmp_path: Path, turns: Turns) -> None:
    run(tmp_path)
    free = segments.list_free(tmp_path)
    assert len(free) == segments.MIN_FREE
    for path in free:
        assert path.stat().st_size == KB256
        assert path.stat().st_blocks * 512 >= KB256
        assert path.stat().st_mode & 0o777 == 0o600


def test_more_are_made_while_they_are_taken(tmp_path: Path, turns: Turns) -> None:
    turns.todo = [lambda: take(tmp_path, 2)] * 10
    run(tmp_path)
    assert segments.MIN_FREE < len(segments.list_free(tmp_path)) <= segments.MAX_FREE
    turns.todo = [lambda: take(tmp_path, len(segments.list_free(tmp_path)))] * 20
    run(tmp_path)
    assert len(segments.list_free(tmp_path)) == segments.MAX_FREE


def test_what_is_made_in_time_needs_no_larger_reserve(tmp_path: Path, turns: Turns) -> None:
    turns.todo = [lambda: take(tmp_path, 1)] * 50
    run(tmp_path)
    assert len(segments.list_free(tmp_path)) == segments.MIN_FREE


@pytest.mark.parametrize(("turn_count", "left"), [(30, 24), (1000, segments.MIN_FREE)])
def test_consumed_ones_stay_until_it_is_quiet(tmp_path: Path, turns: Turns, turn_count: int, left: int) -> None:
    def give_back() -> None:
        for number in range(100, 120):
            (tmp_path / segments.FREE_DIR / f"{number:012d}{segments.SUFFIX}").write_bytes(b"")

    turns.todo = [give_back, *[lambda: None] * turn_count]
    run(tmp_path)
    assert len(segments.list_free(tmp_path)) == left


def test_after_some_quiet_the_surplus_goes(tmp_path: Path, turns: Turns) -> None:
    turns.todo = [lambda: take(tmp_path, 2)] * 10 + [lambda: None] * 1000
    run(tmp_path)
    assert len(segments.list_free(tmp_path)) == segments.MIN_FREE


def test_a_full_disk_is_left_to_the_writer(tmp_path: Path, turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    turns.todo = [lambda: None] * 5
    run(tmp_path)
    assert not segments.list_free(tmp_path)
    assert os.listdir(tmp_path / segments.FREE_DIR) == []
    assert max(turns.pauses) >= 1
