"""How fast a store catches up after an outage, on servers of the benchmark's own.

    python -m bench.outage [--rate 100] [--outage 300] [--paused] [postgres] [clickhouse]

Servers are Debian's, in a temporary folder. Exchanges pass a real relay while the store is down; in the end each of
them has to be in the store once.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.support.clickhouse import ClickHouseServer
from tests.support.postgres import PostgresServer, find_postgres

from .run import Outage, run_outage

GOAL = 5.0


def _server(name: str) -> PostgresServer | ClickHouseServer:
    programs = find_postgres()
    if name == "clickhouse":
        return ClickHouseServer()
    if programs is None:
        sys.exit("there is no PostgreSQL server here")
    return PostgresServer(programs)


def _line(name: str, outage: Outage) -> str:
    return (
        f"{name:<12}{outage.rate_per_s:>8.0f}/s{outage.outage_s:>8.0f} s{outage.backlog:>10,}"
        f"{outage.catch_up_s:>10.1f} s{outage.speed:>9.1f} x{outage.stored:>10,}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time how a store catches up after an outage.")
    parser.add_argument("stores", nargs="*", default=["postgres", "clickhouse"])
    parser.add_argument("--rate", type=float, default=100.0, help="exchanges a second")
    parser.add_argument("--outage", type=float, default=300.0, help="seconds")
    parser.add_argument("--paused", action="store_true", help="stopped in its tracks instead of killed")
    options = parser.parse_args()
    is_good = True
    print(f"{'store':<12}{'passed':>10}{'outage':>10}{'backlog':>10}{'caught up':>12}{'real time':>11}{'stored':>10}")
    for name in options.stores:
        with _server(name) as server, tempfile.TemporaryDirectory() as folder:
            outage = run_outage(
                server,
                Path(folder) / "home",
                rate_per_s=options.rate,
                outage_s=options.outage,
                is_paused=options.paused,
            )
            is_good &= outage.speed >= GOAL
        print(f"{_line(name, outage)}   load {os.getloadavg()[0]:.1f}", flush=True)
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
