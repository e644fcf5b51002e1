"""`lunaroute sessions end` with a running server, and without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lunaroute.simulator import start_simulator
from tests.builders import SessionScript
from tests.integration.test_reprice_live import ask
from tests.support.server import clean_environment, query, recorded, serving, sessions
from tests.unit.query.conftest import record


def end(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lunaroute", "sessions", "end", *words, f"--home={home}"]
    return subprocess.run(command, env=clean_environment(), check=False, capture_output=True, text=True, timeout=60)


def test_a_session_is_over_when_the_command_returns(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with start_simulator(seed="end") as provider, serving(home, {"anthropic": provider.base_url}) as server:
        ask(server.base_url, "first")
        ask(server.base_url, "second")
        recorded(home, 2)
        database = home / "sessions" / "sessions.db"
        first, second = query(database, "SELECT session_id FROM sessions ORDER BY session_id")
        ended = end(home, first["session_id"])
        assert (ended.returncode, ended.stdout) == (0, f"ended {first['session_id']}\n")
        rows = query(database, "SELECT completion_reason FROM sessions ORDER BY session_id")
        assert [row["completion_reason"] for row in rows] == ["ended", None]
        again = end(home, first["session_id"])
        assert again.returncode == 0
        assert again.stdout.startswith("over since ")
        ask(server.base_url, "first")
        recorded(home, 3)
        unknown = end(home, "ffff")
        assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert [one.completed.reason for one in sessions(home)] == ["ended", "shutdown", "shutdown"]
    (third,) = query(database, "SELECT continues FROM sessions ORDER BY started_at DESC LIMIT 1")
    assert third["continues"] == first["session_id"]
    over = end(home, second["session_id"])
    assert over.stdout.startswith("over since ")


def test_without_a_server_nobody_could_end_it(tmp_path: Path) -> None:
    script = SessionScript("live").ask("are you there?")
    record(tmp_path, script)
    refused = end(tmp_path, script.session_id)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "no server runs" in refused.stderr
