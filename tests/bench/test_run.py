"""The harness runs from end to end: nginx, the whole server and one that records nothing, over TLS to the provider."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench.overhead.processes import cpu_ns, forget_peak, peak_bytes, resident_bytes
from bench.overhead.report import REPOSITORY
from bench.overhead.tools import missing
from bench.overhead.work import LUNAROUTE, NGINX, SMOKE, UNRECORDED

from tests.support.server import wait_until


def test_a_run_measures_every_proxy_and_keeps_what_it_found(tmp_path: Path) -> None:
    if packages := missing():
        pytest.skip(f"the benchmark needs {', '.join(packages)}")
    command = [
        sys.executable,
        "-m",
        "bench.overhead",
        "--smoke",
        "--rounds=1",
        "--seconds=0.05",
        f"--results={tmp_path}",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (page,), (figures,) = tmp_path.glob("*/smoke.md"), tmp_path.glob("*/smoke.json")
    assert done.stdout.strip() == page.read_text(encoding="utf-8").strip()
    (row,) = (work.name for work in SMOKE)
    rounds = json.loads(figures.read_text(encoding="utf-8"))["rounds"][row]
    assert set(rounds) == {NGINX, LUNAROUTE, UNRECORDED}
    for proxy, (measured,) in rounds.items():
        assert measured["chunks"] == 3 * measured["requests"], proxy
        assert measured["cpu_ms"] > 0, proxy
        assert measured["peak_mb"] > 1, proxy


def test_memory_that_was_needed_for_a_moment_is_seen() -> None:
    program = "import sys; input(); len('x' * 50_000_000); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        wait_until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(sys.executable.encode()))
        before = resident_bytes([process.pid])
        forget_peak([process.pid])
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()  # the memory is needed and free again
        assert peak_bytes([process.pid]) - before > 40_000_000


def test_cpu_time_grows_with_work() -> None:
    before = cpu_ns([os.getpid()])
    sum(range(1_000_000))
    assert cpu_ns([os.getpid()]) > before
