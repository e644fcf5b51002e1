"""What is deleted when: three clocks, a limit of size, pins and tags; and an index made anew says the same."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from lunaroute.archive import housekeeper, retention
from lunaroute.archive.compress import compress_all
from lunaroute.archive.pins import change_pins, read_pins
from lunaroute.archive.retention import PruneReport, prune
from lunaroute.cli import cli
from lunaroute.config import Config, StorageConfig
from lunaroute.errors import LunarouteError
from lunaroute.events.chain import link_of_line
from lunaroute.events.types import RequestRecorded
from lunaroute.query.raw import read_exchange, request_body
from lunaroute.sinks import removed, replacing
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import existing_file, session_files
from lunaroute.sinks.reindex import reindex
from lunaroute.sinks.session_file import read_lines
from lunaroute.sinks.sqlite import forget
from lunaroute.sinks.sqlite.sink import SqliteSink
from lunaroute.verify.check import verify, verify_chains
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens
from tests.support.killed import SAMPLE, deaths
from tests.unit.sinks.test_reindex import dump

SECRET = "xylophone"
NOW = TEN_OCLOCK + timedelta(days=100)


def _session(name: str, age_days: int, *, is_over: bool = True, tags: tuple[str, ...] = ()) -> SessionScript:
    script = SessionScript(name, NOW - timedelta(days=age_days), tags=tags)
    call = Call("Bash", f"call-{name}", json.dumps({"cmd": SECRET}))
    body = json.dumps({"messages": [f"{SECRET} " * 200]}).encode()
    script.turn(f"{SECRET} asked " * 400, f"{SECRET} answered", tokens=tokens(100, 7), cost_usd=0.5, calls=[call])
    script.result(call, f"{SECRET} printed", execution_ms=20.0)
    script.turn("and now?", SECRET, tokens=tokens(50, 3), request_json=body)
    return script.complete() if is_over else script


def _record(home: Path, *scripts: SessionScript, is_compressed: bool = True) -> None:
    sessions_dir = home / "sessions"
    for sink in (JsonlSink(sessions_dir), SqliteSink(sessions_dir / "sessions.db", sessions_dir)):
        sink.open()
        sink.write_batch([event for script in scripts for event in script.events])
        sink.close()
    if is_compressed:
        compress_all(sessions_dir)


def _config(home: Path, **storage: Any) -> Config:
    return Config(home=home, storage=StorageConfig(**storage))


def _state(home: Path) -> dict[str, str]:
    """Name of each session → `whole`, `bodiless`; those that are gone are not in it."""
    found = {}
    for session_id, path in session_files(home / "sessions"):
        text = b"\n".join(read_lines(path))
        found[session_id] = "whole" if SECRET.encode() in text else "bodiless"
    return found


def _check_index(home: Path) -> None:
    """It says what one says that is made anew."""
    sessions_dir = home / "sessions"
    anew = home / "anew.db"
    reindex(sessions_dir, anew)
    assert dump(sessions_dir / "sessions.db") == dump(anew)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.mark.parametrize("is_compressed", [True, False])
def test_each_clock_takes_its_part_and_the_sums_stay(home: Path, is_compressed: bool) -> None:
    new, middle, old, live = (
        *(_session("new", 10), _session("middle", 40), _session("old", 90)),
        _session("live", 95, is_over=False),
    )
    _record(home, new, middle, old, live, is_compressed=is_compressed)
    before = dump(home / "sessions" / "sessions.db")
    report = prune(_config(home, delete_bodies_after="30d", delete_sessions_after="60d"), NOW)
    assert (report.bodies_deleted, report.sessions_deleted, report.left_alone) == (1, 1, [])
    assert _state(home) == {new.session_id: "whole", middle.session_id: "bodiless", live.session_id: "whole"}
    after = dump(home / "sessions" / "sessions.db")
    for table in ("hourly_stats", "hourly_latencies", "daily_stats", "daily_latencies", "daily_tool_stats"):
        assert after[table] == before[table]
    assert {row[0] for row in after["texts"]} == {new.session_id, live.session_id}
    assert len(after["session_stats"]) == 6
    _check_index(home)
    again = prune(_config(home, delete_bodies_after="30d", delete_sessions_after="60d"), NOW)
    assert again.due == []


def test_what_is_left_of_a_session_are_its_numbers(home: Path) -> None:
    script = _session("old", 40)
    _record(home, script)
    lines = list(read_lines(existing_file(home / "sessions", script.session_id) or home))
    prune(_config(home, delete_bodies_after="30d"), NOW)
    path = existing_file(home / "sessions", script.session_id)
    assert path is not None
    left = list(read_lines(path))
    for before, after in zip(lines, left, strict=True):
        assert _numbers(json.loads(before)) == _numbers(json.loads(after))
    assert [json.loads(line)["prev"] for line in left[1:]] == [link_of_line(line) for line in left[:-1]]
    assert verify_chains(home / "sessions").problems == []
    found = verify(home / "sessions", home / "sessions" / "sessions.db", home / "lock").problems
    assert not [problem for problem in found if "body" in problem.problem]
    request = next(event for event in script.events if isinstance(event, RequestRecorded))
    exchange = read_exchange(home / "sessions", script.session_id, request.request_id)
    assert exchange.request.body_sha256 == request.body_sha256
    with pytest.raises(LunarouteError, match="were deleted when their time was over"):
        request_body(exchange)
    assert SECRET.encode() not in b"".join(part.read_bytes() for part in home.rglob("*.jsonl*"))


def _numbers(value: Any) -> Any:
    """Everything but texts that a test's session has been told to say, and what stands for them."""
    if isinstance(value, dict):
        told = {"request_text", "request_json", "response_text", "thinking_text", "response_json", "response_body"}
        told |= {"arguments", "output_text", "request_body", "bodies_deleted", "block_excerpt", "error", "prev"}
        return {name: _numbers(one) for name, one in value.items() if name not in told}
    return [_numbers(one) for one in value] if isinstance(value, list) else value


