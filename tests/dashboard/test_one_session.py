"""The page of one session in a browser: `make test-dashboard`."""

from __future__ import annotations

import pytest

from tests.dashboard_store import add_scripts, long_script

from .conftest import Dashboard, Looking, Watched, until
from .hostile import hostile_id

pytestmark = pytest.mark.browser


def test_a_long_session_comes_in_pages(looking: Looking, fresh: Dashboard) -> None:
    """How long that takes, `make bench-dashboard` says."""
    add_scripts(fresh.home, script := long_script(2000, b'{"messages":["' + b"x" * 2000 + b'"]}'))
    watched = looking(fresh)
    for address in ("?tab=timeline", "?tab=tokens", "?tab=tools", "?from=1990"):
        page = watched.open(f"/sessions/{script.session_id}{address}")
        assert page.evaluate("performance.getEntriesByType('navigation')[0].decodedBodySize") < 300_000, address
    page = watched.open(f"/sessions/{script.session_id}")
    assert page.locator(".turn").count() == 20
    until(page, "document.querySelectorAll('.turn').length >= 40", lambda: page.keyboard.press("End"))
    watched.assert_quiet()


def test_calls_and_thinking_unfold(watched: Watched) -> None:
    page = watched.open(f"/sessions/{hostile_id(watched.url)}")
    assert page.locator(".thinking[open]").count() == 0
    page.click("button:text('Thinking')")
    assert page.locator(".thinking[open]").count() > 5
    page.click("button:text('Tool calls')")
    assert page.locator(".call[open] .result").first.is_visible()
    watched.assert_quiet()


def test_a_turn_has_a_link_of_its_own(watched: Watched) -> None:
    page = watched.open(f"/sessions/{hostile_id(watched.url)}")
    turn = page.locator(".turn").nth(6)
    page = watched.open(f"/sessions/{hostile_id(watched.url)}#{turn.get_attribute('id')}")
    until(page, "scrollY > 400")
    watched.assert_quiet()


def test_curl_is_copied(looking: Looking, dashboard: Dashboard) -> None:
    watched = looking(dashboard)
    watched.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = watched.open(f"/sessions/{hostile_id(dashboard.url)}?tab=raw&n=2")
    page.click("text=Copy as curl")
    page.wait_for_selector(".toast.shown")
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl -X POST")
    watched.assert_quiet()
