"""Some exchanges of a session, read without the rest of its file; and whether the index has changed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from lunaroute.errors import NoSuchSession
from lunaroute.query import lines
from lunaroute.query.changes import ChangeWatch
from lunaroute.query.index import open_index
from lunaroute.query.lines import events_of
from lunaroute.query.session_detail import (
    neighbours,
    read_detail,
    session_calls,
    session_exchanges,
    working_sessions,
)
from lunaroute.query.transcript import show_session
from lunaroute.query.turns import read_turns
from lunaroute.sinks.layout import existing_file
from lunaroute.sinks.packed import pack
from lunaroute.sinks.session_file import read_events
from tests.builders import SessionScript

from .conftest import record


def _path(home: Path, script: SessionScript) -> Path:
    path = existing_file(home / "sessions", script.session_id)
    assert path is not None
    return path


def test_every_exchange_is_what_the_whole_file_says_of_it(home: Path, scripts: dict[str, SessionScript]) -> None:
    for script in scripts.values():
        path = _path(home, script)
        whole = list(read_events(path, lambda bad: pytest.fail(str(bad))))
        for request_id in {one.request_id for one in whole}:
            mine = [
                one
                for one in whole
                if one.request_id == request_id
                and one.__struct_config__.tag in ("request_recorded", "response_recorded")
            ]
            assert list(events_of(path, {request_id})) == mine


def test_turns_have_the_results_of_their_calls(home: Path, scripts: dict[str, SessionScript]) -> None:
    script = scripts["old"]
    whole = show_session(home / "sessions", script.session_id).turns
    first, second = (turn.request_id for turn in whole)
    assert read_turns(home / "sessions", script.session_id, {first}, {second}) == whole[:1]
    assert [use.output_text for use in whole[0].tool_calls] == ["buy milk", "no such target"]
    assert read_turns(home / "sessions", script.session_id, {second}) == whole[1:]


def test_compressed_files_are_read_as_well(home: Path, scripts: dict[str, SessionScript]) -> None:
    script = scripts["old"]
    path = _path(home, script)
    expected = read_turns(home / "sessions", script.session_id, {script.events[1].request_id})
    pack(path, path.with_name(f"{path.name}.zst"))
    path.unlink()
    assert read_turns(home / "sessions", script.session_id, {script.events[1].request_id}) == expected


def test_only_what_is_asked_for_is_decoded(
    home: Path, scripts: dict[str, SessionScript], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []
    decode = lines.decode_event
    monkeypatch.setattr(lines, "decode_event", lambda line: decoded.append(line) or decode(line))
    script = scripts["old"]
    found = list(events_of(_path(home, script), {script.events[1].request_id}))
    assert len(found) == len(decoded) == 2


def test_text_that_looks_like_the_end_of_a_line_is_no_end(tmp_path: Path) -> None:
    other = "01a21c55-e0df-7aed-8106-ab14c2c6f935"
    fake = f'"request_id":"{other}","timestamp":"2026-11-22T10:00:00.000000Z","seq":1,"schema":1}}'
    script = SessionScript("fake").turn(fake, fake, request_json=msgspec.json.encode({"x": fake})).complete()
    record(tmp_path, script)
    assert list(events_of(_path(tmp_path, script), {other})) == []
    assert len(list(events_of(_path(tmp_path, script), {script.events[1].request_id}))) == 2


def test_damaged_lines_of_others_are_passed_over(home: Path, scripts: dict[str, SessionScript]) -> None:
    script = scripts["old"]
    path = _path(home, script)
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(whole[0] + b'{"type":"request_recorded","half\n' + b"\xff\xfe\n" + b"".join(whole[1:]))
    assert len(list(events_of(path, {script.events[1].request_id}))) == 2


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoSuchSession):
        read_turns(tmp_path, "01a21c55-e0df-7aed-8106-ab14c2c6f935", {"x"})


# ---- numbers of one session


def test_numbers_of_a_session(home: Path, scripts: dict[str, SessionScript]) -> None:
    index = open_index(home / "sessions" / "sessions.db")
    assert index is not None
    old, failed, live = (scripts[name].session_id for name in ("old", "failed", "live"))
    exchanges, calls = session_exchanges(index, old), session_calls(index, old)
    assert [one.input_tokens for one in exchanges] == [1200, 1300]
    assert [(one.tool_name, one.success) for one in calls] == [("Read", True), ("Bash", False)]
    assert {one.result_request_id for one in calls} == {exchanges[1].request_id}
    assert read_detail(index, old).user_agent == "claude-cli/2.0.1"
    assert working_sessions(index, [old, failed, live]) == {live}
    assert neighbours(index, failed) == (old, live)
    assert neighbours(index, old)[0] is None
    with pytest.raises(NoSuchSession):
        read_detail(index, "nobody")
    index.close()


# ---- changes


def test_changes_are_seen_and_quiet_is_quiet(tmp_path: Path) -> None:
    database = tmp_path / "sessions" / "sessions.db"
    watch = ChangeWatch(database)
    nothing = watch.look()
    assert watch.look() == nothing
    record(tmp_path, SessionScript("one").turn())
    made = watch.look()
    assert made > nothing
    assert watch.look() == made
    record(tmp_path, SessionScript("two").turn())
    assert watch.look() > made
    watch.close()


def test_an_index_made_anew_is_a_change(tmp_path: Path) -> None:
    database = tmp_path / "sessions" / "sessions.db"
    record(tmp_path, SessionScript("one").turn())
    watch = ChangeWatch(database)
    before = watch.look()
    copy = database.with_name("copy.db")
    copy.write_bytes(database.read_bytes())
    copy.replace(database)
    assert watch.look() > before
    watch.close()
