"""How long questions take on a large store: p95 warm, and once with nothing of the file in memory.

    python bench/query_latency.py HOME [--rounds 20]

HOME as `make seed-million` makes it. Cold means that the kernel was asked to forget the file's pages (posix_fadvise)
and that the connection
is new.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from lunaroute.query.exchanges import list_calls, list_exchanges
from lunaroute.query.filter import Filter
from lunaroute.query.grammar import parse_filter
from lunaroute.query.index import open_index
from lunaroute.query.latency import latencies
from lunaroute.query.search import search
from lunaroute.query.sessions import find_session, list_sessions
from lunaroute.query.stores.base import Index
from lunaroute.query.tools import tool_usage
from lunaroute.query.transcript import show_session
from lunaroute.query.usage import usage
from lunaroute.sinks.layout import session_files

WARM_GOAL_MS = 100
COLD_GOAL_MS = 500

Ask = Callable[[Index], object]


def _sessions(text: str, order: str = "newest") -> Ask:
    return lambda connection: list_sessions(connection, parse_filter(text, datetime.now(UTC)), order=order)  # type: ignore[arg-type]


def _search(text: str) -> Ask:
    return lambda connection: search(connection, parse_filter(text, datetime.now(UTC)))


def _second_page(connection: Index) -> object:
    return list_sessions(connection, after=list_sessions(connection).next)


def questions(sessions_dir: Path) -> dict[str, Ask]:
    with_file = [session_id for session_id, _ in session_files(sessions_dir)]
    middle = with_file[len(with_file) // 2]
    shown: Ask = lambda index: show_session(sessions_dir, find_session(index, middle).session_id)  # noqa: E731
    return {**index_questions(), "find and show a session": shown}


def index_questions() -> dict[str, Ask]:
    """Those that need no files."""

    def now(text: str) -> Filter:
        return parse_filter(text, datetime.now(UTC))

    return {
        "list": _sessions(""),
        "list, second page": _second_page,
        "list model:claude-*": _sessions("model:claude-*"),
        "list tool:Bash error:true": _sessions("tool:Bash error:true"),
        "list cost:>5 (rare)": _sessions("cost:>5"),
        "list latency:>2m since:7d": _sessions("latency:>2m since:7d"),
        "list client tag tool status since": _sessions("client:codex tag:nightly tool:Task status:529 since:30d"),
        "list of nothing (cost:>9999)": _sessions("cost:>9999"),
        "list by cost": _sessions("", "cost"),
        "list, a rare word": _sessions("zenzenzen"),
        "list, a frequent word": _sessions("baba"),
        "search, a rare word": _search("zenzenzen"),
        "search, a frequent word": _search("baba"),
        "search, a phrase": _search('"baba babaer"'),
        "search, frequent, model and time": _search("babaver model:gpt-5 since:7d"),
        "exchanges": list_exchanges,
        "exchanges error:true -model:gpt-5": lambda c: list_exchanges(c, now("error:true -model:gpt-5")),
        "calls tool:Bash error:true": lambda c: list_calls(c, now("tool:Bash error:true")),
        "cost by model and day": lambda c: usage(c, now(""), ("day", "model")),
        "cost by model and day, 7 d": lambda c: usage(c, now("since:7d"), ("day", "model")),
        "usage by hour, 24 h": lambda c: usage(c, now("since:24h"), ("hour", "model")),
        "usage of all": usage,
        "tool totals": tool_usage,
        "tool totals, 7 d": lambda c: tool_usage(c, now("since:7d")),
        "latency by model": lambda c: latencies(c, now(""), ("model",)),
        "latency by day, 7 d": lambda c: latencies(c, now("since:7d"), ("day",)),
    }


def _opened(database: Path) -> Index:
    connection = open_index(database)
    assert connection is not None
    return connection


def _ms(ask: Ask, connection: Index) -> float:
    began = time.perf_counter()
    ask(connection)
    return (time.perf_counter() - began) * 1000


def _forget(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def measure(home: Path, rounds: int) -> bool:
    """Print a line for each question; whether all were fast enough."""
    database = home / "sessions" / "sessions.db"
    is_good = True
    print(f"{'question':<36}{'p95 warm':>10}{'cold':>9}   ms")
    for name, ask in questions(database.parent).items():
        _forget(database)
        connection = _opened(database)
        cold = _ms(ask, connection)
        warm = _p95([_ms(ask, connection) for _ in range(rounds)])
        connection.close()
        is_slow = warm > WARM_GOAL_MS or cold > COLD_GOAL_MS
        is_good &= not is_slow
        print(f"{name:<36}{warm:>10.1f}{cold:>9.1f}{'   SLOW' if is_slow else ''}")
    return is_good


def measure_commands(home: Path) -> None:
    """Wall time and memory of whole commands."""
    print(f"\n{'command':<46}{'wall ms':>9}{'MB':>7}")
    for words in (["--help"], ["sessions", "list"], ["cost"], ["latency"], ["tools"], ["search", "baba"]):
        environment = {**os.environ, "LUNAROUTE_HOME": str(home)}
        walls = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "lunaroute", *words], env=environment, check=True, capture_output=True
            )
            walls.append((time.perf_counter() - began) * 1000)
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{'lunaroute ' + ' '.join(words):<46}{statistics.median(walls):>9.0f}{peak_mb:>7.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time questions on a large store.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    is_good = measure(options.home, options.rounds)
    measure_commands(options.home)
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
