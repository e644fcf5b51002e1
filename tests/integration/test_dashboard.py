"""The dashboard beside the relay: it comes with the server, shows its traffic, and never stands in its way."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from lunaroute.supervisor.instance import ServerInfo, read_info
from tests.support.server import TIMEOUT_S, recorded, serving, wait_until

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _ask(info: ServerInfo, path: str) -> Any:
    with _DIRECT.open(f"http://127.0.0.1:{info.ui_port}/api/v1/{path}", timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def _metrics(info: ServerInfo) -> str:
    with _DIRECT.open(f"http://127.0.0.1:{info.ui_port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def _send(info: ServerInfo) -> int:
    """A request to a provider that is not there, which the relay answers itself; its status."""
    body = json.dumps(
        {"model": "claude-opus-4-5", "messages": [{"role": "user", "content": "are you there?"}]}
    ).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{info.port}/v1/messages", body, {"x-api-key": "k"})
    try:
        with _DIRECT.open(request, timeout=TIMEOUT_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _dashboard_pid(server_pid: int) -> int | None:
    # As files: not every system that runs these tests has `ps`.
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_child = f"PPid:\t{server_pid}\n" in (process / "status").read_text()
            if is_child and "lunaroute.dashboard" in (process / "cmdline").read_text():
                return int(process.name)
        except OSError:
            continue  # gone meanwhile
    return None


def _are_good(info: ServerInfo, *names: str) -> bool:
    states = {one["name"]: one["state"] for one in _ask(info, "health")["checks"]}
    return all(states.get(name) == "good" for name in names)


def test_server_has_a_dashboard_that_shows_its_traffic_and_may_die(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home, {}, has_dashboard=True) as server:
        info = read_info(home / "run")
        assert info is not None
        wait_until(lambda: f"look at them: http://127.0.0.1:{info.ui_port}/" in server.said)
        assert (_send(info), _send(info)) == (502, 502)
        recorded(home, 2)
        assert _ask(info, "exchanges")["items"][0]["model_name"] == "claude-opus-4-5"
        # The recorder tells about itself from time to time.
        wait_until(lambda: _are_good(info, "Relay", "Recorder"))
        ended = 'lunaroute_exchanges_total{model="claude-opus-4-5",outcome="upstream_unreachable",provider="anthropic"}'
        wait_until(lambda: f"{ended} 2.0" in _metrics(info))
        wait_until(lambda: "lunaroute_relay_recording 1.0" in _metrics(info))
        pid = _dashboard_pid(info.pid)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert _send(info) == 502
        # Its socket stays with the supervisor, so who comes meanwhile waits and is not refused.
        assert len(_ask(info, "sessions")["items"]) >= 1
        wait_until(lambda: _dashboard_pid(info.pid) not in (None, pid))


def test_a_dashboard_that_cannot_listen_stops_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serving(home, {}, flags=[f"--ui-port={port}"], has_dashboard=True) as server:
            info = read_info(home / "run")
            assert info is not None
            wait_until(lambda: f"no dashboard: port {port} is taken by another program; use --ui-port" in server.said)
            assert "look at them" not in server.said
            assert _send(info) == 502
            recorded(home, 1)
