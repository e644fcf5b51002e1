"""How fast `lunaroute reindex` reads session files: megabytes of JSONL and exchanges per second of CPU time.

The files are made by the recorder, from spools as `recorder_throughput.py` writes them: sessions of an agent that sends
its history again with every request. So are those of the corpus's real traffic, where the corpus is there; sessions as
`make seed-million` has them are invented. Then the index is made anew, several times, and the CPU time of this process
is taken; the fastest counts. With HOME, the files of a home of yours are read instead, and its index is left alone.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.recorded_corpus import record_corpus, record_exchanges
from bench.recorder_throughput import start_profiler, stop_profiler, write_spool
from tests.corpus import find_corpus

from lunaroute.config import Config
from lunaroute.recorder.dead_letter import DeadLetters
from lunaroute.recorder.worker import open_recorder
from lunaroute.simulator.store import seed_store
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.reindex import reindex

ROWS = (  # name, bytes of a request body, events of a streamed answer (0: plain), exchanges, exchanges a session
    ("1 KB, plain answer", 1_000, 0, 6_000, 20),
    ("1 KB, stream of 100 events", 1_000, 100, 3_000, 20),
    ("20 KB, stream of 100 events", 20_000, 100, 2_000, 40),
    ("60 KB, stream of 100 events", 60_000, 100, 2_000, 40),
    ("150 KB, stream of 100 events", 150_000, 100, 1_000, 60),
    ("400 KB, plain answer", 400_000, 0, 500, 100),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path, nargs="?", help="read the session files of this home")
    parser.add_argument("--profile", action="store_true", help="print where the time of the last row goes")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("| files of | MB | MB/s | exchanges/s |\n|---|---|---|---|")
    if arguments.home is not None:
        measure(str(arguments.home), arguments.home / "sessions", arguments.rounds, is_profiled=arguments.profile)
        return
    for name, make in homes():
        if arguments.rows in name:
            with tempfile.TemporaryDirectory(prefix="lunaroute-bench-") as folder:
                make(Path(folder))
                measure(name, Path(folder) / "sessions", arguments.rounds, is_profiled=arguments.profile)


def homes() -> Iterator[tuple[str, Callable[[Path], object]]]:
    """(name, what makes it in an empty folder)."""
    for name, size, events, count, per_session in ROWS:
        yield name, partial(record, size=size, events=events, count=count, per_session=per_session)
    corpus = find_corpus()
    if corpus is None:
        print("no corpus: set LUNAROUTE_CORPUS or put it at ../shared/corpus", file=sys.stderr)
    else:
        yield "real exchanges", record_exchanges
        yield "real sessions of agents", partial(record_corpus, corpus)
    yield "invented sessions", partial(seed_store, session_count=1000)


def record(home: Path, size: int, events: int, count: int, per_session: int) -> None:
    config = Config(home=home)
    write_spool(config, size, events, count, per_session)
    recorder = open_recorder(config, DeadLetters(config.recorder_dir / "dead-letter"))
    while not recorder.is_drained():
        recorder.step()
    recorder.close()
    shutil.rmtree(config.spool_dir)


def measure(name: str, sessions_dir: Path, rounds: int, *, is_profiled: bool) -> None:
    mb = sum(path.stat().st_size for _, path in session_files(sessions_dir)) / 1e6
    with tempfile.TemporaryDirectory(prefix="lunaroute-bench-") as folder:
        database = Path(folder) / "sessions.db"
        profiler = start_profiler() if is_profiled else None
        fastest_s = min(_round(sessions_dir, database) for _ in range(1 if is_profiled else rounds))
        if profiler is not None:
            stop_profiler(profiler)
        connection = sqlite3.connect(database)
        ((exchanges,),) = connection.execute("SELECT count(*) FROM session_stats")
        connection.close()
    print(f"| {name} | {mb:.0f} | {mb / fastest_s:.0f} | {exchanges / fastest_s:.0f} |", flush=True)


def _round(sessions_dir: Path, database: Path) -> float:
    began_s = time.process_time()
    report = reindex(sessions_dir, database)
    spent_s = time.process_time() - began_s
    if report.rejected or report.bad_lines:
        sys.exit(f"{len(report.rejected)} events were rejected, {len(report.bad_lines)} lines are bad")
    return spent_s


if __name__ == "__main__":
    main()
