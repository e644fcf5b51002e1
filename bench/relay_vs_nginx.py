"""The relay, recording, against nginx, recording nothing: CPU per request, latency, delay of stream chunks.

Proxy on core 0; provider, load generator and recorder on core 1; the spool's keeper where the kernel puts it. Rounds of
the proxies interleaved, every other one reversed; medians. CPU is the growth of the process's schedstat over its
threads, divided by requests. Quote the ratios: the absolute figures are this machine's at this moment.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROVIDER_PORT, NGINX_PORT = 9000, 9001  # fixed in the load tools' nginx.conf
MOST_BYTES = 1_000_000_000  # of request bodies in a round; bounds what the disk has to take
ROWS = (  # name, body, concurrency
    ("1 KB, 32 at a time", "body_a_1k.json", 32),
    ("50 KB, 32 at a time", "body_a_50k.json", 32),
    ("400 KB, 32 at a time", "body_a_400k.json", 32),
    ("1 KB, one at a time", "body_a_1k.json", 1),
    ("50 KB, one at a time", "body_a_50k.json", 1),
    ("400 KB, one at a time", "body_a_400k.json", 1),
    ("stream of 100 chunks at once, 32 at a time", "body_a_1k_s100.json", 32),
    ("stream of 50 chunks 2 ms apart, 8 at a time", "body_a_1k_s50d2.json", 8),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lunaroute-bench-")))
        build(arguments.lab, folder)
        stack.enter_context(running(["taskset", "-c", "1", "./provider", str(PROVIDER_PORT)], folder, PROVIDER_PORT))
        nginx = stack.enter_context(
            running(["taskset", "-c", "0", "nginx", "-p", f"{folder}/", "-c", "nginx.conf"], folder, NGINX_PORT)
        )
        port = free_port()
        server = stack.enter_context(running(serve_command(folder, port), folder, port))
        relay, recorder = pin(server)
        wait_until_recorded(folder / "home")
        proxies = {"nginx": (NGINX_PORT, child_of(nginx)), "lunaroute": (port, relay)}
        results = measure(folder, proxies, recorder, arguments.rounds, arguments.seconds)
        print(table(results), flush=True)


def build(lab: Path, folder: Path) -> None:
    for name in ("provider", "load"):
        subprocess.run(["cc", "-O2", "-w", "-o", folder / name, lab / f"{name}.c"], check=True)
    shutil.copy(lab / "nginx.conf", folder)
    subprocess.run([sys.executable, lab / "mkbody.py", folder], check=True)


def serve_command(folder: Path, port: int) -> list[str]:
    upstream = f"anthropic=http://127.0.0.1:{PROVIDER_PORT}"
    flags = ["--home", str(folder / "home"), "--port", str(port), "--upstream", upstream]
    return [sys.executable, "-m", "lunaroute", "serve", *flags]


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[int]:
    """A process that listens on `port`, ended afterwards."""
    with open(folder / f"{port}.log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while not accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{command[0]} did not start:\n{(folder / f'{port}.log').read_text()}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(600)  # a session file for each exchange has to be ended


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def child_of(pid: int) -> int:
    return (children(pid) or [pid])[0]


def pin(server: int) -> tuple[int, int]:
    """Relay on core 0, recorder on core 1; their pids."""
    pids = {}
    for name, core in (("relay", 0), ("recorder", 1)):
        pids[name] = wait_for_child(server, f"lunaroute.{name}".encode())
        subprocess.run(["taskset", "-a", "-p", "-c", str(core), str(pids[name])], check=True, capture_output=True)
    return pids["relay"], pids["recorder"]


def wait_for_child(server: int, module: bytes) -> int:
    """The server's child that runs the module: it listens before all of them are there."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for pid in children(server):
            if module in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        time.sleep(0.05)
    sys.exit(f"the server has no {module.decode()} process")


def cpu_ns(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


Result = dict[str, float]


def measure(
    folder: Path, proxies: dict[str, tuple[int, int]], recorder: int, rounds: int, seconds: float
) -> dict[tuple[str, str], list[Result]]:
    results: dict[tuple[str, str], list[Result]] = {}
    for number in range(rounds):
        for row, body, concurrency in ROWS:
            order = list(proxies) if number % 2 else list(proxies)[::-1]
            for name in order:
                port, pid = proxies[name]
                before, recorder_before = cpu_ns(pid), cpu_ns(recorder)
                result = load(folder, port, body, concurrency, seconds)
                result["cpu_ms"] = (cpu_ns(pid) - before) / 1e6 / max(result["n"], 1)
                if name == "lunaroute":
                    wait_until_recorded(folder / "home")
                    result["recorder_cpu_ms"] = (cpu_ns(recorder) - recorder_before) / 1e6 / max(result["n"], 1)
                results.setdefault((row, name), []).append(result)
            print(f"round {number + 1} of {rounds}: {row}", file=sys.stderr)
    return results


def load(folder: Path, port: int, body: str, concurrency: int, seconds: float) -> Result:
    most = MOST_BYTES // (folder / body).stat().st_size
    command = ["./load", str(port), "/v1/messages", body, str(concurrency), str(seconds), str(most)]
    output = subprocess.run(["taskset", "-c", "1", *command], cwd=folder, check=True, capture_output=True).stdout
    result: Result = json.loads(output)
    if result["err"] or result["non200"]:
        sys.exit(f"load on port {port}: {result['err']:.0f} errors, {result['non200']:.0f} answers other than 200")
    return result


def wait_until_recorded(home: Path) -> None:
    """Rounds do not overlap with what the recorder has to catch up on."""
    status = home / "run" / "recorder.json"
    deadline = time.monotonic() + 120
    seen = -1
    while time.monotonic() < deadline:
        time.sleep(1.2)
        if not status.exists():  # the recorder is only starting
            continue
        now = json.loads(status.read_bytes())
        if now["lag_bytes"] == 0 and now["exchanges_recorded"] == seen:
            return
        seen = now["exchanges_recorded"]


def table(results: dict[tuple[str, str], list[Result]]) -> str:
    lines = [
        "| work | CPU-ms nginx | CPU-ms relay | ratio | p50 added over nginx, ms | first byte added, ms "
        "| chunk delay added, ms | recorder CPU-ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, _, _ in ROWS:
        nginx, ours = results[row, "nginx"], results[row, "lunaroute"]
        base, cpu = median(nginx, "cpu_ms"), median(ours, "cpu_ms")
        added = [f"{(median(ours, key) - median(nginx, key)) / 1000:.3f}" for key in ("p50", "ttfb50", "ck50")]
        recorder = median(ours, "recorder_cpu_ms")
        lines.append(f"| {row} | {base:.4f} | {cpu:.4f} | {cpu / base:.2f} | {' | '.join(added)} | {recorder:.3f} |")
    return "\n".join(lines)


def median(rounds: list[Result], key: str) -> float:
    return statistics.median(result[key] for result in rounds)


if __name__ == "__main__":
    for name in ("PYTHONPATH", "LUNAROUTE_LAB"):
        os.environ.pop(name, None)
    main()
