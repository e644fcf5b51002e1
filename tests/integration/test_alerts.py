"""A budget, from the money spent to the request refused: through a whole server."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from lunaroute.simulator import start_simulator
from tests.integration.test_reprice_live import MODEL, ask
from tests.support.server import clean_environment, exchanges, recorded, serving, wait_until

RULES = f"""
[prices."anthropic/{MODEL}"]
input_mtok = 1000
output_mtok = 1000
[alerts.each]
when = "spend per session > 0.001"
block = true
"""


def _alerts(home: Path, *words: str) -> str:
    command = [sys.executable, "-m", "lunaroute", "alerts", *words, f"--home={home}"]
    done = subprocess.run(command, env=clean_environment(), check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def _refusal(base_url: str, session: str) -> dict[str, Any] | None:
    """What a refused client is told; None: it was served."""
    try:
        ask(base_url, session)
    except urllib.error.HTTPError as error:
        with error:
            said: dict[str, Any] = json.load(error)
        return said | {"status": error.code, "x-should-retry": error.headers["x-should-retry"]}
    return None


def test_a_session_above_its_budget_is_refused_and_others_pass(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(RULES)
    with start_simulator(seed="alerts") as provider, serving(home, {"anthropic": provider.base_url}) as server:
        ask(server.base_url, "spender")
        recorded(home, 1)
        wait_until(lambda: _refusal(server.base_url, "spender") is not None)
        said = _refusal(server.base_url, "spender")
        assert said is not None
        assert (said["status"], said["x-should-retry"]) == (429, "false")
        assert said["error"]["type"] == "rate_limit_error"
        assert said["error"]["message"].startswith("lunaroute: blocked until ")
        assert "the spend of the session is $" in said["error"]["message"]
        assert _refusal(server.base_url, "other") is None
        assert "exceeded: " in _alerts(home, "list")
        asked = len(provider.ledger())
    found = exchanges(home)
    blocked = [one.response for one in found if one.response.outcome == "blocked"]
    assert len(blocked) >= 2
    assert {(one.success, one.status_code) for one in blocked} == {(False, 429)}
    assert all("lunaroute: blocked until " in ((one.error and one.error.message) or "") for one in blocked)
    assert sum(one.response.outcome == "completed" for one in found) == asked
