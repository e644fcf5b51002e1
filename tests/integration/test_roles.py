"""Relay, recorder and dashboard of one home as servers of their own."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from lunaroute.cli.control import read_status
from lunaroute.config import Config
from lunaroute.simulator import start_simulator
from lunaroute.supervisor.instance import read_info
from tests.support.faults import Stream
from tests.support.server import Server, exchanges, query, recorded, sessions, start_server, wait_until

_ANSWER_BYTES = 100


def _ask(server: Server, marker: str) -> None:
    stream = Stream(server.port, marker, answer_bytes=_ANSWER_BYTES)
    stream.read_to_end()
    assert stream.is_whole


def _get(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
        return port


def _begin(home: Path, role: str, *more: str) -> Server:
    return start_server(home, {}, role=role, flags=["--node=pod-7", *more], has_dashboard=role == "web")


def test_relay_recorder_and_dashboard_come_and_go_by_themselves(tmp_path: Path) -> None:
    home, port = tmp_path / "home", _free_port()
    with start_simulator() as provider:
        # Whose they are: of the address that was asked, which is a name of a tenant too.
        variables = {"LUNAROUTE_TENANTS_RULES": "header:host"}
        relay = start_server(home, {"anthropic": provider.base_url}, role="relay", variables=variables)
        try:
            wait_until(lambda: read_info(home / "run") is not None or relay.process.poll() is not None)
            _ask(relay, "nobody records yet")
            tenant = "127.0.0.1"
            assert _get(f"{relay.base_url}/lunaroute/ready")[0] == 200
            status = read_status(Config(home=home))
            assert (status["is_running"], status["processes"]["recorder"]) == (True, None)

            recorder = _begin(home, "recorder")
            recorded(home, 1)
            assert recorder.stop() == 0, recorder.said  # at once: it does not wait for the relay
            _ask(relay, "nobody records again")

            recorder, web = _begin(home, "recorder"), _begin(home, "web", f"--ui-port={port}")
            recorded(home, 2)
            wait_until(lambda: "look at them" in web.said or web.process.poll() is not None)
            assert _get(f"http://127.0.0.1:{port}/healthz") == (200, {"status": "ok"})
            assert _get(f"http://127.0.0.1:{port}/readyz") == (200, {"status": "ok"})
            assert len(_get(f"http://127.0.0.1:{port}/api/v1/sessions")[1]["items"]) > 0
            assert web.stop() == 0, web.said
            wait_until(lambda: read_status(Config(home=home))["recording"]["waiting_bytes"] is not None)
            assert relay.stop() == 0, relay.said
            database = home / "sessions" / "sessions.db"
            wait_until(lambda: not query(database, "SELECT 1 FROM sessions WHERE completed_at IS NULL"))
            assert recorder.stop() == 0, recorder.said
        finally:
            relay.stop()
    assert [one.request.request_text for one in exchanges(home)] == ["nobody records yet", "nobody records again"]
    assert {(one.started.tenant, one.started.node) for one in sessions(home)} == {(tenant, "pod-7")}
    found = query(database, f"SELECT tenant, node FROM sessions WHERE tenant = '{tenant}'")
    assert len(found) == len(sessions(home))
