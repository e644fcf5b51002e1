"""A node of a fleet: a home and its server, with agents that go on talking through it whatever is killed."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from lunaroute.simulator import RunningSimulator
from tests.support.cluster import NAME
from tests.support.faults import Stream, descendants, kill, processes
from tests.support.server import query
from tests.support.storm import Clients, Storm

from .objects import ObjectStore

_CONFIG = """[sessions]
idle_timeout_s = 2.0
[archive]
url = "{archive}"
push_after = "0s"
[sinks.clickhouse]
url = "{store}"
cluster = "{cluster}"
backfill = true
"""
_PAUSE_S = 0.15
_EXCHANGES_OF_A_SESSION = 6


class Node(Storm):
    """Starts with its construction."""

    def __init__(self, home: Path, provider: RunningSimulator, store: str, objects: ObjectStore) -> None:
        home.mkdir()
        (home / "config.toml").write_text(_CONFIG.format(archive=objects.url, store=store, cluster=NAME))
        self.home = home
        self.kills = 0
        super().__init__(home, provider, workers=1, variables={**objects.variables, "LUNAROUTE_NODE": home.name})

    def kill_recorder(self) -> None:
        self.kills += 1
        kill(processes(self.server).recorder)

    def kill_shipper(self) -> None:
        (shipper,) = (pid for pid in descendants(self.server.process.pid) if "lunaroute.shipping" in _command(pid))
        kill(shipper)

    def kill_whole(self) -> None:
        """Every process of it; `start` starts it again on the same port."""
        here = [self.server.process.pid, *descendants(self.server.process.pid)]
        self._pids.update(here)
        self.kills += 1
        kill(*here)
        self.server.process.wait()

    def start(self) -> None:
        self._check_said()
        self.server = self._started()

    def answered_count(self) -> int:
        rows = query(
            self.home / "sessions" / "sessions.db", "SELECT count(*) AS n FROM session_stats WHERE success >= 0"
        )
        return int(rows[0]["n"])


class Agents(Clients):
    """Of one node. Their sessions end after a few exchanges, and others begin."""

    def __init__(self, node: Node, count: int = 3) -> None:
        super().__init__(node, count)
        self._node = node

    def _ask_on(self, name: int) -> None:
        for number in itertools.count():
            if self._stop.wait(_PAUSE_S):
                return
            marker = f"{self._node.home.name} {name} {number}"
            session = f"{self._node.home.name} {name} {number // _EXCHANGES_OF_A_SESSION}"
            try:
                stream = Stream(self._node.port, marker, answer_bytes=200, session=session)
            except ConnectionError:  # the whole node is gone
                time.sleep(_PAUSE_S)
                continue
            self.asked_count += 1
            stream.read_to_end()
            if stream.is_whole:
                self.answered.add(marker)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
