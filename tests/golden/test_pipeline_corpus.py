"""Every real exchange of the corpus through the pipeline: nothing breaks, every byte comes back, every line is JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.events import Event, decode_event, encode_event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.verify.check import verify
from tests.corpus import corpus_dir, exchange_ids, exchanges
from tests.corpus_scripts import script_of
from tests.exchanges import MS, START_WALL_NS
from tests.repriced import record
from tests.traffic import both


def test_real_exchanges_are_recorded_byte_for_byte() -> None:
    corpus_dir()
    pipeline = Pipeline(PipelineSettings())
    events: list[Event] = []
    request_hashes, response_hashes = [], []
    for number, recorded in enumerate(exchanges()):
        script = script_of(number, recorded)
        request_hashes.append(hashlib.sha256(script.exchange.request_body).digest())
        response_hashes.append(hashlib.sha256(script.exchange.response_body).digest())
        events += pipeline.feed(script.received)
        events += pipeline.feed(script.ended)
    events += pipeline.feed(RunEnded(START_WALL_NS + 10_000_000 * MS))
    assert [poison.reason for poison in pipeline.take_poisoned()] == []
    restored = [_read_back(event) for event in events]
    assert [_hash(request_bytes(e)) for e in restored if isinstance(e, RequestRecorded)] == request_hashes
    assert [_hash(response_bytes(e)) for e in restored if isinstance(e, ResponseRecorded)] == response_hashes
    assert sum(e.final_stats.request_count for e in restored if isinstance(e, Completed)) == len(exchange_ids())


def test_a_recording_of_them_all_has_no_problems(tmp_path: Path) -> None:
    corpus_dir()

    def traffic() -> Iterator[Assembled]:
        for number, recorded in enumerate(exchanges()):
            yield from both(script_of(number, recorded))
        yield RunEnded(START_WALL_NS + 10_000_000 * MS)

    sessions_dir = tmp_path / "sessions"
    record(sessions_dir, traffic(), {})
    report = verify(sessions_dir, sessions_dir / "sessions.db", tmp_path / "lock")
    assert report.problems == []
    assert report.line_count > 2 * len(exchange_ids())


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _read_back(event: Event) -> Event:
    """The event as a reader of its line gets it; the line itself is one line of plain JSON."""
    line = encode_event(event)
    assert b"\n" not in line
    assert b"\r" not in line
    json.loads(line, parse_constant=_refuse)
    return decode_event(line)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")
