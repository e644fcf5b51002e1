"""`lunaroute alerts` shows how rules stand, and asks for a lift."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lunaroute.alerts.ledger import Entry, Ledger
from lunaroute.alerts.watch import Firing
from lunaroute.cli.alerts import alerts_group


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two rules, of which one is exceeded for a session."""
    rules = '[alerts.daily]\nwhen = "spend per day > 20"\n[alerts.each]\nwhen = "spend per session > 5"\nblock = true\n'
    (tmp_path / "config.toml").write_text(rules)
    ledger = Ledger(tmp_path / "alerts")
    ledger.store({"each": {"s1": Firing(since=datetime.now(UTC), value=6.0)}})
    told = Entry(
        at="2026-11-22T10:00:00+00:00",
        rule="each",
        when="spend per session > 5",
        what="fired",
        subject="s1",
        value=6.0,
        limit=5.0,
        is_blocking=True,
        message="the spend of the session of s1 is $6.00",
    )
    ledger.add([told])
    return tmp_path


def run(home: Path, *words: str) -> Result:
    return CliRunner(env={"LUNAROUTE_HOME": None}).invoke(alerts_group, [*words, "--home", str(home)])


def test_list_shows_rules_and_what_happened(home: Path) -> None:
    shown = run(home, "list").output
    assert "exceeded: 1" in shown
    assert "2026-11-22 10:00:00  the spend of the session of s1 is $6.00" in shown
    rows = {row["rule"]: row for row in json.loads(run(home, "list", "--json").output)}
    assert (rows["daily"]["firing"], rows["daily"]["blocks"]) == ([], False)
    assert (rows["each"]["firing"], rows["each"]["blocks"], rows["each"]["is_lifted"]) == (["s1"], True, False)


def test_lift_asks_the_process_that_watches(home: Path) -> None:
    assert "each is lifted" in run(home, "lift", "each").output
    assert Ledger(home / "alerts").lifts() == ["each"]
    assert Ledger(home / "alerts").lifts() == []
    assert "nothing to lift" in run(home, "lift", "daily").output


def test_a_rule_that_is_not_there_is_said(home: Path) -> None:
    refused = run(home, "lift", "weekly")
    assert (refused.exit_code, refused.output) == (2, "Error: there is no rule 'weekly'; there are: daily, each\n")
