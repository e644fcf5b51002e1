"""How long questions take on a store of ten million exchanges: p95 warm, the best round, and the engine's own time.

    python -m bench.fleet FOLDER [--sessions 10000] [--copies 100] [--rounds 20]

FOLDER gets the store where it has none: 100 copies of 10,000 sessions are a million sessions. The p95 says what a
question takes on this machine as it is; where others use it too, best round and processor time say what it costs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

from bench.query_latency import Ask, index_questions

from lunaroute.query.stores.base import Index
from lunaroute.query.stores.opening import open_store

from .store import Served, exchanges_in, make, serving

GOAL_MS = 300


def _ms(ask: Ask, index: Index) -> float:
    began = time.perf_counter()
    ask(index)
    return (time.perf_counter() - began) * 1000


def measure(served: Served, rounds: int, only: str) -> bool:
    """Print a line for each question; whether all were fast enough."""
    index = open_store(f"{served.address}/fleet", Path("nowhere"))
    assert index is not None
    is_good = True
    print(f"load {os.getloadavg()[0]:.1f}\n{'question':<36}{'best':>9}{'p50':>9}{'p95':>9}{'CPU':>9}   ms")
    for name, ask in index_questions().items():
        if only not in name:
            continue
        _ms(ask, index)
        began_ms = served.cpu_ms()
        taken = sorted(_ms(ask, index) for _ in range(rounds))
        p95 = statistics.quantiles(taken, n=20)[-1] if rounds > 1 else taken[0]
        is_good &= p95 <= GOAL_MS
        cpu = (served.cpu_ms() - began_ms) / rounds
        slow = "   SLOW" if p95 > GOAL_MS else ""
        print(f"{name:<36}{taken[0]:>9.0f}{statistics.median(taken):>9.0f}{p95:>9.0f}{cpu:>9.0f}{slow}", flush=True)
    index.close()
    return is_good


def main() -> None:
    parser = argparse.ArgumentParser(description="Time questions on a store of ten million exchanges.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="", metavar="TEXT", help="questions with this in their name")
    options = parser.parse_args()
    with serving(options.folder) as served:
        if exchanges_in(served.address) is None:
            make(served.address, options.sessions, options.copies)
        print(f"{exchanges_in(served.address):,} exchanges")
        is_good = measure(served, options.rounds, options.only)
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
