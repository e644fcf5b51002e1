"""Pages that update themselves while one looks: `make test-dashboard`."""

from __future__ import annotations

import pytest

from tests.builders import SessionScript
from tests.dashboard_store import add_events, add_scripts

from .conftest import LIVE, Dashboard, Looking, until

pytestmark = pytest.mark.browser


def test_first_request_appears_by_itself(looking: Looking, fresh: Dashboard) -> None:
    watched = looking(fresh)
    page = watched.open("/setup")
    assert "Waiting for the first request" in page.inner_text("#first")
    until(page, LIVE)
    add_scripts(fresh.home, SessionScript("first").ask("are you there?"))
    page.wait_for_selector("text=First request seen")
    watched.assert_quiet()


def test_sessions_appear_while_one_looks(looking: Looking, fresh: Dashboard) -> None:
    add_scripts(fresh.home, SessionScript("one").turn("the first words").complete())
    watched = looking(fresh)
    page = watched.open("/sessions")
    page.evaluate("window.notReloaded = true")
    page.keyboard.press("j")
    script = SessionScript("two").ask("the second words")
    add_scripts(fresh.home, script)
    page.wait_for_selector("tr.working >> text=the second words")
    script.answer("done").complete()
    add_events(fresh.home, script.events[2:])
    page.wait_for_selector("tr.done >> text=the second words")
    assert page.evaluate("window.notReloaded")
    assert page.locator("tr.selected >> text=the first words").count() == 1
    watched.assert_quiet()


def test_connection_comes_back_after_a_restart(looking: Looking, fresh: Dashboard) -> None:
    add_scripts(fresh.home, SessionScript("one").turn("the first words").complete())
    watched = looking(fresh)
    page = watched.open("/sessions")
    until(page, LIVE)
    fresh.stop()
    until(page, "document.querySelector('[data-live-text]').textContent === 'Reconnecting'")
    add_scripts(fresh.home, SessionScript("two").turn("meanwhile").complete())
    fresh.start()
    until(page, LIVE)
    page.wait_for_selector("tr >> text=meanwhile")
    assert watched.foreign == []


def test_pause_holds_still(looking: Looking, fresh: Dashboard) -> None:
    add_scripts(fresh.home, SessionScript("one").turn("the first words").complete())
    watched = looking(fresh)
    page = watched.open("/sessions")
    page.click("[data-live]")
    assert page.inner_text("[data-live-text]") == "Paused"
    add_scripts(fresh.home, SessionScript("two").turn("meanwhile").complete())
    page.wait_for_timeout(2500)  # longer than a page that listens needs; on a slow machine this shows less
    assert page.locator("text=meanwhile").count() == 0
    page.click("[data-live]")
    until(page, LIVE)
    watched.assert_quiet()
