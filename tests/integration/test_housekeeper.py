"""A server compresses what is over while it runs, and nobody who reads notices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from lunaroute.simulator import start_simulator
from lunaroute.sinks.layout import session_files
from tests.integration.test_reprice_live import ask
from tests.support.server import clean_environment, query, recorded, serving, sessions, wait_until


def _run(home: Path, *words: str) -> str:
    command = [sys.executable, "-m", "lunaroute", *words, f"--home={home}"]
    return subprocess.run(
        command, env=clean_environment(), check=True, capture_output=True, text=True, timeout=60
    ).stdout


def _suffixes(home: Path) -> list[str]:
    return [path.suffix for _, path in session_files(home / "sessions")]


def _home(folder: Path, more: str = "") -> Path:
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(f"[sessions]\nidle_timeout_s = 0.5\n{more}")
    return home


def test_a_session_is_compressed_when_it_ends_and_its_conversation_goes_on_in_the_next(tmp_path: Path) -> None:
    home = _home(tmp_path)
    with start_simulator(seed="housekeeper") as provider, serving(home, {"anthropic": provider.base_url}) as server:
        ask(server.base_url, "first")
        recorded(home, 1)
        wait_until(lambda: _suffixes(home) == [".zst"])
        ask(server.base_url, "first")
        recorded(home, 2)
        wait_until(lambda: _suffixes(home) == [".zst", ".zst"])
        first, second = sessions(home)
        assert second.started.continues == first.started.session_id
        for one in (first, second):
            (exchange,) = one.exchanges()
            shown = json.loads(_run(home, "sessions", "show", one.started.session_id, "--json"))
            assert [turn["request_id"] for turn in shown["turns"]] == [exchange.request.request_id]
            assert "max_tokens" in _run(home, "sessions", "raw", exchange.request.request_id)
        assert _run(home, "tail", "--json").count("\n") == sum(len(one.events) for one in sessions(home))
        assert first.started.session_id in _run(home, "search", "hi", "--json")
        before = query(home / "sessions" / "sessions.db", "SELECT * FROM sessions ORDER BY session_id")
        _run(home, "reindex")
        assert query(home / "sessions" / "sessions.db", "SELECT * FROM sessions ORDER BY session_id") == before
    names = os.listdir(next((home / "sessions").glob("2*")))
    assert [name for name in names if not name.endswith(".jsonl.zst")] == []


def test_what_ended_with_the_server_is_compressed_by_the_command_or_the_next_server(tmp_path: Path) -> None:
    home = _home(tmp_path, '[storage]\ncompress_after = "never"\n')
    with start_simulator(seed="housekeeper") as provider, serving(home, {"anthropic": provider.base_url}) as server:
        ask(server.base_url, "first")
        ask(server.base_url, "second")
        recorded(home, 2)
    assert _suffixes(home) == [".jsonl", ".jsonl"]
    told = [one.events for one in sessions(home)]
    assert "2 sessions compressed" in _run(home, "compress")
    assert _suffixes(home) == [".zst", ".zst"]
    assert [one.events for one in sessions(home)] == told
    assert "0 sessions compressed" in _run(home, "compress")
