"""What is in flight, and what was recorded, reaches a watcher of a real server; through restarts too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from lunaroute.events import decode_event
from lunaroute.simulator.launch import start_simulator
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import read_lines
from lunaroute.supervisor.instance import ServerInfo, read_info
from tests.support.server import serving, wait_until
from tests.support.watching import LONG_MS, Told, Watcher, asking


def _info(home: Path) -> ServerInfo:
    info = read_info(home / "run")
    assert info is not None
    return info


def _kill(info: ServerInfo, module: str) -> None:
    command = ["ps", "-o", "pid=,args=", "--ppid", str(info.pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    [pid] = [int(line.split()[0]) for line in listed if module in line]
    os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a running server whose provider is simulated."""
    home = tmp_path_factory.mktemp("live") / "home"
    with start_simulator() as simulator, serving(home, {"anthropic": simulator.base_url}, has_dashboard=True):
        yield home


def _files(home: Path) -> list[tuple[str, int]]:
    """Every event that there is."""
    paths = [path for _, path in session_files(home / "sessions")]
    events = [decode_event(line) for path in paths for line in read_lines(path)]
    return sorted((event.session_id, event.seq) for event in events)


def test_text_is_seen_while_the_provider_is_still_talking(home: Path) -> None:
    info = _info(home)
    watcher = Watcher(info.ui_port)
    other = Watcher(info.ui_port, "q=model:gpt")
    with asking(info, "say something", f"silent_gap_ms={LONG_MS}; answer_bytes=4000") as thread:
        request = watcher.wait("request_recorded", request_text="say something")
        request_id = request.data["request_id"]
        wait_until(lambda: len(watcher.text(request_id)) > 1000)
        assert thread.is_alive()
        late = Watcher(info.ui_port)
        wait_until(lambda: late.text(request_id) == watcher.text(request_id))
        newest = [one.data for one in watcher.told if one.data.get("request_id") == request_id][-1]
        assert newest["session_id"] == request.data["session_id"]
        assert newest["output_is_estimated"]
        assert newest["output_tokens"] > 250
        assert newest["input_tokens"] > 0
        assert newest["cost_usd"] > 0
    ended = watcher.wait("response_recorded", request_id=request_id)
    watcher.wait("ended", request_id=request_id)
    late.wait("ended", request_id=request_id)
    assert ended.data["outcome"] == "client_cancelled"
    assert ended.data["response_text"] == watcher.text(request_id) == late.text(request_id)
    assert other.told == []
    for one in (watcher, late, other):
        one.cut()


def test_a_watcher_sees_each_event_once_through_all_restarts(home: Path) -> None:
    info = _info(home)
    seen: list[Told] = []
    watcher = Watcher(info.ui_port, "in_flight=0&after=first")
    for number, killed in enumerate(["", "lunaroute.recorder", "lunaroute.dashboard", "both"]):
        with asking(info, f"question {number}") as thread:
            thread.join(60)
        if number:
            watcher.wait("request_recorded", request_text=f"question {number}")
        watcher.cut()
        seen += watcher.told
        for module in ("lunaroute.recorder", "lunaroute.dashboard"):
            if killed in (module, "both"):
                _kill(info, module)
        with asking(info, f"unseen {number}") as thread:
            thread.join(60)
        watcher = Watcher(info.ui_port, "in_flight=0&after=first", last_id=seen[-1].id if seen else "")
    watcher.wait(
        "response_recorded", request_id=watcher.wait("request_recorded", request_text="unseen 3").data["request_id"]
    )
    wait_until(lambda: sum(one.event == "response_recorded" for one in [*seen, *watcher.told]) >= 8)
    expected = _files(home)
    watcher.cut()
    seen += watcher.told
    assert sorted((one.data["session_id"], one.data["seq"]) for one in seen) == expected
    assert [one for one in seen if one.event == "resync"] == []


def test_the_same_comes_over_a_websocket(home: Path) -> None:
    info = _info(home)
    address = f"ws://127.0.0.1:{info.ui_port}/api/v1/events"
    with pytest.raises(InvalidStatus), connect(address, origin=Origin("http://evil.example"), proxy=None):
        pass
    with connect(f"{address}?q=nothing:here", proxy=None) as refused, pytest.raises(ConnectionClosed, match="1008"):
        refused.recv(30)
    with connect(f"{address}?q=client:nobody", proxy=None) as silent, connect(address, proxy=None) as socket:
        with asking(info, "hello", f"silent_gap_ms={LONG_MS}; answer_bytes=4000"):
            request_id = ""
            while not request_id:
                told = json.loads(socket.recv(30))
                is_ours = told["data"].get("request_text") == "hello"
                request_id = told["data"]["request_id"] if is_ours else ""
            text = ""
            while len(text) < 1000:
                data = json.loads(socket.recv(30))["data"]
                is_ours = data.get("request_id") == request_id
                text += "".join(delta.get("text", "") for delta in data.get("deltas", []) if is_ours)
        while told["event"] != "response_recorded" or told["data"]["request_id"] != request_id:
            told = json.loads(socket.recv(30))
        assert told["data"]["response_text"].startswith(text)
        with pytest.raises(TimeoutError):
            silent.recv(0)
