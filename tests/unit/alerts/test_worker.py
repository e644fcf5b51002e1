"""What fires is on record, told over every channel, and blocked where the rule says so."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.alerts import channels
from lunaroute.alerts.ledger import ask_for_lift, read_firing, read_latest
from lunaroute.alerts.worker import Alerts
from lunaroute.config import AlertConfig, Config
from lunaroute.relay.blocks import Block
from tests.builders import SessionScript
from tests.support.server import wait_until

from .conftest import Home


class Webhook:
    """Takes what is sent, and refuses the first one."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.refused = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                is_first = outer.refused == 0
                outer.refused += is_first
                self.send_response(503 if is_first else 204)
                self.end_headers()
                if not is_first:
                    outer.got.append(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setattr(channels, "_TRIES_AFTER_S", (0.0, 0.0, 0.0))
    taken = Webhook()
    yield taken
    taken.close()


def opened(home: Home, **rules: AlertConfig) -> Alerts:
    (home.path / "run").mkdir(exist_ok=True)
    return Alerts(Config(home=home.path, alerts=rules))


def blocks(home: Home) -> list[Block]:
    return msgspec.json.decode((home.path / "run" / "blocks.json").read_bytes(), type=list[Block])


def test_every_channel_is_told_what_is_on_record(
    home: Home, webhook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in {"page-me": "cat > paged.json", "notify-send": 'printf "%s\\n" "$@" > notified'}.items():
        (folder / name).write_text(f"#!/bin/sh\ncd '{tmp_path}'\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("sys.platform", "linux")
    rule = AlertConfig(when="spend per day > 1", desktop=True, webhook=webhook.url, command="page-me now")
    home.add(SessionScript("a", home.now - timedelta(minutes=5)).turn(cost_usd=2.0))
    alerts = opened(home, daily=rule)
    alerts.look(home.now)
    alerts.look(home.now)
    wait_until(lambda: webhook.got and (tmp_path / "paged.json").exists())
    alerts.close()
    (entry,) = read_latest(home.path / "alerts", 10)
    assert (entry.rule, entry.what, entry.value, entry.limit, entry.is_blocking) == ("daily", "fired", 2.0, 1.0, False)
    assert webhook.got == [msgspec.to_builtins(entry)]
    assert json.loads((tmp_path / "paged.json").read_bytes()) == msgspec.to_builtins(entry)
    assert (tmp_path / "notified").read_text().splitlines()[-2:] == ["LunaRoute: daily", entry.message]
    again = opened(home, daily=rule)
    again.look(home.now)
    again.close()
    assert len(read_latest(home.path / "alerts", 10)) == 1
    assert blocks(home) == []


def test_what_cannot_be_told_is_said_and_on_record(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(channels, "_TRIES_AFTER_S", (0.0,))
    home.add(SessionScript("a", home.now - timedelta(minutes=5)).turn(cost_usd=2.0))
    alerts = opened(home, daily=AlertConfig(when="spend per day > 1", command="there-is-no-such-program"))
    alerts.look(home.now)
    alerts.close()
    said = capsys.readouterr().err
    assert "alert: the spend of the day is $2.00, above $1.00 (rule 'daily')" in said
    assert "alert 'daily' could not be told (command)" in said
    assert len(read_latest(home.path / "alerts", 10)) == 1


def test_a_blocking_rule_blocks_until_its_period_ends_or_it_is_lifted(home: Home) -> None:
    rule = AlertConfig(when="spend per day > 1", filter="provider:anthropic", block=True)
    home.add(SessionScript("a", home.now - timedelta(minutes=5)).turn(cost_usd=2.0))
    alerts = opened(home, daily=rule)
    alerts.look(home.now)
    (block,) = blocks(home)
    assert (block.providers, block.header, block.tag) == (["anthropic"], None, None)
    assert block.until_s == (home.now.replace(hour=0) + timedelta(days=1)).timestamp()
    assert block.message.startswith("blocked until 2026-11-23 00:00")
    ask_for_lift(home.path / "alerts", "daily")
    alerts.look(home.now)
    assert blocks(home) == []
    assert read_firing(home.path / "alerts")["daily"][""].is_lifted
    alerts.close()
    again = opened(home, daily=rule)
    again.look(home.now)
    assert blocks(home) == []
    again.close()


def test_only_sessions_that_the_relay_can_know_are_blocked(home: Home) -> None:
    script = SessionScript("a", home.now - timedelta(minutes=5)).turn(cost_usd=2.0)
    home.add(script)  # its identity is the header x-session=a
    alerts = opened(home, each=AlertConfig(when="spend per session > 1", block=True))
    alerts.look(home.now)
    alerts.close()
    (block,) = blocks(home)
    assert (block.header, block.tag) == (("x-session", "a"), None)


def test_a_damaged_index_is_said_once_and_asked_again(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.add(SessionScript("a", home.now - timedelta(minutes=5)).turn(cost_usd=2.0))
    database = home.path / "sessions" / "sessions.db"
    aside = database.rename(database.with_suffix(".aside"))
    alerts = opened(home, daily=AlertConfig(when="spend per day > 1"))
    alerts.look(home.now)
    alerts.look(home.now)
    assert capsys.readouterr().err.count("; trying again") == 1
    aside.rename(database)
    alerts.look(home.now)
    alerts.close()
    assert len(read_latest(home.path / "alerts", 10)) == 1
