"""Recordings made from the same traffic with one set of prices or another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lunaroute.assemble.exchange import Assembled
from lunaroute.events import Event
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.sqlite.sink import SqliteSink

Prices = Mapping[str, Mapping[str, float]]


def record(sessions_dir: Path, traffic: Iterable[Assembled], prices: Prices) -> None:
    """Files and index as a recorder with these prices writes them."""
    events = events_of(traffic, prices)
    sinks = (JsonlSink(sessions_dir), SqliteSink(sessions_dir / "sessions.db", sessions_dir))
    for sink in sinks:
        sink.open()
        sink.write_batch(events)
        sink.close()


def events_of(traffic: Iterable[Assembled], prices: Prices) -> list[Event]:
    pipeline = Pipeline(PipelineSettings(own_prices=prices))
    events = [event for item in traffic for event in pipeline.feed(item)]
    assert pipeline.take_poisoned() == []
    return events


def contents(sessions_dir: Path) -> dict[str, bytes]:
    """{session_id: its file}."""
    return {session_id: path.read_bytes() for session_id, path in session_files(sessions_dir)}