def test_nothing_of_what_was_said_stays_in_the_index_and_its_space_is_given_back(home: Path) -> None:
    _record(home, *(_session(f"s{number}", 40 + number) for number in range(30)))
    database = home / "sessions" / "sessions.db"
    before = database.stat().st_size
    prune(_config(home, delete_sessions_after="30d"), NOW)
    assert database.stat().st_size < before * 0.6  # the empty tables remain
    left = b"".join(path.read_bytes() for path in (home / "sessions").rglob("*") if path.is_file())
    assert SECRET.encode() not in left
    _check_index(home)


def test_what_was_removed_by_its_clock_is_nothing_that_verify_misses(home: Path) -> None:
    _record(home, _session("new", 1), _session("old", 40))
    prune(_config(home, delete_sessions_after="30d"), NOW)
    database = home / "sessions" / "sessions.db"
    found = verify(home / "sessions", database, home / "lock").problems
    assert not [problem for problem in found if problem.path == str(database)]


def test_a_dry_run_says_what_is_due_and_changes_nothing(home: Path) -> None:
    _record(home, _session("new", 10), _session("old", 90))
    before = dump(home / "sessions" / "sessions.db"), _state(home)
    report = prune(_config(home, delete_bodies_after="30d"), NOW, is_dry=True)
    assert [(one.what, one.why) for one in report.due] == [("bodies", "storage.delete_bodies_after")]
    assert report.due[0].file_bytes > 0
    assert (dump(home / "sessions" / "sessions.db"), _state(home)) == before


def test_pins_and_tags_hold(home: Path) -> None:
    pinned, tagged, other = _session("pinned", 90), _session("tagged", 90, tags=("legal",)), _session("other", 90)
    _record(home, pinned, tagged, other)
    change_pins(home / "sessions", add=[pinned.session_id])
    storage = {"delete_bodies_after": "1d", "delete_sessions_after": "2d", "max_bytes": 1, "hold_tags": ("legal",)}
    report = prune(_config(home, **storage), NOW)
    assert (report.sessions_deleted, report.held_count) == (1, 2)
    assert set(_state(home)) == {pinned.session_id, tagged.session_id}
    change_pins(home / "sessions", remove=[pinned.session_id])
    assert read_pins(home / "sessions") == set()
    assert prune(_config(home, **storage), NOW).sessions_deleted == 1
    _check_index(home)


