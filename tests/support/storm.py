"""A server under traffic to which anything happens at any moment, and what must be on record afterwards.

    with Storm(home, provider) as storm, Clients(storm) as clients:
        storm.strike("relay"); clients.wait_for_more() …
    check_ledger(provider, home, clients)

Whatever is killed is there again before `strike` returns, on the same port.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from types import TracebackType

from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.simulator import LedgerEntry, RunningSimulator
from tests.support.faults import Processes, Stream, check_recordings, end, is_ready, kill, processes
from tests.support.server import TIMEOUT_S, Server, start_server, wait_until

_PAUSE_S = 0.02
_STARTS_TO_CATCH_UP = 20
"""At most: the recorder gets what processor time others leave, and a stop does not wait for it without end."""

VICTIMS: dict[str, Callable[[Processes, Random], list[int]]] = {
    "recorder": lambda here, chance: [here.recorder],
    "relay": lambda here, chance: [chance.choice(here.relays)],
    "relay and recorder": lambda here, chance: [here.recorder, chance.choice(here.relays)],
    "all relays": lambda here, chance: here.relays,
    "keepers": lambda here, chance: here.keepers,
    "supervisor": lambda here, chance: [here.supervisor],
    "supervisor and recorder": lambda here, chance: [here.supervisor, here.recorder],
    "all": lambda here, chance: here.all,
}


class Storm:
    """One home, and the server over it that is started again and again."""

    def __init__(
        self, home: Path, provider: RunningSimulator, *, workers: int = 2, variables: Mapping[str, str] | None = None
    ) -> None:
        self._home = home
        self._provider = provider
        self._workers = workers
        self._variables = variables or {}
        self._pids: set[int] = set()
        self.port = 0
        self.server = self._started()

    def strike(self, what: str, chance: Random) -> int:
        """Kill some of it; how many processes. Returns when all are there again."""
        here = processes(self.server)
        self._pids.update(here.all)
        victims = VICTIMS[what](here, chance)
        kill(*victims)
        if here.supervisor in victims:
            self.server.process.wait()
            self._check_said()
            self.server = self._started()
        return len(victims)

    def is_complete(self) -> bool:
        return len(processes(self.server).relays) == self._workers

    def _started(self) -> Server:
        flags = (f"--workers={self._workers}", f"--port={self.port}")
        upstreams = {"anthropic": self._provider.base_url}
        server = start_server(
            self._home, upstreams, flags=flags, program="tests.support.crashing", variables=self._variables
        )
        wait_until(lambda: is_ready(server) or server.process.poll() is not None)
        assert server.process.poll() is None, server.said
        self.port = server.port
        return server

    def _stop_when_all_is_written(self) -> None:
        for _ in range(_STARTS_TO_CATCH_UP):
            wait_until(self.is_complete)
            assert self.server.stop(2 * TIMEOUT_S) == 0, self.server.said
            self._check_said()
            if "what it has not written yet is in the spool" not in self.server.said:
                return
            self.server = self._started()
        raise AssertionError(f"the recorder did not catch up: {self.server.said}")

    def _check_said(self) -> None:
        assert "Traceback" not in self.server.said, self.server.said

    def __enter__(self) -> Storm:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._stop_when_all_is_written()
        finally:
            end(self.server, self._pids)


class Clients:
    """Agents that go on asking, whatever becomes of their connections."""

    def __init__(self, storm: Storm, count: int = 4) -> None:
        self._storm = storm
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self.asked_count = 0
        """About: threads may count at the same time."""
        self.answered: set[str] = set()
        """Markers of the requests whose response arrived in full."""
        self._threads = [threading.Thread(target=self._ask_on, args=(name,)) for name in range(count)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int = 8) -> None:
        """Until a few more requests were sent."""
        asked = self.asked_count + count
        wait_until(lambda: self.asked_count >= asked)

    def _ask_on(self, name: int) -> None:
        while not self._stop.is_set():
            marker = f"marker {next(self._numbers)}"
            try:
                stream = Stream(self._storm.port, marker, answer_bytes=300, session=f"agent {name}")
            except ConnectionError:  # nobody there, or accepted by a worker that died before it had read anything
                time.sleep(_PAUSE_S)
                continue
            self.asked_count += 1
            stream.read_to_end()
            if stream.is_whole:
                self.answered.add(marker)


def check_ledger(provider: RunningSimulator, home: Path, clients: Clients, kills: int) -> None:
    """Of a stopped server: every exchange the provider saw is recorded exactly once, with all its bytes where it was
    completed and with a beginning of them where it was not; files, index and search agree."""
    found = check_recordings(home)
    recorded = {one.request.request_text: one for session in found for one in session.exchanges()}
    assert len(recorded) == sum(len(session.exchanges()) for session in found)
    seen = {entry.request_sha256: entry for entry in provider.ledger() if entry.request_sha256}
    by_sha = {one.request.body_sha256: one for one in recorded.values()}
    assert seen
    assert set(seen) <= set(by_sha)
    for sha, kept in by_sha.items():
        outcome = kept.response.outcome
        assert outcome in ("completed", "interrupted")
        assert hashlib.sha256(request_bytes(kept.request)).hexdigest() == sha
        if outcome == "completed":
            assert hashlib.sha256(response_bytes(kept.response)).hexdigest() == seen[sha].response_sha256
            assert kept.response.response_text == seen[sha].text
        elif sha in seen:
            assert _is_start(kept.response.response_text, seen[sha])
    assert clients.answered - recorded.keys() == set()
    # A relay killed after the last byte and before its last record leaves an exchange that only seems interrupted.
    interrupted = {marker for marker, one in recorded.items() if one.response.outcome == "interrupted"}
    assert len(clients.answered & interrupted) <= kills
    assert {session.completed.reason for session in found} <= {"shutdown", "recovered"}


def _is_start(text: str, entry: LedgerEntry) -> bool:
    return entry.text.startswith(text)
