"""How long a stop takes with many open sessions: each gets its `completed` line, its rows and the end of its state.

As many sessions as asked for, an exchange of 1 KB each, are recorded and left open; then their relay ends, and what the
recorder does until the last checkpoint is timed. Nothing else runs; files are still in the page cache.
"""

from __future__ import annotations

import argparse
import atexit
import shutil
import sys
import tempfile
import time
from pathlib import Path

from recorder_throughput import _START_NS, _STEP_NS, start_profiler, stop_profiler, write_exchange

from lunaroute.capture.records import RelayStarted, RelayStopped
from lunaroute.config import Config, SessionsConfig
from lunaroute.recorder.dead_letter import DeadLetters
from lunaroute.recorder.recorder import Recorder
from lunaroute.recorder.worker import open_recorder
from lunaroute.spool.writer import SpoolWriter, open_lane

_NEVER_S = 1e9
"""The exchanges are of a date long ago, and are not to be taken for idle."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="*", default=[20_000, 100_000])
    parser.add_argument("--profile", action="store_true", help="print where the time of the last row goes")
    arguments = parser.parse_args()
    print("| open sessions | s | CPU-s | µs a session |\n|---|---|---|---|")
    for count in arguments.sessions:
        wall_s, cpu_s = run(count, arguments.profile)
        print(f"| {count:,} | {wall_s:.1f} | {cpu_s:.1f} | {wall_s / count * 1e6:.0f} |", flush=True)


def run(count: int, profile: bool) -> tuple[float, float]:
    """(seconds, CPU seconds) of a stop."""
    home = Path(tempfile.mkdtemp(prefix="lunaroute-bench-"))
    atexit.register(shutil.rmtree, home)
    config = Config(home=home, sessions=SessionsConfig(idle_timeout_s=_NEVER_S))
    writer = _record(config, count)
    recorder = open_recorder(config, DeadLetters(config.recorder_dir / "dead-letter"))
    while recorder.step():
        pass
    recorder.checkpoint()
    t_ns = (count + 2) * _STEP_NS
    writer.close([RelayStopped(t_ns, _START_NS + t_ns)], t_ns)
    profiler = start_profiler() if profile else None
    started, cpu_started = time.monotonic(), time.process_time()
    _stop(recorder)
    wall_s, cpu_s = time.monotonic() - started, time.process_time() - cpu_started
    if profiler is not None:
        stop_profiler(profiler)
    ended = sum(recorder.totals.sessions_completed.values())
    recorder.close()
    if ended != count:
        sys.exit(f"{ended} of {count} sessions ended")
    return wall_s, cpu_s


def _record(config: Config, count: int) -> SpoolWriter:
    writer = open_lane(config.spool_dir, config.recording.segment_bytes)
    writer.put(RelayStarted(1, _START_NS, "bench", 1, "bench"))
    for number in range(count):
        write_exchange(writer, number + 1, number, 0, 1_000, 0)
        writer.flush()
    return writer


def _stop(recorder: Recorder) -> None:
    while not recorder.is_drained():
        pass
    recorder.checkpoint()


if __name__ == "__main__":
    main()