def test_above_the_limit_of_size_bodies_go_oldest_first(home: Path) -> None:
    scripts = [_session(f"s{age}", age) for age in (30, 20, 10)]
    _record(home, *scripts)
    total = sum(path.stat().st_size for _, path in session_files(home / "sessions"))
    assert prune(_config(home, max_bytes=total), NOW).due == []
    report = prune(_config(home, max_bytes=total - 1), NOW)
    assert [(one.session_id, one.why) for one in report.due] == [(scripts[0].session_id, "storage.max_bytes")]
    assert list(_state(home).values()) == ["bodiless", "whole", "whole"]
    _check_index(home)


def test_old_sums_go_from_the_index_and_from_what_it_is_made_of(home: Path) -> None:
    _record(home, _session("new", 10), _session("old", 90))
    storage = {"delete_bodies_after": "1d", "delete_sessions_after": "60d", "delete_sums_after": "80d"}
    report = prune(_config(home, **storage), NOW)
    assert report.sums_deleted > 0
    days = {row[0] for row in dump(home / "sessions" / "sessions.db")["daily_stats"]}
    assert days == {f"{NOW - timedelta(days=10):%Y-%m-%d}"}
    _check_index(home)


def test_a_file_that_is_not_whole_is_named_and_left_alone(home: Path) -> None:
    script = _session("old", 90)
    _record(home, script, is_compressed=False)
    path = existing_file(home / "sessions", script.session_id)
    assert path is not None
    path.write_bytes(b"not json\n" + path.read_bytes())
    for storage in ({"delete_sessions_after": "1d"}, {"delete_bodies_after": "1d"}):
        report = prune(_config(home, **storage), NOW)
        assert script.session_id in report.left_alone[0]
        assert path.read_bytes().startswith(b"not json\n")
        assert _state(home) == {script.session_id: "whole"}


@pytest.mark.parametrize("clock", ["delete_bodies_after", "delete_sessions_after"])
def test_killed_anywhere_a_session_is_whole_or_done_and_the_next_run_does_the_rest(
    home: Path, tmp_path: Path, clock: str
) -> None:
    _record(home, _session("old", 90), _session("new", 1))
    config = _config(home, **{clock: "30d"})
    keep = tmp_path / "keep"
    shutil.copytree(home, keep)

    def again() -> None:
        shutil.rmtree(home)
        shutil.copytree(keep, home)

    again()
    prune(config, NOW)
    wanted = dump(home / "sessions" / "sessions.db"), _state(home)
    steps = 0
    for _ in deaths(lambda: prune(config, NOW), [retention, replacing, removed, forget], again):
        steps += 1
        for _, path in session_files(home / "sessions"):
            assert len(list(read_lines(path))) == 7
        prune(config, NOW)
        assert (dump(home / "sessions" / "sessions.db"), _state(home)) == wanted
        _check_index(home)
    assert steps * SAMPLE > 90


def test_the_command_shows_deletes_and_pins(home: Path) -> None:
    ages = [(datetime.now(UTC) - NOW).days + days for days in (10, 90)]
    new, old = (_session(f"age{days}", -days) for days in ages)
    _record(home, new, old)
    (home / "config.toml").write_text('[storage]\ndelete_sessions_after = "1d"\n')

    def run(*words: str) -> str:
        environment = {"LUNAROUTE_HOME": str(home), "COLUMNS": "120", "TERM": "dumb"}
        result = CliRunner().invoke(cli, words, env=environment)
        assert result.exit_code == 0, result.output
        return result.stdout

    due = json.loads(run("prune", "--dry-run", "--json"))["due"]
    assert [one["what"] for one in due] == ["session"] * len(due)
    if due:
        run("sessions", "pin", due[0]["session_id"])
        assert "1 held by a pin or a tag" in run("prune", "--dry-run")
        run("sessions", "unpin", due[0]["session_id"])
    assert f"{len(due)} sessions" in run("prune")
    assert isinstance(cli, click.Group)


def test_the_keeper_tells_what_it_deleted(tmp_path: Path) -> None:
    report = PruneReport(bodies_deleted=2, freed_bytes=5, left_alone=["x"])
    housekeeper.write_report(tmp_path, report)
    info = msgspec.json.decode((tmp_path / "housekeeper.json").read_bytes(), type=housekeeper.HousekeeperInfo)
    assert (info.bodies_deleted, info.freed_bytes, info.left_alone) == (2, 5, ["x"])
