"""The page on sinks: its example keeps the contract, and gets what a server records."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from lunaroute.simulator import start_simulator
from lunaroute.supervisor.instance import read_recorder
from tests.integration.test_reprice_live import ask
from tests.plugins import install
from tests.support.server import query, recorded, serving, wait_until

from .snippets import blocks


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example installed, on the path of every Python that is started."""
    texts = {block.name: block.text for block in blocks("docs/sinks.md")}
    folder = tmp_path / "packages"
    install(folder, "lunaroute_spend", texts["plugin"], texts["entry_point"])
    (folder / "test_spend.py").write_text(texts["test"])
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def test_the_example_keeps_the_contract(packages: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={packages}", "test_spend.py"]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert "9 passed" in done.stdout


def test_the_example_has_what_a_server_recorded_when_that_has_stopped(packages: Path, tmp_path: Path) -> None:
    home, database = tmp_path / "home", tmp_path / "spend" / "spend.db"
    home.mkdir()
    (home / "config.toml").write_text(f'[sinks.spend]\nbackfill = true\ndatabase = "{database}"\n')

    def spent() -> list[tuple[str, float]]:
        if not database.exists():
            return []
        with closing(sqlite3.connect(database)) as db:
            return db.execute("SELECT request_id, usd FROM spend ORDER BY request_id").fetchall()

    def recorded_here() -> list[tuple[str, float]]:
        rows = query(home / "sessions" / "sessions.db", "SELECT request_id, total_cost_usd AS usd FROM session_stats")
        return sorted((row["request_id"], row["usd"]) for row in rows)

    with start_simulator(seed="sinks") as provider:
        with serving(home, {"anthropic": provider.base_url}) as server:
            ask(server.base_url, "first")
            recorded(home, 1)
            wait_until(lambda: len(spent()) == 1)
            ask(server.base_url, "second")
        assert spent() == recorded_here()
        assert len(spent()) == 2
    recorder = read_recorder(home / "run")
    assert recorder is not None
    assert recorder.dead_letters == 0


def test_a_wrong_option_is_said_before_the_server_starts(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[sinks.spend]\ndatabas = "/x"\n')
    command = [sys.executable, "-m", "lunaroute", "serve", f"--home={tmp_path}", "--port=0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown key 'databas' in [sinks.spend]; did you mean database?" in done.stderr
