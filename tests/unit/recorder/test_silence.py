"""What stands still is named, the longest first."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lunaroute.recorder.silence import silent_exchanges
from lunaroute.spool.writer import SpoolWriter
from tests.exchanges import MS, START_MONO_NS, ExchangeScript
from tests.support.spooled import SEGMENT_BYTES, LaneScript, SocketTalk, open_home, request_id
from tests.traffic import anthropic_request


def test_silence_is_since_the_last_byte_of_either_side() -> None:
    waiting, streaming, talking = (ExchangeScript(number, provider=f"p{number}", opened_ms=0) for number in (1, 2, 3))
    for script in (streaming, talking):
        script.answer(200, at_ms=1000)
        script.chunk(b"x", at_ms=2000)
    talking.chunk(b"y", at_ms=9000)
    opened = [one.exchange for one in (talking, streaming, waiting)]
    found = silent_exchanges(opened, waiting.t_ns(12_000))
    assert [(one.provider, round(one.silence_s)) for one in found] == [("p1", 12), ("p2", 10)]


def test_a_recorder_names_what_stands_still_and_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = LaneScript("w0")
    script.start(0)
    SocketTalk(script, 7, 10)
    script.request(1, anthropic_request("waiting"), "agent", 20)
    (tmp_path / "spool").mkdir()
    writer = SpoolWriter(tmp_path / "spool" / "w0", SEGMENT_BYTES)
    for record in script.records:
        writer.put(record)
    writer.flush()
    recorder = open_home(tmp_path)
    recorder.step()
    monkeypatch.setattr(time, "monotonic_ns", lambda: START_MONO_NS + 90_000 * MS)
    (silent,) = recorder.silent_exchanges()
    monkeypatch.undo()
    assert (silent.request_id, silent.provider) == (request_id("w0", 1, 20), "anthropic")
    assert 89 < silent.silence_s < 90
    recorder.close()
    writer.close([], 0)
