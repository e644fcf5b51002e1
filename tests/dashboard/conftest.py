"""A real browser in front of a real dashboard process.

Chromium is Debian's (`apt-get install chromium`); without it, or without Playwright, the tests skip and say so.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard_store import add_scripts, hostile_script, make_home
from tests.support.server import clean_environment, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDE, NARROW = (1440, 900), (390, 844)
PATIENCE_S = 60.0
"""For whatever happens at once on a machine that has time: the slowest there is runs these tests beside others."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Dashboard:
    """`lunaroute dashboard` over one home, on one port; can be stopped and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ""
        self._port = 0
        self._log = home.parent / f"{home.name}.dashboard.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Dashboard:
        """On a free port; on the same one the next time. Answers when this returns."""
        command = [sys.executable, "-m", "lunaroute", "dashboard", f"--home={self.home}", f"--ui-port={self._port}"]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=clean_environment()
            )
        wait_until(self._is_answering)
        return self

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()
        assert self._process.returncode == 0, self.said
        assert "Traceback" not in self.said, self.said

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def _is_answering(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.said
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.said)
        if found is None:
            return False
        self.url, self._port = found[0], int(found[1])
        try:
            with DIRECT.open(f"{self.url}/api/v1/fields", timeout=PATIENCE_S) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError:
            return False


@pytest.fixture(scope="session")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    home = make_home(tmp_path_factory.mktemp("browser") / "home")
    add_scripts(home, hostile_script())
    dashboard = Dashboard(home).start()
    yield dashboard
    dashboard.stop()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Dashboard]:
    """A dashboard of this test's own."""
    dashboard = Dashboard(tmp_path / "home").start()
    yield dashboard
    dashboard.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """For one module only: while Playwright runs, this thread has a running event loop, and other tests want theirs."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    # Its crash handler does not start without a home that can be written, which a container may lack.
    own_home = str(tmp_path_factory.mktemp("chromium"))
    places: dict[str, Any] = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), own_home)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM,
            # Root has no sandbox, containers have little shared memory, and nobody has a graphics card.
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            env=clean_environment() | places,
            timeout=3 * PATIENCE_S * 1000,
        )
        yield browser
        browser.close()


def until(page: Page, expression: str, again: Callable[[], object] | None = None) -> None:
    """Waits for it to be true; does `again` before each look. Playwright's own `wait_for_function` evaluates text in
    the page, which the page's policy does not allow."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        if again is not None:
            again()
        if page.evaluate(expression):
            return
        assert time.monotonic() < deadline, f"{page.url}: never {expression}"
        page.wait_for_timeout(30)


LIVE = "document.querySelector('[data-live-text]').textContent === 'Live'"
# Parts and charts that a page asks for itself have come, and its fonts.
SETTLED = """document.fonts.status === 'loaded'
    && document.querySelectorAll('.htmx-request, [hx-trigger=load] .loading').length === 0
    && [...document.querySelectorAll('[data-chart]')].every(one => one.childElementCount > 0)"""


class Watched:
    """A page whose every complaint and every request to somebody else is kept."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        page.set_default_timeout(PATIENCE_S * 1000)
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda one: self._hear(one.type, one.text, one.location.get("url", "")))
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self._see(request.url))

    def open(self, address: str) -> Page:
        """Its scripts have run, and it listens for changes."""
        self.page.goto(f"{self.url}{address}")
        self.page.wait_for_selector("main h1")
        until(self.page, LIVE)
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


Looking = Callable[..., Watched]


@pytest.fixture
def looking(browser: Browser) -> Iterator[Looking]:
    """Opens pages of a dashboard, each in a profile of its own that ends with the test."""
    contexts = []

    def look(dashboard: Dashboard, size: tuple[int, int] = WIDE, scheme: Any = "light") -> Watched:
        contexts.append(
            browser.new_context(
                viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
            )
        )
        return Watched(contexts[-1].new_page(), dashboard.url)

    yield look
    for context in contexts:
        context.close()


@pytest.fixture
def watched(looking: Looking, dashboard: Dashboard) -> Watched:
    return looking(dashboard)
