"""A WebSocket cut in the middle of a turn by the client, the provider, or the death of a process of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from lunaroute.simulator import RunningSimulator, start_simulator
from tests.support.faults import accident_prone, check_recordings, kill, only, processes, session_of
from tests.support.server import Server, recorded


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningSimulator]:
    """It speaks as slowly as a model does."""
    with start_simulator(delay_factor=0.4) as running:
        yield running


class Talk:
    """An agent's socket."""

    def __init__(self, server: Server) -> None:
        self._socket = connect(server.base_url.replace("http:", "ws:") + "/v1/responses", max_size=None)
        self.last_id: str | None = None
        self.text = ""
        """Of the answer in progress, as far as it arrived."""

    def ask(self, marker: str, answer_bytes: int = 900, simulate: str = "") -> None:
        self.text = ""
        text = marked(marker, answer_bytes, simulate)
        event: dict[str, Any] = {"type": "response.create", "model": "gpt-4.1", "input": text}
        if self.last_id is not None:
            event["previous_response_id"] = self.last_id
        self._socket.send(json.dumps(event))

    def read(self, most_deltas: int = 10**9) -> bool:
        """Until the answer's end, the connection's, or so many deltas; whether it is whole."""
        deltas = 0
        with suppress(ConnectionClosed):
            while deltas < most_deltas:
                event = json.loads(self._socket.recv(timeout=30))
                if event["type"] == "response.output_text.delta":
                    self.text += event["delta"]
                    deltas += 1
                elif event["type"] == "response.completed":
                    self.last_id = event["response"]["id"]
                    return True
        return False

    def leave(self) -> None:
        """Without a word, as Codex does."""
        with suppress(OSError):
            self._socket.socket.shutdown(SHUT_RDWR)
        self._socket.close()


def marked(marker: str, answer_bytes: int = 900, simulate: str = "") -> str:
    return f"{marker}[[simulate: answer_bytes={answer_bytes};{simulate}]]"


def test_a_cut_turn_is_recorded_as_what_it_was_and_those_before_it_are_whole(
    provider: RunningSimulator, tmp_path: Path
) -> None:
    with accident_prone(tmp_path / "home", provider) as server:
        left, cut = Talk(server), Talk(server)
        for name, talk in (("left", left), ("cut", cut)):
            talk.ask(f"{name} before", 50)
            assert talk.read()
        left.ask("left by the client")
        left.read(5)
        left_text = left.text
        left.leave()
        cut.ask("cut by the provider", simulate="cut_after=4000")
        assert not cut.read()
        cut.leave()
        assert provider.ledger()[-1].outcome == "cut"
    found = check_recordings(tmp_path / "home")
    kept = only(found, marked("left by the client")).response
    assert kept.outcome == "client_cancelled"
    assert left_text
    assert kept.response_text.startswith(left_text)
    kept = only(found, marked("cut by the provider", simulate="cut_after=4000")).response
    assert (kept.outcome, kept.response_text) == ("upstream_cut", cut.text)
    for name in ("left", "cut"):
        assert only(found, marked(f"{name} before", 50)).response.outcome == "completed"


def test_a_killed_relay_interrupts_the_open_turn_only(provider: RunningSimulator, tmp_path: Path) -> None:
    with accident_prone(tmp_path / "home", provider) as server:
        talk = Talk(server)
        talk.ask("before", 50)
        assert talk.read()
        talk.ask("interrupted")
        talk.read(5)
        kill(*processes(server).relays)
        assert not talk.read()
        again = Talk(server)
        again.last_id = talk.last_id
        again.ask("after", 50)
        assert again.read()
        again.leave()
    found = check_recordings(tmp_path / "home")
    kept = only(found, marked("interrupted")).response
    assert kept.outcome == "interrupted"
    assert talk.text
    assert kept.response_text.startswith(talk.text)
    outcomes = [only(found, marked(name, 50)).response.outcome for name in ("before", "after")]
    assert outcomes == ["completed", "completed"]
    assert session_of(found, marked("after", 50)) is session_of(found, marked("before", 50))


def test_the_death_of_the_recorder_in_the_middle_of_a_socket_cannot_be_seen(
    provider: RunningSimulator, tmp_path: Path
) -> None:
    with accident_prone(tmp_path / "home", provider) as server:
        talk = Talk(server)
        texts = {}
        for number in range(4):
            talk.ask(f"turn {number}", 300)
            talk.read(3)
            begun = talk.text
            if number in (1, 2):
                kill(processes(server).recorder)
            assert talk.read()
            assert talk.text.startswith(begun)
            texts[number] = talk.text
        recorded(tmp_path / "home", 4)  # while the socket is open
        talk.leave()
    found = check_recordings(tmp_path / "home")
    (session,) = found
    assert session.completed.final_stats.request_count == 4
    for number, text in texts.items():
        kept = only(found, marked(f"turn {number}", 300))
        assert (kept.response.outcome, kept.response.response_text) == ("completed", text)
        assert kept.request.websocket is not None
        assert kept.request.websocket.index == number
