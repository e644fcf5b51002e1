"""Sessions of another home are brought in as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunaroute.errors import LunarouteError
from lunaroute.sinks.importing.homes import import_home
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import zstd
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import SessionScript
from tests.unit.sinks.test_reindex import _scripts, dump


def record(home: Path, *scripts: SessionScript, upto: int | None = None) -> None:
    for sink in (JsonlSink(home / "sessions"), SqliteSink(home / "sessions" / "sessions.db", home / "sessions")):
        sink.open()
        for script in scripts:
            sink.write_batch(script.events[:upto])
        sink.close()


def bring_in(there: Path, here: Path) -> tuple[int, int, int]:
    (here / "sessions").mkdir(parents=True, exist_ok=True)
    report = import_home(there, here / "sessions", here / "sessions" / "sessions.db")
    assert (report.problems, report.bad_lines) == ([], [])
    return report.session_count, report.exchange_count, report.known_count


def contents(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for _, path in session_files(home / "sessions")}


def test_files_and_rows_are_those_of_the_other_home(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    record(there, *_scripts())
    assert bring_in(there, here) == (12, 36, 0)
    assert contents(here) == contents(there)
    assert dump(here / "sessions" / "sessions.db") == dump(there / "sessions" / "sessions.db")
    assert bring_in(there / "sessions", here) == (0, 0, 12)


def test_compressed_files_stay_compressed(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    record(there, *_scripts())
    for _, path in list(session_files(there / "sessions")):
        path.with_suffix(".jsonl.zst").write_bytes(zstd.compress(path.read_bytes()))
        path.unlink()
    assert bring_in(there, here) == (12, 36, 0)
    assert contents(here) == contents(there)
    assert bring_in(there, here) == (0, 0, 12)


def test_a_session_that_went_on_there_goes_on_here(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    script = SessionScript("alpha").turn("a", "b").turn("c", "d").complete()
    record(there, script, upto=3)
    assert bring_in(there, here) == (1, 1, 0)
    record(there, script)
    assert bring_in(there, here)[0] == 1
    assert dump(here / "sessions" / "sessions.db") == dump(there / "sessions" / "sessions.db")


def test_a_session_that_went_another_way_here_is_left_alone(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    record(there, SessionScript("alpha").turn("a", "b").turn("c", "d"))
    record(here, SessionScript("alpha").turn("a", "another answer"))
    before = contents(here)
    assert bring_in(there, here) == (0, 0, 1)
    assert contents(here) == before


def test_a_home_does_not_import_itself_nor_nothing(tmp_path: Path) -> None:
    record(tmp_path, SessionScript("alpha").turn())
    with pytest.raises(LunarouteError, match="this home's own"):
        bring_in(tmp_path, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LunarouteError, match="no session files"):
        bring_in(tmp_path / "empty", tmp_path)
