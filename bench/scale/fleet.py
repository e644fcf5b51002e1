"""What a rate of exchanges needs: of a node, of all nodes, of money, and after an outage of the store."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .figures import DAY_S, MONTH_S, assumed
from .work import Work


@dataclass(frozen=True)
class Limit:
    """What a node can take of one thing, in exchanges a second."""

    name: str
    rate: float


def node_limits(work: Work) -> list[Limit]:
    """Of a node with one home, the tightest first."""
    written = work.spool_bytes + work.file_bytes + work.packed_bytes + 2 * work.index_bytes  # the WAL holds rows twice
    cores = assumed("node_cores") - 1
    per_exchange_s = work.relay_cpu_ms / 1000 + work.spool_bytes / (assumed("keeper") * 1e6)
    found = [
        Limit("the one recorder process", work.recorder_rate),
        Limit("cores for relays and keepers", assumed("headroom") * cores / per_exchange_s),
        Limit("disk", assumed("headroom") * assumed("disk") * 1e6 / written),
        Limit("network", assumed("headroom") * assumed("network") * 1e6 / work.wire_bytes),
    ]
    return sorted(found, key=lambda one: one.rate)


@dataclass(frozen=True)
class Fleet:
    """What a mean rate of exchanges needs, where the day's height has to be carried."""

    work: Work
    rate: int

    @property
    def peak(self) -> float:
        return self.rate * (1 + assumed("wave"))

    @property
    def nodes(self) -> int:
        return max(1, math.ceil(self.peak / node_limits(self.work)[0].rate))

    @property
    def store_nodes(self) -> int:
        return max(1, math.ceil(self.peak * assumed("rows") / assumed("store_rows")))

    @property
    def busy_cores(self) -> float:
        """Mean, over the day."""
        seconds = (self.work.relay_cpu_ms + self.work.recorder_cpu_ms) / 1000
        return self.rate * (seconds + self.work.spool_bytes / (assumed("keeper") * 1e6))

    @property
    def index_gb_a_day(self) -> float:
        return self.rate * DAY_S * self.work.index_bytes / 1e9

    @property
    def archive_gb_a_day(self) -> float:
        return self.rate * DAY_S * self.work.packed_bytes / 1e9

    @property
    def puts_a_second(self) -> float:
        return self.rate / assumed("session")

    @property
    def usd_a_month(self) -> dict[str, float]:
        """For a month that has come to its end, with all of it kept."""
        machines = self.nodes * assumed("node_cores") + self.store_nodes * assumed("node_cores")
        month = MONTH_S / DAY_S
        return {
            "machines": machines * assumed("core_hour") * MONTH_S / 3600,
            "node disks": self.nodes * 2 * assumed("spool_gb") * assumed("disk_month"),
            "column store": self.rate * MONTH_S * assumed("row_bytes") / 1e9 * assumed("disk_month") / 2,
            "objects": self.archive_gb_a_day * month * assumed("object_month") / 2,
            "puts": self.puts_a_second * MONTH_S * assumed("object_put"),
        }

    def outage(self, minutes: int, start_minute: int = 9 * 60) -> tuple[float, float, bool]:
        """The store is down for so long, from the morning on, and recorders hold the spool: (GB that wait on a node at
        most, minutes until nothing waits any more, whether the spool's limit was met). By minutes of two days."""
        capacity = self.nodes * self.work.recorder_rate / assumed("headroom")
        waiting = most = 0.0
        for minute in range(start_minute, start_minute + 2 * 24 * 60):
            arriving = self.rate * (1 + assumed("wave") * math.sin(2 * math.pi * (minute / 1440 - 0.25)))
            is_down = minute < start_minute + minutes
            waiting = max(0.0, waiting + (arriving - (0 if is_down else capacity)) * 60)
            most = max(most, waiting)
            if waiting == 0:
                after = minute - start_minute - minutes
                break
        else:
            after = math.inf
        gb = most * self.work.spool_bytes / self.nodes / 1e9
        return gb, after, gb > assumed("spool_gb")
