"""Processes that are measured: started, put on cores, asked what they used, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

START_S = 60.0
END_S = 600.0
_QUIET_S, _QUIET_SHARE = 0.3, 0.05
Found = TypeVar("Found")


class Server(NamedTuple):
    """A process, and where its output goes."""

    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def running(
    command: Sequence[str | Path],
    folder: Path,
    name: str,
    *,
    environ: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    grace_s: float = END_S,
) -> Iterator[Server]:
    """A server; its output goes to `folder/name.log`. Ended by SIGTERM, in `grace_s` or by force."""
    path = folder / f"{name}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(environ or {})},
            pass_fds=pass_fds,
        )
    try:
        yield Server(process, path)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(what: str, look: Callable[[], Found | None], server: Server) -> Found:
    """What `look` finds, as soon as it does. Ends the program when the server ends first, or it takes too long."""
    deadline = time.monotonic() + START_S
    while (found := look()) is None:
        if time.monotonic() > deadline or server.process.poll() is not None:
            sys.exit(f"bench: {what} did not come: {server.log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)
    return found


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def tree(pid: int) -> list[int]:
    """The process and all that came of it."""
    return [pid, *(one for child in children(pid) for one in tree(child))]


def runs(pid: int, module: str) -> bool:
    """Whether the process is `python -m module`."""
    return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def put_on(cores: Iterable[int], pids: Iterable[int]) -> None:
    """All threads of the processes."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)


def cpu_ns(pids: Iterable[int]) -> int:
    """CPU time of the processes' threads, by the scheduler's own count."""
    tasks = (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def wait_until_quiet(pids: Sequence[int]) -> None:
    """Until the processes use next to no CPU time; not shorter than it takes a spool to be synced."""
    if not pids:
        return
    deadline = time.monotonic() + START_S
    used_ns = cpu_ns(pids)
    while time.monotonic() < deadline:
        time.sleep(_QUIET_S)
        before_ns, used_ns = used_ns, cpu_ns(pids)
        if used_ns - before_ns < _QUIET_SHARE * _QUIET_S * 1e9:
            return


def forget_peak(pids: Iterable[int]) -> None:
    """From now on `peak_bytes` is of what comes (proc(5), clear_refs)."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pids: Iterable[int]) -> int:
    """The most memory that was resident at a time, summed over the processes."""
    return sum(_status_bytes(pid, "VmHWM:") for pid in pids)


def resident_bytes(pids: Iterable[int]) -> int:
    return sum(_status_bytes(pid, "VmRSS:") for pid in pids)


def _status_bytes(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
