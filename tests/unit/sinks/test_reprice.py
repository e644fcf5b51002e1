"""Finished sessions get the costs that a recorder with the new prices would have given them; nothing else changes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.errors import LunarouteError
from lunaroute.events.chain import link_of_line
from lunaroute.pricing import PICODOLLARS, Pricer
from lunaroute.sinks import alone
from lunaroute.sinks import reprice as module
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.reindex import reindex
from lunaroute.sinks.replacing import compress_file
from lunaroute.sinks.reprice import RepriceReport, reprice
from lunaroute.sinks.session_file import read_lines
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.exchanges import MS, START_WALL_NS
from tests.repriced import Prices, contents, events_of, record
from tests.traffic import MODEL, anthropic_request, anthropic_response, both, exchange_of
from tests.unit.sinks.test_reindex import dump

OLD: Prices = {}
NEW: Prices = {f"anthropic/{MODEL}": {"input_mtok": 100.0, "output_mtok": 1000.0}}
UNKNOWN: Prices = {"my-gateway/*": {"input_mtok": 1.0, "output_mtok": 2.0}}


def traffic() -> list[Assembled]:
    """Three sessions of two providers, one of which the table does not know; one session never ends."""
    items: list[Assembled] = []
    for number in range(6):
        answer = anthropic_response("ok", calls=[f"toolu_{number}"], input_tokens=1000 + number, output_tokens=10)
        script = exchange_of(
            number,
            anthropic_request(f"question {number}"),
            answer,
            at_ms=number * 150,
            session=("a", "b")[number % 2],
            provider=("anthropic", "anthropic", "my-gateway")[number % 3],
        )
        items += both(script)
    items.append(RunEnded(START_WALL_NS + 3_600_000 * MS))
    late = exchange_of(99, anthropic_request("still here"), anthropic_response("yes"), at_ms=7_200_000, session="live")
    return [*items, *both(late)]


@pytest.fixture
def sessions_dir(tmp_path: Path) -> Path:
    record(tmp_path / "sessions", traffic(), OLD)
    return tmp_path / "sessions"


def run(sessions_dir: Path, prices: Prices, **options: Any) -> RepriceReport:
    return reprice(sessions_dir, sessions_dir / "sessions.db", Pricer(prices), **options)


def live(sessions_dir: Path) -> str:
    [session_id] = [name for name, data in contents(sessions_dir).items() if b'"type":"completed"' not in data]
    return session_id


def test_the_same_prices_change_nothing(sessions_dir: Path) -> None:
    files, rows = contents(sessions_dir), dump(sessions_dir / "sessions.db")
    report = run(sessions_dir, OLD)
    assert (report.changed_count, report.session_count, report.live_count) == (0, 4, 1)
    assert (contents(sessions_dir), dump(sessions_dir / "sessions.db")) == (files, rows)


@pytest.mark.parametrize("prices", [NEW, UNKNOWN, NEW | UNKNOWN])
def test_other_prices_give_what_a_recorder_with_them_would_have_written(
    sessions_dir: Path, tmp_path: Path, prices: Prices
) -> None:
    before = contents(sessions_dir)
    record(tmp_path / "wanted", traffic(), prices)
    run(sessions_dir, prices)

    wanted = contents(tmp_path / "wanted") | {live(sessions_dir): before[live(sessions_dir)]}
    # A recorder names the prices on every exchange, those that cost the same included: so does this.
    assert contents(sessions_dir) == wanted
    repriced = dump(sessions_dir / "sessions.db")
    reindex(sessions_dir, sessions_dir / "sessions.db")
    assert dump(sessions_dir / "sessions.db") == repriced


@pytest.mark.parametrize("prices", [NEW, UNKNOWN])
def test_what_missed_cache_hits_cost_follows_the_prices(tmp_path: Path, prices: Prices) -> None:
    """With a price before and after, and with none before."""
    missed: list[Assembled] = []
    for number, provider in enumerate(["anthropic", "anthropic", "my-gateway", "my-gateway"]):
        answer = anthropic_response("ok", cache_read_input_tokens=0, cache_creation_input_tokens=5_000)
        at_ms = number * 150
        missed += both(exchange_of(number, anthropic_request("hi"), answer, at_ms=at_ms, provider=provider))
    missed.append(RunEnded(START_WALL_NS + 3_600_000 * MS))
    for name, at in (("repriced", OLD), ("wanted", prices)):
        record(tmp_path / name, missed, at)

    assert run(tmp_path / "repriced", prices, is_dry=True).changed_count > 0
    run(tmp_path / "repriced", prices)

    assert contents(tmp_path / "repriced") == contents(tmp_path / "wanted")
    rows = dump(tmp_path / "repriced" / "sessions.db")
    assert rows == dump(tmp_path / "wanted" / "sessions.db")
    with sqlite3.connect(tmp_path / "repriced" / "sessions.db") as index:
        costs = index.execute("SELECT SUM(cache_miss_count), SUM(cache_miss_cost_usd) FROM sessions").fetchone()
    # 5,000 tokens each: $1.25 and $0.10, or $100 both; $1 both, where the table knows nothing.
    assert costs == (2, pytest.approx(5_000 * (1.25 - 0.10) / 1e6 if prices is UNKNOWN else 0))
    assert run(tmp_path / "repriced", prices).changed_count == 0


def test_there_and_back_again(sessions_dir: Path) -> None:
    files, rows = contents(sessions_dir), dump(sessions_dir / "sessions.db")
    assert run(sessions_dir, NEW | UNKNOWN).changed_count == 4
    run(sessions_dir, OLD)
    assert (contents(sessions_dir), dump(sessions_dir / "sessions.db")) == (files, rows)


def test_the_sessions_that_are_not_over_keep_their_lines_and_rows(sessions_dir: Path) -> None:
    session_id = live(sessions_dir)
    line = contents(sessions_dir)[session_id]
    query = f"SELECT * FROM session_stats WHERE session_id = '{session_id}'"
    with sqlite3.connect(sessions_dir / "sessions.db") as index:
        rows = index.execute(query).fetchall()
    run(sessions_dir, NEW)
    assert contents(sessions_dir)[session_id] == line
    with sqlite3.connect(sessions_dir / "sessions.db") as index:
        assert index.execute(query).fetchall() == rows


def test_a_dry_run_says_the_same_and_changes_nothing(sessions_dir: Path) -> None:
    files, rows = contents(sessions_dir), dump(sessions_dir / "sessions.db")
    dry = run(sessions_dir, NEW, is_dry=True)
    assert (contents(sessions_dir), dump(sessions_dir / "sessions.db")) == (files, rows)
    assert dry == run(sessions_dir, NEW)


def test_the_report_counts_old_and_new_dollars_per_model(sessions_dir: Path) -> None:
    report = run(sessions_dir, NEW)
    costs = report.by_model["anthropic", MODEL]
    assert costs.exchanges == 4
    # $1 and $5 per million tokens, then $100 and $1000.
    assert costs.old / PICODOLLARS == pytest.approx((4008 + 40 * 5) / 1e6)
    assert costs.new / PICODOLLARS == pytest.approx((4008 * 100 + 40 * 1000) / 1e6)
    unpriced = report.by_model["my-gateway", MODEL]
    assert (unpriced.exchanges, unpriced.old_unpriced, unpriced.new_unpriced, unpriced.new) == (2, 2, 2, 0)


def test_a_run_that_broke_between_file_and_rows_is_made_good_by_the_next(
    sessions_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(module, "reprice_rows", broken)
        with pytest.raises(sqlite3.OperationalError):
            run(sessions_dir, NEW)
    assert run(sessions_dir, NEW).changed_count > 0
    repriced = dump(sessions_dir / "sessions.db")
    reindex(sessions_dir, sessions_dir / "sessions.db")
    assert dump(sessions_dir / "sessions.db") == repriced
    assert run(sessions_dir, NEW).changed_count == 0


def test_nothing_but_costs_differs(sessions_dir: Path) -> None:
    before = contents(sessions_dir)
    run(sessions_dir, NEW)
    for session_id, data in contents(sessions_dir).items():
        for old, new in zip(before[session_id].splitlines(), data.splitlines(), strict=True):
            assert _without_cost(old) == _without_cost(new)


def _without_cost(line: bytes) -> str:
    event = json.loads(line)
    event.pop("prev")
    for inside in ("stats", "final_stats"):
        event.get(inside, {}).pop("estimated_cost", None)
    return json.dumps(event)  # the order of the fields counts


def test_a_chain_that_was_broken_stays_broken(sessions_dir: Path) -> None:
    session_id, path = next(one for one in session_files(sessions_dir) if one[0] != live(sessions_dir))
    path.write_bytes(path.read_bytes().replace(b'"request_text":"question', b'"request_text":"no question'))
    run(sessions_dir, NEW)
    lines = contents(sessions_dir)[session_id].splitlines()
    fits = [json.loads(line)["prev"] == link_of_line(before) for before, line in pairwise(lines)]
    changed = [b'"request_text":"no question' in line for line in lines[:-1]]
    assert any(changed)
    assert fits == [not is_changed for is_changed in changed]


def test_a_line_keeps_fields_that_this_program_does_not_know(sessions_dir: Path) -> None:
    session_id, path = next(one for one in session_files(sessions_dir) if one[0] != live(sessions_dir))
    path.write_bytes(path.read_bytes().replace(b'"schema":1', b'"schema":1,"of_tomorrow":{"a":1.50}'))
    run(sessions_dir, NEW)
    assert all(b'"of_tomorrow":{"a":1.50}' in line for line in contents(sessions_dir)[session_id].splitlines())


def test_a_compressed_file_stays_compressed(sessions_dir: Path) -> None:
    finished = [path for session_id, path in session_files(sessions_dir) if session_id != live(sessions_dir)]
    for path in finished:
        compress_file(path)
    run(sessions_dir, NEW)
    versions = set()
    for path in finished:
        assert not path.exists()
        *_, last = read_lines(path.with_name(f"{path.name}.zst"))
        versions.add(json.loads(last)["final_stats"]["estimated_cost"]["price_version"])
        assert path.with_name(f"{path.name}.zst").stat().st_mode & 0o777 == 0o600
    assert versions == {Pricer(NEW).version, None}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda lines: [b"{}", *lines[1:]], ":1: "),
        (lambda lines: [*lines[:1], *lines[2:]], "event 1 is missing"),
    ],
)
def test_a_file_that_is_not_whole_is_left_alone_and_named(sessions_dir: Path, damage: Any, reason: str) -> None:
    session_id, path = next(one for one in session_files(sessions_dir) if one[0] != live(sessions_dir))
    damaged = b"\n".join(damage(path.read_bytes().splitlines())) + b"\n"
    path.write_bytes(damaged)
    report = run(sessions_dir, NEW)
    assert len(report.left_alone) == 1
    assert reason in report.left_alone[0]
    assert contents(sessions_dir)[session_id] == damaged


def test_without_an_index_the_files_are_priced(sessions_dir: Path) -> None:
    (sessions_dir / "sessions.db").unlink()
    report = run(sessions_dir, NEW)
    assert not report.has_index
    assert report.changed_count > 0
    assert not (sessions_dir / "sessions.db").exists()


def test_two_at_a_time_are_refused(sessions_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "_PATIENCE_S", 0.05)

    def again(done: int, total: int) -> None:
        with pytest.raises(LunarouteError, match="another command is rewriting"):
            run(sessions_dir, NEW)

    run(sessions_dir, OLD, on_progress=again)


def test_an_index_made_anew_meanwhile_is_noticed(sessions_dir: Path) -> None:
    def remake(done: int, total: int) -> None:
        if done == 1:
            reindex(sessions_dir, sessions_dir / "sessions.db")

    with pytest.raises(LunarouteError, match="made anew meanwhile"):
        run(sessions_dir, NEW, on_progress=remake)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[tuple[JsonlSink, SqliteSink]]:
    sessions_dir = tmp_path / "sessions"
    sinks = JsonlSink(sessions_dir), SqliteSink(sessions_dir / "sessions.db", sessions_dir)
    for sink in sinks:
        sink.open()
    yield sinks
    for sink in sinks:
        sink.close()


def test_it_is_safe_while_a_recorder_writes(tmp_path: Path, recorder: tuple[JsonlSink, SqliteSink]) -> None:
    """Before every batch of the recorder, everything that is over then is priced anew."""
    sessions_dir = tmp_path / "sessions"
    events = events_of(traffic(), OLD)
    for number in range(len(events)):
        run(sessions_dir, (NEW, NEW | UNKNOWN)[number % 2])
        for sink in recorder:
            sink.write_batch(events[max(0, number - 3) : number + 1])  # told again, as after a crash
    run(sessions_dir, NEW)
    record(tmp_path / "wanted", traffic(), NEW)
    unfinished = live(sessions_dir)
    wanted = contents(tmp_path / "wanted") | {unfinished: contents(sessions_dir)[unfinished]}
    assert contents(sessions_dir) == wanted
    repriced = dump(sessions_dir / "sessions.db")
    reindex(sessions_dir, sessions_dir / "sessions.db")
    assert dump(sessions_dir / "sessions.db") == repriced
