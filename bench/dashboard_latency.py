"""How long the dashboard takes on a large store: the server's p95, the browser's first contentful paint, and what one
does there.

    python -m bench.dashboard_latency HOME [--rounds 20] [--chromium PATH]

HOME as `make seed-million` makes it; only read, but for a star that is set and taken away. Requests come one after the
other; the browser keeps nothing between pages. A session of 2,000 exchanges is made in a home of its own. Exit
code 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec
from bench.dashboard_interactions import (
    Waited,
    children_cpu_ms,
    interaction_times,
    make_long_session,
    on_lists,
    on_session,
    paint_times,
)

GOAL_P95_MS = 150
GOAL_PAINT_MS = 1000
GOAL_INTERACTION_MS = 200
GOAL_LONG_SESSION_MS = 1000
PAGES = (
    *("/", "/?range=30d", "/?range=90d", "/?range=all", "/sessions", "/sessions?q=model:opus", "/sessions?order=cost"),
    *("/sessions?q=tool:Bash+cost:>0.5", "/search?q=bacefo", "/models", "/models?range=all", "/tools", "/latency"),
    *("/latency?range=90d", "/compare", "/sql", "/health", "/setup"),
)
DATA = (
    *("/api/v1/usage?by=day,model&range=30d", "/api/v1/usage?by=hour&range=90d", "/api/v1/latency?by=day&range=90d"),
    *("/api/v1/latency?by=hour&range=30d", "/api/v1/tools?range=90d", "/api/v1/sessions?limit=50"),
    *("/api/v1/gaps?range=7d", "/api/v1/gaps?range=90d"),
)


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds."""

    p95: float
    cpu: float
    """Of the server, the median."""
    size: int
    """Bytes."""


def server_times(url: str, rounds: int) -> dict[str, Served]:
    """By address."""
    found = {}
    for address in (*PAGES, *DATA):
        times, cpu, size = [], [], 0
        for _ in range(rounds):
            began, before = time.perf_counter(), children_cpu_ms()
            with urllib.request.urlopen(url + address.replace(">", "%3E")) as answer:
                size = len(answer.read())
            times.append((time.perf_counter() - began) * 1000)
            cpu.append(children_cpu_ms() - before)
        p95 = sorted(times)[max(0, -(-95 * rounds // 100) - 1)]
        found[address] = Served(p95=p95, cpu=median(cpu), size=size)
    return found


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """The address of a dashboard over `home`."""
    command = [sys.executable, "-m", "lunaroute", "dashboard", f"--home={home}", "--ui-port=0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        yield process.stderr.readline().split()[-1].rstrip("/")
    finally:
        process.terminate()
        process.wait(30)


def in_browser(chromium: str, url: str) -> tuple[dict[str, float], dict[str, Waited]]:
    """(first paints, interactions)."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started, tempfile.TemporaryDirectory() as folder:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        painted = paint_times(browser, url, PAGES)
        waited = interaction_times(browser, url, on_lists(_said_word(url)))
        long_session = make_long_session(Path(folder))
        with serving(Path(folder)) as own_url:
            waited |= interaction_times(browser, own_url, on_session(long_session))
        browser.close()
    return painted, waited


def _said_word(url: str) -> str:
    """A word that the newest sessions know."""
    with urllib.request.urlopen(f"{url}/api/v1/sessions?limit=20") as answer:
        texts = [one["first_text"] or "" for one in json.load(answer)["items"]]
    return next(word for text in texts for word in text.split() if word.isalpha() and len(word) > 4)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the dashboard.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    with serving(options.home) as url:
        served = server_times(url, options.rounds) if options.rounds else {}
        painted, waited = in_browser(options.chromium, url) if options.chromium else ({}, {})
    print(f"{'server p95':>10}  {'its CPU':>10}  {'size':>7}  {'first paint':>11}")
    for address in served or painted:
        one = served.get(address)
        server = "" if one is None else f"{one.p95:7.0f} ms  {one.cpu:7.0f} ms  {one.size / 1000:4.0f} kB"
        paint = f"{painted[address]:8.0f} ms" if address in painted else ""
        print(f"{server:>31}  {paint:>11}  {address}")
    print(f"\n{'median':>10}  {'longest':>11}  {'CPU':>10}  {'at rest':>10}  from pressing until it shows")
    for name, wait in waited.items():
        print(f"{wait.median:7.0f} ms  {wait.longest:8.0f} ms  {wait.cpu:7.0f} ms  {wait.cpu_at_rest:7.0f} ms  {name}")
    sys.exit(1 if any(missed(served, painted, waited)) else 0)


def missed(served: dict[str, Served], painted: dict[str, float], waited: dict[str, Waited]) -> Iterator[str]:
    yield from (address for address, one in served.items() if one.p95 > GOAL_P95_MS)
    yield from (address for address, paint_ms in painted.items() if paint_ms > GOAL_PAINT_MS)
    for name, one in waited.items():
        if one.median > (GOAL_LONG_SESSION_MS if name.endswith("open from the list") else GOAL_INTERACTION_MS):
            yield name


if __name__ == "__main__":
    main()
