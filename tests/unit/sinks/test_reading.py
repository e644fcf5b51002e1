"""A part of many files is the same whenever it is gone through, wherever the first time ended."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from lunaroute.events import Event
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.reading import Part, Reading
from lunaroute.sinks.session_file import BadLine, zstd
from tests.builders import TEN_OCLOCK, SessionScript

_MUCH = 10**9


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, Path]]:
    """Three sessions of four turns; in the first file an event of the second session and a line that is none. The
    second file is longer than what is read of it at once."""
    sink = JsonlSink(tmp_path)
    sink.open()
    for number in range(3):
        script = SessionScript(f"s{number}", TEN_OCLOCK + timedelta(hours=number))
        for turn in range(4):
            history = b'{"messages":["%s"]}' % (b"x" * (100_000 if number == 1 else 10))
            script.turn(f"question {turn}", "answer " * 10, request_json=history)
        sink.write_batch(script.events)
    sink.close()
    found = list(session_files(tmp_path))
    lines = [path.read_bytes().splitlines(keepends=True) for _, path in found]
    found[0][1].write_bytes(b"".join([*lines[0][:3], lines[1][4], b"nonsense\n", *lines[0][3:]]))
    packed = found[2][1].with_suffix(".jsonl.zst")
    packed.write_bytes(zstd.compress(found[2][1].read_bytes()))
    found[2][1].unlink()
    return [*found[:2], (found[2][0], packed)]


def _reading(files: list[tuple[str, Path]], told: list[str]) -> Reading:
    def on_bad(bad: BadLine) -> None:
        told.append(f"bad {bad.line_number}")

    def on_foreign(event: Event, _path: Path) -> None:
        told.append(f"foreign {event.seq}")

    return Reading(files, on_bad, on_foreign, lambda done, total: told.append(f"{done} of {total}"))


def _names(events: list[Event]) -> list[tuple[str, int]]:
    return [(event.session_id, event.seq) for event in events]


@pytest.mark.parametrize("most", [1, 2, 3, 5, 9, 100])
def test_parts_are_all_events_in_order_and_each_is_the_same_again(files: list[tuple[str, Path]], most: int) -> None:
    told: list[str] = []
    reading = _reading(files, told)
    found: list[tuple[str, int]] = []
    while not reading.is_done:
        part = Part(reading, most, _MUCH)
        first = _names(list(part))
        assert len(first) <= most
        assert _names(list(part)) == first
        assert _names(list(part)) == first
        found += first
    assert found == [(session_id, seq) for session_id, _ in files for seq in range(9)]
    assert told == ["0 of 3", "foreign 4", "bad 5", "1 of 3", "2 of 3", "3 of 3"]
    assert reading.event_count == 27


@pytest.mark.parametrize("broken_at", [1, 3, 4, 8, 11])
def test_a_part_that_was_left_is_again_what_was_read_of_it(files: list[tuple[str, Path]], broken_at: int) -> None:
    reading = _reading(files, [])
    before = _names(list(Part(reading, 2, _MUCH)))
    part = Part(reading, 100, _MUCH)
    begun = iter(part)
    first = _names(list(islice(begun, broken_at)))
    assert _names(list(part)) == first
    rest = _names(list(Part(reading, 100, _MUCH)))
    assert [*before, *first, *rest] == [(session_id, seq) for session_id, _ in files for seq in range(9)]


def test_a_part_ends_where_it_has_enough_text(files: list[tuple[str, Path]]) -> None:
    reading = _reading(files, [])
    assert len(list(Part(reading, 100, 60))) == 3  # started, a question, and with its answer it is 80
    assert len(list(Part(reading, 100, 91))) == 4
