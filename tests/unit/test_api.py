"""Recordings in Python: typed values, tables, events of plain and compressed files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

import lunaroute
from lunaroute.api import Rows
from lunaroute.errors import FilterError, LunarouteError, NoSuchSession
from lunaroute.events.types import Completed, Started
from lunaroute.sinks.layout import plain_path
from lunaroute.sinks.session_file import zstd
from tests.builders import TEN_OCLOCK, Call, SessionScript, as_written, tokens
from tests.unit.query.conftest import record


@pytest.fixture
def script(tmp_path: Path) -> SessionScript:
    call = Call("Bash", "c1", '{"cmd": "make"}')
    script = SessionScript("one", TEN_OCLOCK, tags=["nightly"])
    script.turn("build it", "sure", tokens=tokens(100, 7), cost_usd=0.5, calls=[call]).result(call, "built")
    script.turn("", "done", cost_usd=None).complete()
    record(tmp_path, script, SessionScript("two", TEN_OCLOCK + timedelta(hours=1)).turn())
    return script


def test_a_store_answers_with_typed_values(tmp_path: Path, script: SessionScript) -> None:
    with lunaroute.open(tmp_path) as store:
        (one,) = store.sessions("tag:nightly")
        assert (one.session_id, one.request_count) == (script.session_id, 2)
        assert [exchange.session_id for exchange in store.exchanges("cost:0.5")] == [script.session_id]
        assert store.tool_calls()[0].arguments == '{"cmd": "make"}'
        assert store.tools()[0].execution.count == 1
        assert sum(row.requests for row in store.usage(by=["model"])) == 3
        assert store.latencies()[0].latency.p50_ms == pytest.approx(100, rel=0.02)
        assert store.search("built")[0].kind == "tool_result"
        assert store.sql("SELECT count(*) FROM sessions").rows == [(2,)]
        assert [turn.response_text for turn in store.transcript(script.session_id).turns] == ["sure", "done"]
        kinds = [type(event) for event in store.events(script.session_id)]
        assert (kinds[0], kinds[-1], len(kinds)) == (Started, Completed, len(script.events))


def test_mistakes_are_errors_of_one_line(tmp_path: Path, script: SessionScript) -> None:
    with lunaroute.open(tmp_path) as store:
        with pytest.raises(FilterError, match="did you mean 'model'"):
            store.sessions("modl:x")
        with pytest.raises(NoSuchSession):
            store.events("ffff")


def test_an_empty_home_is_an_empty_store(tmp_path: Path) -> None:
    with lunaroute.open(tmp_path / "nowhere") as store:
        assert [*store.sessions(), *store.exchanges(), *store.usage(), *store.tools(), *store.search("x")] == []
        with pytest.raises(NoSuchSession, match="nothing was recorded yet"):
            store.session("0")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("is_compressed", [False, True])
def test_events_are_read_from_both_kinds_of_files(tmp_path: Path, script: SessionScript, is_compressed: bool) -> None:
    path = plain_path(tmp_path / "sessions", script.session_id)
    if is_compressed:
        packed = path.with_suffix(".jsonl.zst")
        packed.write_bytes(zstd.compress(path.read_bytes()))
        path = packed
    assert list(lunaroute.read_events(path)) == as_written(script.events)


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"type":"other"}\n')
    with pytest.raises(LunarouteError, match=r"x\.jsonl:1: "):
        list(lunaroute.read_events(path))


def test_rows_become_a_pandas_frame(tmp_path: Path, script: SessionScript) -> None:
    with lunaroute.open(tmp_path) as store:
        frame = store.exchanges(limit=None).to_pandas()
        empty = store.exchanges("error:true").to_pandas()
    assert frame["total_cost_usd"].sum() == 0.5
    assert frame["started_at"].min() == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert list(empty.columns) == list(frame.columns)


class _Row(msgspec.Struct):
    started_at: str


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_rows_become_other_tables_where_they_are_installed(
    tmp_path: Path, script: SessionScript, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(library)
    with lunaroute.open(tmp_path) as store:
        rows = store.sessions()
    if library == "polars":
        assert rows.to_polars()["started_at"].max() == TEN_OCLOCK + timedelta(hours=1)
    else:
        assert rows.to_arrow()["started_at"].to_pylist()[-1] == TEN_OCLOCK
        assert rows.to_arrow().num_rows == 2


@pytest.mark.parametrize(("method", "extra"), [("to_pandas", "pandas"), ("to_polars", "polars"), ("to_arrow", "arrow")])
def test_a_missing_library_is_named_with_its_extra(method: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(LunarouteError, match=rf"lunaroute\[{extra}\]"):
        getattr(Rows(_Row, []), method)()
