"""`stop` and `status`."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lunaroute.cli.control import _duration
from tests.unit.supervisor.server_process import fake_server_command, is_alive, running, start, wait_until


def _lunaroute(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lunaroute", *arguments, "--home", str(home)]
    environ = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)


def _status(home: Path) -> tuple[int, dict[str, Any]]:
    result = _lunaroute(home, "status", "--json")
    return result.returncode, json.loads(result.stdout)


def test_stop_ends_the_server_and_its_children(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path)) as server:
        relay_pid = server.get()["pid"]
        result = _lunaroute(tmp_path, "stop")
        assert (result.returncode, result.stdout) == (0, f"stopped (pid {server.process.pid})\n")
        assert server.process.wait(timeout=15) == 0
        assert not is_alive(relay_pid)


def test_stop_without_a_server_says_so_and_is_no_failure(tmp_path: Path) -> None:
    result = _lunaroute(tmp_path, "stop")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"no server runs for {tmp_path}\n", "")


def test_stop_ends_relay_and_recorder_that_are_servers_of_their_own(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path, 0, 1, 0.2, "role=relay")) as relay:
        recorder = start(fake_server_command(tmp_path, 0, 1, 0.2, "role=recorder"))
        try:
            wait_until(lambda: len(relay.journal) == 1)
            _, status = _status(tmp_path)
            assert status["processes"] == {"relay": relay.process.pid, "recorder": recorder.pid, "web": None}
            assert _lunaroute(tmp_path, "status", "--role=relay").returncode == 0
            # The recorder is a false one and tells nothing of itself.
            assert _lunaroute(tmp_path, "status", "--role=recorder").returncode == 1
            (tmp_path / "run" / "recorder.json").write_text(json.dumps({"updated_at": time.time()}))
            assert _lunaroute(tmp_path, "status", "--role=recorder").returncode == 0
            result = _lunaroute(tmp_path, "stop")
            assert result.stdout == f"stopped (pid {relay.process.pid})\nstopped (pid {recorder.pid})\n"
            assert recorder.wait(timeout=15) == 0
        finally:
            recorder.kill()
            recorder.communicate(timeout=15)
    assert relay.journal[1] == "relay 0 stopped"


def test_stop_shows_progress_while_exchanges_are_open(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path, 0, 1, -0.5, "deaf")) as server:
        server.get()
        result = _lunaroute(tmp_path, "stop")
    assert result.returncode == 0
    assert "waiting for open exchanges and for the recorder (2 s)" in result.stderr


def test_status_of_a_running_server(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path, 0, 2)) as server:
        code, status = _status(tmp_path)
        text = _lunaroute(tmp_path, "status")
        url = f"http://127.0.0.1:{server.info.port}"
    assert code == 0
    assert (status["is_running"], status["is_healthy"], status["url"]) == (True, True, url)
    assert (status["pid"], status["workers"]) == (server.process.pid, 2)
    assert 0 <= status["uptime_s"] < 30
    assert text.returncode == 0
    assert text.stdout.startswith(f"running: {url}, pid {server.process.pid}, up ")


def test_status_without_a_server_is_exit_code_1_and_still_tells_about_recordings(tmp_path: Path) -> None:
    for folder in ("run", "sessions", "spool/w0"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "spool" / "w0" / "000000000001.seg").write_bytes(bytes(1000))
    (tmp_path / "run" / "recorder.json").write_text(
        '{"pid": 1, "lag_bytes": 12345, "updated_at": 1795341600.5, "exchanges_recorded": 7, "dead_letters": 2}'
    )
    with sqlite3.connect(tmp_path / "sessions" / "sessions.db") as index:
        index.execute("CREATE TABLE sessions (started_at TEXT, completed_at TEXT)")
        index.execute("INSERT INTO sessions VALUES (datetime('now') || '.000001', NULL), ('2020-01-01 00:00:00', 'x')")
    index.close()
    code, status = _status(tmp_path)
    assert code == 1
    assert (status["is_running"], status["pid"], status["url"]) == (False, None, None)
    assert status["recording"].pop("silent_s") >= 0
    assert status["recording"] == {
        "waiting_bytes": 12345,
        "spool_disk_bytes": 1000,
        "exchanges_recorded": 7,
        "dead_letters": 2,
        "unrecorded_exchanges": None,
        "updated_at": "2026-11-22T10:00:00.500000Z",
    }
    assert status["sessions"] == {"open": 1, "today": 1}
    lines = _lunaroute(tmp_path, "status").stdout.splitlines()
    assert lines == [
        f"not running ({tmp_path})",
        "recording: 7 exchanges since the recorder's start, 12,345 bytes waiting in the spool",
        "dead letters: 2 (`lunaroute retry --list` has the reasons)",
        "sessions: 1 open, 1 started today (UTC)",
    ]


def test_status_says_when_the_recorder_of_a_running_server_is_silent(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path)):
        recorder = tmp_path / "run" / "recorder.json"
        recorder.write_text('{"lag_bytes": 5, "updated_at": 1795341600.5, "unrecorded_exchanges": 3}')
        text = _lunaroute(tmp_path, "status").stdout
        assert "the recorder is not at work since 2026-11-22T10:00:00.500000Z" in text
        assert "not recorded: 3 exchanges" in text
        recorder.write_text(f'{{"lag_bytes": 5, "updated_at": {time.time()}}}')
        assert "not at work" not in _lunaroute(tmp_path, "status").stdout


def test_status_of_a_home_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    code, status = _status(tmp_path / "home")
    assert (code, status["is_running"], status["sessions"]) == (1, False, {"open": None, "today": None})
    assert not (tmp_path / "home").exists()


def test_files_that_are_not_ours_are_unknown_not_a_failure(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "sessions").mkdir()
    (tmp_path / "run" / "recorder.json").write_text("{")
    (tmp_path / "sessions" / "sessions.db").write_text("no database, certainly")
    code, status = _status(tmp_path)
    assert code == 1
    assert status["recording"]["waiting_bytes"] is None
    assert status["sessions"]["open"] is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "up 0 s"), (59.9, "up 59 s"), (61, "up 1 min 1 s"), (7500, "up 2 h 5 min"), (200000, "up 2 d 7 h")],
)
def test_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert _duration(seconds) == text
