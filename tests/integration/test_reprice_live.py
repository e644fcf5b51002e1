"""`lunaroute reprice` beside a running server: what is over gets new costs, what is not stays the recorder's."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from lunaroute.simulator import start_simulator
from lunaroute.sinks.reindex import reindex
from tests.support.server import clean_environment, query, recorded, serving, sessions, wait_until
from tests.unit.sinks.test_reindex import dump

MODEL = "claude-haiku-4-5"
PRICES = f'[prices."anthropic/{MODEL}"]\ninput_mtok = 1000\noutput_mtok = 1000\n'


def ask(base_url: str, session: str) -> None:
    body = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "k"}
    url = f"{base_url}/s/{session}/v1/messages"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=30) as answer:
        answer.read()


def reprice(home: Path, prices: Path) -> None:
    command = [sys.executable, "-m", "lunaroute", "reprice", f"--home={home}", f"--config={prices}"]
    subprocess.run(command, env=clean_environment(), check=True, capture_output=True, timeout=60)


def test_a_running_server_and_a_repricing_do_not_disturb_each_other(tmp_path: Path) -> None:
    home, prices = tmp_path / "home", tmp_path / "prices.toml"
    home.mkdir()
    (home / "config.toml").write_text("[sessions]\nidle_timeout_s = 1.0\n")
    prices.write_text(PRICES)
    database = home / "sessions" / "sessions.db"
    with start_simulator(seed="reprice") as provider, serving(home, {"anthropic": provider.base_url}) as server:
        ask(server.base_url, "first")
        recorded(home, 1)
        wait_until(lambda: query(database, "SELECT 1 FROM sessions WHERE completed_at > ''"))
        ask(server.base_url, "second")
        recorded(home, 2)
        reprice(home, prices)
        ask(server.base_url, "second")
        recorded(home, 3)

    versions = [one.completed.final_stats.estimated_cost.price_version or "" for one in sessions(home)]
    assert " + own " in versions[0]
    assert sum(len(one.exchanges()) for one in sessions(home)) == 3
    before = dump(database)
    reindex(home / "sessions", database)
    assert dump(database) == before
