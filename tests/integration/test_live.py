"""What is in flight, and what was recorded, reaches a watcher of a real server; through restarts too."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunaroute.events.types import Completed
from lunaroute.simulator.launch import RunningSimulator, start_simulator
from lunaroute.supervisor.instance import ServerInfo, read_info
from tests.support.server import recorded, serving, sessions, wait_until
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
def simulator() -> Iterator[RunningSimulator]:
    with start_simulator() as running:
        yield running


def test_text_is_seen_while_the_provider_is_still_talking(tmp_path: Path, simulator: RunningSimulator) -> None:
    home = tmp_path / "home"
    with serving(home, {"anthropic": simulator.base_url}, has_dashboard=True):
        info = _info(home)
        watcher = Watcher(info.ui_port)
        other = Watcher(info.ui_port, "q=model:gpt")
        with asking(info, "say something", f"silent_gap_ms={LONG_MS}; answer_bytes=4000") as thread:
            request = watcher.wait("request_recorded", request_text="say something")
            wait_until(lambda: len(watcher.text()) > 1000)
            assert thread.is_alive()
            late = Watcher(info.ui_port)
            wait_until(lambda: late.text() == watcher.text())
            newest = [one.data for one in watcher.told if one.event == "in_flight"][-1]
            assert newest["session_id"] == request.data["session_id"]
            assert newest["request_id"] == request.data["request_id"]
            assert newest["output_is_estimated"]
            assert newest["output_tokens"] > 250
            assert newest["input_tokens"] > 0
            assert newest["cost_usd"] > 0
        ended = watcher.wait("response_recorded", outcome="client_cancelled")
        watcher.wait("ended", request_id=ended.data["request_id"])
        assert ended.data["response_text"] == watcher.text() == late.text()
        assert other.told == []
        recorded(home, 1)
    for one in (watcher, late, other):
        one.close()


def test_a_watcher_sees_each_event_once_through_all_restarts(tmp_path: Path, simulator: RunningSimulator) -> None:
    home = tmp_path / "home"
    seen: list[Told] = []
    with serving(home, {"anthropic": simulator.base_url}, has_dashboard=True):
        info = _info(home)
        watcher = Watcher(info.ui_port, "in_flight=0&after=first")
        for number, killed in enumerate(["", "lunaroute.recorder", "", "lunaroute.dashboard", "both"]):
            with asking(info, f"question {number}") as thread:
                thread.join(60)
            if number != 2:
                watcher.wait("request_recorded", request_text=f"question {number}")
            watcher.cut()
            seen += watcher.told
            for module in ("lunaroute.recorder", "lunaroute.dashboard"):
                if killed in (module, "both"):
                    _kill(info, module)
            with asking(info, f"unseen {number}") as thread:
                thread.join(60)
            watcher = Watcher(info.ui_port, "in_flight=0&after=first", last_id=seen[-1].id if seen else "")
        wait_until(lambda: sum(one.event == "response_recorded" for one in [*seen, *watcher.told]) == 10)
    watcher.close()  # it ended with the server, and so may have missed the ends of the sessions
    seen += watcher.told
    expected = [event for session in sessions(home) for event in session.events]
    told = [(one.data["session_id"], one.data["seq"]) for one in seen]
    assert len(told) == len(set(told))
    assert set(told) <= {(event.session_id, event.seq) for event in expected}
    missing = [event for event in expected if (event.session_id, event.seq) not in told]
    assert [event for event in missing if not isinstance(event, Completed)] == []
    assert [one for one in seen if one.event == "resync"] == []
