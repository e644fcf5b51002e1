"""What is in flight, and what was recorded, reaches a watcher of a real server; through restarts too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.events.types import Completed
from lunaroute.simulator.launch import RunningSimulator, start_simulator
from lunaroute.supervisor.instance import ServerInfo, read_info
from tests.support.server import recorded, serving, sessions, wait_until

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_LONG_MS = 600_000
"""Longer than any test lasts: the provider is in the middle of its answer for as long as the test wants."""


class Told(msgspec.Struct, frozen=True):
    """A message of the stream."""

    event: str
    data: dict[str, Any]
    id: str


class Watcher:
    """One connection to `/api/v1/events`, read in a thread of its own."""

    def __init__(self, ui_port: int, query: str = "", last_id: str = "") -> None:
        headers = {"last-event-id": last_id} if last_id else {}
        request = urllib.request.Request(f"http://127.0.0.1:{ui_port}/api/v1/events?{query}", headers=headers)
        self._answer = _DIRECT.open(request, timeout=60)
        self.told: list[Told] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(30)
        self._answer.close()

    def cut(self) -> None:
        """The connection breaks."""
        self._answer.fp.raw._sock.shutdown(2)
        self.close()

    def wait(self, event: str, **fields: object) -> Told:
        """The first message of this kind with these fields."""

        def find() -> Told | None:
            return next(
                (one for one in list(self.told) if one.event == event and fields.items() <= one.data.items()), None
            )

        wait_until(find)
        found = find()
        assert found is not None
        return found

    def text(self) -> str:
        """All that was said by what is in flight."""
        deltas = [delta for one in list(self.told) for delta in one.data.get("deltas", [])]
        return "".join(delta.get("text", "") for delta in deltas if delta["kind"] == "text")

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for raw in self._answer:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    self.told.append(Told(fields["event"], json.loads(fields["data"]), fields.get("id", "")))
                    fields = {}
        except (OSError, ValueError, AttributeError):
            return


@contextmanager
def _asking(info: ServerInfo, text: str, directives: str = "") -> Iterator[threading.Thread]:
    """A streaming request in a thread that ends with its answer, or when the block does."""
    body = {"model": "claude-opus-4-5", "max_tokens": 1000, "stream": True}
    body["messages"] = [{"role": "user", "content": text}]
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"} | ({"x-simulate": directives} if directives else {})
    request = urllib.request.Request(
        f"http://127.0.0.1:{info.port}/v1/messages", json.dumps(body).encode(), headers | {"content-type": "x/json"}
    )
    answer = _DIRECT.open(request, timeout=600)

    def read() -> None:
        with suppress(OSError, HTTPException):
            answer.read()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield thread
    if thread.is_alive():
        answer.fp.raw._sock.shutdown(2)
    thread.join(30)
    answer.close()


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
        with _asking(info, "say something", f"silent_gap_ms={_LONG_MS}; answer_bytes=4000") as asking:
            request = watcher.wait("request_recorded", request_text="say something")
            wait_until(lambda: len(watcher.text()) > 1000)
            assert asking.is_alive()
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
            with _asking(info, f"question {number}") as asking:
                asking.join(60)
            if number != 2:
                watcher.wait("request_recorded", request_text=f"question {number}")
            watcher.cut()
            seen += watcher.told
            for module in ("lunaroute.recorder", "lunaroute.dashboard"):
                if killed in (module, "both"):
                    _kill(info, module)
            with _asking(info, f"unseen {number}") as asking:
                asking.join(60)
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
