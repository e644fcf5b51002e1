"""How long the dashboard's pages take on a large store: the server's p95, and the browser's first contentful paint.

    python bench/dashboard_latency.py HOME [--rounds 20] [--chromium PATH]

HOME as `make seed-million` makes it. Requests come one after the other; the browser asks each page once, nothing kept.
Exit code 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

GOAL_P95_MS = 150
GOAL_PAINT_MS = 1000
PAGES = (
    *("/", "/?range=30d", "/?range=90d", "/?range=all", "/sessions", "/sessions?q=model:opus", "/sessions?order=cost"),
    *("/sessions?q=tool:Bash+cost:>0.5", "/search?q=bacefo", "/models", "/models?range=all", "/tools", "/latency"),
    *("/latency?range=90d", "/compare", "/sql", "/health", "/setup"),
)
DATA = (
    *("/api/v1/usage?by=day,model&range=30d", "/api/v1/usage?by=hour&range=90d", "/api/v1/latency?by=day&range=90d"),
    *("/api/v1/latency?by=hour&range=30d", "/api/v1/tools?range=90d", "/api/v1/sessions?limit=50"),
)


def server_times(url: str, rounds: int) -> dict[str, float]:
    """p95 of each address, in milliseconds."""
    found = {}
    for address in (*PAGES, *DATA):
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            with urllib.request.urlopen(url + address.replace(">", "%3E")) as answer:
                answer.read()
            times.append((time.perf_counter() - began) * 1000)
        found[address] = sorted(times)[max(0, -(-95 * rounds // 100) - 1)]
    return found


def paint_times(url: str, chromium: str) -> dict[str, float]:
    """First contentful paint of each page, in milliseconds since the navigation began."""
    from playwright.sync_api import sync_playwright

    found = {}
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for address in PAGES:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(url + address)
            page.wait_for_timeout(300)
            found[address] = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            page.close()
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the dashboard's pages.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--port", type=int, default=18698)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    command = [sys.executable, "-m", "lunaroute", "dashboard", f"--home={options.home}", f"--ui-port={options.port}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        process.stderr.readline()
        url = f"http://127.0.0.1:{options.port}"
        served = server_times(url, options.rounds)
        painted = paint_times(url, options.chromium) if options.chromium else {}
    finally:
        process.terminate()
        process.wait(10)
    print(f"{'server p95':>10}  {'first paint':>11}")
    for address, p95_ms in served.items():
        paint = f"{painted[address]:8.0f} ms" if address in painted else ""
        print(f"{p95_ms:7.0f} ms  {paint:>11}  {address}")
    missed = max(served.values()) > GOAL_P95_MS or max(painted.values(), default=0) > GOAL_PAINT_MS
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
