"""Recorder and relay killed again and again under traffic: every exchange the provider saw is recorded exactly once."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.simulator import LedgerEntry, RunningSimulator, start_simulator
from tests.support.faults import Stream, accident_prone, check_recordings, kill, processes
from tests.support.server import Server, wait_until

KILLS = int(os.environ.get("LUNAROUTE_KILLS", "15"))
"""How many; more make a longer storm."""
_CLIENTS = 4
_WORKERS = 2
_CALM_S = 0.3


@pytest.fixture
def provider() -> Iterator[RunningSimulator]:
    with start_simulator(delay_factor=0.05) as running:
        yield running


class Clients:
    """Agents that go on asking, whatever becomes of their connections."""

    def __init__(self, server: Server) -> None:
        self._port = server.port
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self.asked_count = 0
        """About: threads may count at the same time."""
        self.answered: set[str] = set()
        """Markers of the requests whose response arrived in full."""
        self._threads = [threading.Thread(target=self._ask_on, args=(name,)) for name in range(_CLIENTS)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self) -> None:
        """Until a few more requests were sent."""
        asked = self.asked_count + 2 * _CLIENTS
        wait_until(lambda: self.asked_count >= asked)

    def _ask_on(self, name: int) -> None:
        while not self._stop.is_set():
            marker = f"marker {next(self._numbers)}"
            try:
                stream = Stream(self._port, marker, answer_bytes=300, session=f"agent {name}")
            except ConnectionResetError:  # accepted by a worker that died before it had read anything
                continue
            self.asked_count += 1
            stream.read_to_end()
            if stream.is_whole:
                self.answered.add(marker)


def test_no_exchange_is_lost_or_recorded_twice_however_often_processes_die(
    provider: RunningSimulator, tmp_path: Path
) -> None:
    chance = random.Random(os.environ.get("LUNAROUTE_KILLS_SEED", "storm"))
    with accident_prone(tmp_path / "home", provider, f"--workers={_WORKERS}") as server:
        with Clients(server) as clients:
            kills = 0
            while kills < KILLS:
                clients.wait_for_more()
                time.sleep(chance.uniform(0, _CALM_S))  # any moment in the life of an exchange
                here = processes(server)
                relay = chance.choice(here.relays)
                victims = chance.choice([[here.recorder], [relay], [here.recorder, relay], here.relays])
                kill(*victims)
                kills += len(victims)
            wait_until(lambda: len(processes(server).relays) == _WORKERS)
        calm = Stream(server.port, "calm", answer_bytes=50)
        calm.read_to_end()
        assert calm.is_whole
    found = check_recordings(tmp_path / "home")
    recorded = {one.request.request_text: one for session in found for one in session.exchanges()}
    assert len(recorded) == sum(len(session.exchanges()) for session in found)

    seen = {entry.request_sha256: entry for entry in provider.ledger() if entry.request_sha256}
    assert len(seen) >= KILLS
    by_sha = {one.request.body_sha256: one for one in recorded.values()}
    assert set(seen) <= set(by_sha)
    for sha, kept in by_sha.items():
        assert hashlib.sha256(request_bytes(kept.request)).hexdigest() == sha
        outcome = kept.response.outcome
        assert outcome in ("completed", "interrupted")
        if outcome == "completed":
            assert hashlib.sha256(response_bytes(kept.response)).hexdigest() == seen[sha].response_sha256
            assert kept.response.response_text == seen[sha].text
        elif sha in seen:
            assert _is_start(kept.response.response_text, seen[sha])
    lost = clients.answered - recorded.keys()
    assert not lost
    # A relay killed after the last byte and before its last record leaves an exchange that only seems interrupted.
    interrupted = {marker for marker, one in recorded.items() if one.response.outcome == "interrupted"}
    assert interrupted
    assert len(clients.answered & interrupted) <= KILLS
    assert {session.completed.reason for session in found} == {"shutdown"}


def _is_start(text: str, entry: LedgerEntry) -> bool:
    return entry.text.startswith(text)
