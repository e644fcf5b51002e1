"""Finished sessions become small, and at no moment is one unreadable, whoever dies."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lunaroute.archive.compress import compress_all, compress_sessions
from lunaroute.errors import LunarouteError
from lunaroute.events import decode_event, encode_event
from lunaroute.events.chain import link_of_line
from lunaroute.query.event_filter import EventFilter
from lunaroute.query.filter import EVERYTHING
from lunaroute.query.follow import Follower
from lunaroute.sinks import alone, packed, replacing
from lunaroute.sinks.alone import rewriting_alone
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import compressed_path, existing_file, plain_path, session_files
from lunaroute.sinks.reindex import reindex
from lunaroute.sinks.session_file import read_lines
from tests.builders import SessionScript
from tests.support.killed import SAMPLE, deaths
from tests.unit.sinks.test_reindex import dump


def _session(name: str, *, is_over: bool = True, turns: int = 3) -> SessionScript:
    script = SessionScript(name)
    for number in range(turns):
        script.turn(f"question {number}", request_json=json.dumps({"messages": ["x" * 300] * (number + 1)}).encode())
    return script.complete() if is_over else script


def _record(sessions_dir: Path, *scripts: SessionScript) -> None:
    sink = JsonlSink(sessions_dir)
    sink.open()
    sink.write_batch([event for script in scripts for event in script.events])
    sink.close()


def _lines(script: SessionScript) -> list[bytes]:
    lines: list[bytes] = []
    for event in script.events:
        prev = link_of_line(lines[-1]) if lines else None
        lines.append(encode_event(msgspec.structs.replace(event, prev=prev)))
    return lines


@pytest.fixture
def sessions_dir(tmp_path: Path) -> Iterator[Path]:
    return tmp_path / "sessions"  # type: ignore[return-value]


def test_what_is_over_is_compressed_and_what_is_not_is_left_alone(sessions_dir: Path) -> None:
    over, live, torn = _session("over"), _session("live", is_over=False), _session("torn")
    _record(sessions_dir, over, live, torn)
    torn_path = plain_path(sessions_dir, torn.session_id)
    torn_path.write_bytes(torn_path.read_bytes() + b'{"half')
    before = plain_path(sessions_dir, over.session_id).stat()
    report = compress_all(sessions_dir)
    assert (report.compressed_count, report.live_count, report.left_alone) == (1, 2, [])
    assert report.plain_bytes == before.st_size
    path = compressed_path(sessions_dir, over.session_id)
    assert path.stat().st_size == report.packed_bytes < before.st_size
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert not plain_path(sessions_dir, over.session_id).exists()
    assert list(read_lines(path)) == _lines(over)
    assert plain_path(sessions_dir, live.session_id).exists()
    assert torn_path.exists()
    assert compress_all(sessions_dir).compressed_count == 0


def test_nothing_younger_than_asked_for_is_touched(sessions_dir: Path) -> None:
    young, old = _session("young"), _session("old")
    _record(sessions_dir, young, old)
    os.utime(plain_path(sessions_dir, old.session_id), (1, 1))
    assert compress_all(sessions_dir, min_age_s=60).compressed_count == 1
    assert existing_file(sessions_dir, young.session_id) == plain_path(sessions_dir, young.session_id)


def test_killed_at_every_line_a_session_is_there_and_whole(sessions_dir: Path, tmp_path: Path) -> None:
    script = _session("alpha", turns=2)
    _record(sessions_dir, script)
    keep = tmp_path / "keep"
    shutil.copytree(sessions_dir, keep)

    def again() -> None:
        shutil.rmtree(sessions_dir)
        shutil.copytree(keep, sessions_dir)

    steps = 0
    for _ in deaths(lambda: compress_all(sessions_dir), [replacing, packed], again):
        steps += 1
        ((session_id, path),) = session_files(sessions_dir)
        assert (session_id, list(read_lines(path))) == (script.session_id, _lines(script))
        # The next run makes it good, whatever was left.
        assert compress_all(sessions_dir).compressed_count in (0, 1)
        assert os.listdir(sessions_dir / "2026-11-22") == [f"{session_id}.jsonl.zst"]
        assert list(read_lines(compressed_path(sessions_dir, session_id))) == _lines(script)
    assert steps * SAMPLE > 100


def test_a_disk_that_gives_back_something_else_costs_nothing(
    sessions_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = _session("alpha")
    _record(sessions_dir, script)
    original = packed.pack

    def rotten(source: Path, target: Path) -> packed.SeekIndex:
        index = original(source, target)
        data = bytearray(target.read_bytes())
        data[len(data) // 3] ^= 1
        target.write_bytes(data)
        return index

    monkeypatch.setattr(replacing, "pack", rotten)
    report = compress_all(sessions_dir)
    assert report.compressed_count == 0
    assert "does not hold what was written" in report.left_alone[0]
    assert os.listdir(sessions_dir / "2026-11-22") == [f"{script.session_id}.jsonl"]
    assert list(read_lines(plain_path(sessions_dir, script.session_id))) == _lines(script)


def test_what_is_changed_meanwhile_stays_as_it_is(sessions_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = _session("alpha")
    _record(sessions_dir, script)
    path = plain_path(sessions_dir, script.session_id)
    original = replacing.verify_packed

    def changed(*arguments: object) -> bool:
        path.write_bytes(path.read_bytes() + b"{}\n")
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(replacing, "verify_packed", changed)
    assert "changed by somebody else" in compress_all(sessions_dir).left_alone[0]
    assert path.read_bytes().endswith(b"{}\n")


def test_whoever_holds_the_lock_is_waited_for_and_then_named(
    sessions_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "_PATIENCE_S", 0.05)
    _record(sessions_dir, _session("alpha"))
    with (
        rewriting_alone(sessions_dir),
        pytest.raises(LunarouteError, match="rewriting session files"),
        rewriting_alone(sessions_dir),
    ):
        pass


def test_the_recorder_may_tell_an_old_session_again(sessions_dir: Path) -> None:
    script = _session("alpha")
    _record(sessions_dir, script)
    compress_all(sessions_dir)
    _record(sessions_dir, script)
    assert os.listdir(sessions_dir / "2026-11-22") == [f"{script.session_id}.jsonl.zst"]
    assert list(read_lines(compressed_path(sessions_dir, script.session_id))) == _lines(script)


def test_a_path_found_before_is_read_after(sessions_dir: Path) -> None:
    script = _session("alpha")
    _record(sessions_dir, script)
    path = existing_file(sessions_dir, script.session_id)
    assert path is not None
    compress_sessions(sessions_dir, [script.session_id], lambda _done, _total: True)
    assert list(read_lines(path)) == _lines(script)


def test_a_reindex_gives_the_same_rows(sessions_dir: Path) -> None:
    _record(sessions_dir, _session("one"), _session("two"), _session("live", is_over=False))
    database = sessions_dir / "sessions.db"
    reindex(sessions_dir, database)
    before = dump(database)
    compress_all(sessions_dir)
    reindex(sessions_dir, database)
    assert dump(database) == before


def test_who_follows_a_session_misses_and_repeats_nothing(sessions_dir: Path) -> None:
    script = _session("alpha")
    whole = _lines(script)
    _record(sessions_dir, script)
    path = plain_path(sessions_dir, script.session_id)
    follower = Follower(sessions_dir, EventFilter(EVERYTHING))
    path.write_bytes(b"".join(line + b"\n" for line in whole[:3]))
    assert list(follower.poll()) == whole[:3]
    path.write_bytes(b"".join(line + b"\n" for line in whole))
    compress_all(sessions_dir)
    assert list(follower.poll()) == whole[3:]
    assert list(follower.poll()) == []
    late = Follower(sessions_dir, EventFilter(EVERYTHING))
    assert [decode_event(line).seq for line in late.poll()] == list(range(len(whole)))
    passed_over = Follower(sessions_dir, EventFilter(EVERYTHING))
    assert passed_over.newest(2) == whole[-2:]
    assert list(passed_over.poll()) == []
