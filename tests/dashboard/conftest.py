"""A real browser in front of a real dashboard process.

Chromium is Debian's (`apt-get install chromium`); without it, or without Playwright, the tests skip and say so.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.dashboard_store import add_scripts, hostile_script, make_home
from tests.support.server import clean_environment

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDE, NARROW = (1440, 900), (390, 844)


class Dashboard:
    """`lunaroute dashboard` over one home, on one port; can be stopped and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Dashboard:
        command = [sys.executable, "-m", "lunaroute", "dashboard", f"--home={self.home}", f"--ui-port={self.port}"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment())
        assert self._process.stderr is not None
        assert self.url in self._process.stderr.readline()
        return self

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        _, said = self._process.communicate(timeout=10)
        assert self._process.returncode == 0, said
        assert "Traceback" not in said, said


@pytest.fixture(scope="session")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    home = make_home(tmp_path_factory.mktemp("browser") / "home")
    add_scripts(home, hostile_script())
    dashboard = Dashboard(home).start()
    yield dashboard
    dashboard.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one module only: while Playwright runs, this thread has a running event loop, and other tests want theirs."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def until(page: Page, expression: str, timeout_s: float = 10.0) -> None:
    """Waits for it to be true. Playwright's own `wait_for_function` evaluates text in the page, which the page's policy
    does not allow."""
    deadline = time.monotonic() + timeout_s
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"{page.url}: never {expression}"
        page.wait_for_timeout(30)


class Watched:
    """A page whose every complaint and every request to somebody else is kept."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda one: self._hear(one.type, one.text, one.location.get("url", "")))
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self._see(request.url))

    def open(self, address: str, *, ready: str = "main h1") -> Page:
        self.page.goto(f"{self.url}{address}")
        self.page.wait_for_selector(ready)
        # Scripts are modules; the live stream's word says that they ran.
        until(self.page, "document.querySelector('[data-live-text]').textContent !== 'Connecting'")
        return self.page

    def assert_quiet(self) -> None:
        assert self.complaints == []
        assert self.foreign == []

    def _hear(self, kind: str, text: str, url: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {kind}: {text} ({url})")

    def _see(self, url: str) -> None:
        if not re.match(rf"{re.escape(self.url)}(/|$)|data:|blob:{re.escape(self.url)}", url):
            self.foreign.append(url)


@pytest.fixture
def watched(browser: Browser, dashboard: Dashboard) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
    yield Watched(context.new_page(), dashboard.url)
    context.close()
