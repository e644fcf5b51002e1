"""The dashboard while a provider is still talking: `make test-dashboard`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lunaroute.simulator.launch import RunningSimulator, start_simulator
from lunaroute.supervisor.instance import read_info
from tests.support.server import serving
from tests.support.watching import LONG_MS, Watcher, asking

from .conftest import Watched, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with start_simulator() as running:
        yield running


def test_pages_type_along_while_the_provider_is_streaming(
    browser: Browser, tmp_path: Path, simulator: RunningSimulator
) -> None:
    home = tmp_path / "home"
    with serving(home, {"anthropic": simulator.base_url}, has_dashboard=True):
        info = read_info(home / "run")
        assert info is not None
        watcher = Watcher(info.ui_port)
        watched = Watched(browser.new_page(), f"http://127.0.0.1:{info.ui_port}")
        with asking(info, "tell me more", f"silent_gap_ms={LONG_MS}; answer_bytes=4000") as thread:
            request = watcher.wait("request_recorded").data
            page = watched.open(f"/sessions/{request['session_id']}")
            until(page, "document.querySelector('.streaming .typed')?.textContent.length > 1000")
            assert page.inner_text(".streaming .typed").rstrip("▍") in watcher.text(request["request_id"])
            until(page, "/tokens/.test(document.querySelector('.streaming header').textContent)")
            assert "tell me more" in page.inner_text(".turn.open")
            page.evaluate("window.notReloaded = true")
            overview = Watched(browser.new_page(), watched.url)
            overview.open("/")
            until(overview.page, "/tokens/.test(document.querySelector('[data-rate]')?.textContent)")
            overview.open("/sessions")
            until(overview.page, "/tokens/.test(document.querySelector('[data-session-rate]')?.textContent)")
            assert thread.is_alive()
        watcher.wait("response_recorded")
        # The recorded turn takes the place of the one that was typed, without a reload.
        until(page, "!document.querySelector('.streaming') && !!document.querySelector('.turn .said.model')")
        assert page.evaluate("window.notReloaded")
        assert page.locator(".turn").count() == 1
        until(overview.page, "!document.querySelector('tr.working')")
        watched.assert_quiet()
        overview.assert_quiet()
        for one in (watched, overview):
            one.page.close()
    watcher.close()


def test_what_streams_is_text_and_never_markup(browser: Browser, tmp_path: Path, simulator: RunningSimulator) -> None:
    home = tmp_path / "home"
    payload = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
    with serving(home, {"anthropic": simulator.base_url}, has_dashboard=True):
        info = read_info(home / "run")
        assert info is not None
        watcher = Watcher(info.ui_port)
        with asking(info, f"[[answer: {payload * 40}]]", f"silent_gap_ms={LONG_MS}"):
            session_id = watcher.wait("request_recorded").data["session_id"]
            watched = Watched(browser.new_page(), f"http://127.0.0.1:{info.ui_port}")
            page = watched.open(f"/sessions/{session_id}")
            until(page, "document.querySelector('.streaming .typed')?.textContent.includes('<script>')")
            assert page.locator(".streaming img, .streaming script").count() == 0
            assert not page.evaluate("window.pwned")
            watched.assert_quiet()
        page.close()
    watcher.close()
