"""A spool that the disk gives back wrongly: what is whole is recorded, what is not shows."""

from __future__ import annotations

import json
from pathlib import Path

from lunaroute.recorder import worker
from lunaroute.recorder.dead_letter import DeadLetters
from lunaroute.spool import segments
from tests.support.spooled import LaneScript, files, open_home, record
from tests.traffic import anthropic_request, anthropic_response
from tests.unit.verify.conftest import Store

MARK = b"the damaged one"


def spool(home: Path) -> None:
    script = LaneScript("w0")
    script.start(0)
    for number in range(1, 8):
        text = MARK.decode() if number == 3 else f"question {number}"
        script.request(number, anthropic_request(text), f"agent {number}", number * 100)
        script.response(number, [anthropic_response("fine")], number * 100 + 50, is_stream=False, is_closed=True)
    script.stop(2000)
    script.write(home / "spool")
    (number,) = segments.list_segments(home / "spool" / "w0")
    path = segments.segment_path(home / "spool" / "w0", number)
    data = path.read_bytes()
    path.write_bytes(data.replace(MARK, MARK.upper()))


def test_a_damaged_frame_costs_its_exchange_and_is_on_record(tmp_path: Path) -> None:
    spool(tmp_path)
    record(tmp_path)
    said = b"".join(files(tmp_path).values())
    assert [number for number in range(1, 8) if f"question {number}".encode() in said] == [1, 2, 4, 5, 6, 7]
    assert MARK not in said
    assert MARK.upper() not in said
    (gap,) = [json.loads(line) for line in (tmp_path / "sessions" / "gaps.jsonl").read_bytes().splitlines()]
    assert gap["exchange_count"] == 1
    assert "damaged" in gap["reason"]
    assert gap["since"].startswith("2026-")
    assert Store(tmp_path).verify().problems == []


def test_status_counts_it(tmp_path: Path) -> None:
    spool(tmp_path)
    recorder = open_home(tmp_path)
    while not recorder.is_drained():
        pass
    worker._write_status(tmp_path / "run", recorder, DeadLetters(tmp_path / "recorder" / "dead-letter"))
    recorder.close()
    assert json.loads((tmp_path / "run" / "recorder.json").read_bytes())["unrecorded_exchanges"] == 1
