"""What of the browser tests everybody runs: each page opens without a complaint, and hostile text does nothing."""

from __future__ import annotations

from lunaroute.dashboard.pages.session import TABS
from lunaroute.dashboard.site import PAGES

from .conftest import Watched, until
from .hostile import assert_not_pwned, hostile_id


def test_every_page_opens_quietly(watched: Watched) -> None:
    for _, address, title in PAGES:
        page = watched.open(address)
        assert title in page.title()
    watched.assert_quiet()


def test_scripts_run_once(watched: Watched) -> None:
    """Under two addresses a module would run twice, and each key count double."""
    page = watched.open("/sessions")
    page.keyboard.press("j")
    assert page.locator("[data-row].selected").count() == 1
    assert "selected" in (page.locator("[data-row]").first.get_attribute("class") or "")
    watched.assert_quiet()


def test_charts_are_drawn(watched: Watched) -> None:
    page = watched.open("/?range=30d")
    until(page, "document.querySelectorAll('.chart canvas').length === 4")
    until(page, f"document.querySelectorAll('.heat .cell').length === {7 * 24}")
    watched.assert_quiet()


def test_hostile_recordings_do_nothing(watched: Watched) -> None:
    address = f"/sessions/{hostile_id(watched.url)}"
    for tab, _ in TABS:
        page = watched.open(f"{address}?tab={tab}")
        if tab == "transcript":
            page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        if tab in ("raw", "diff"):
            page.wait_for_selector("section.card")
        assert_not_pwned(page)
    compared = f"/compare?a={hostile_id(watched.url)}&b={hostile_id(watched.url)}"
    for path in (
        compared,
        "/?range=1h",
        "/sessions?range=1h",
        "/models?range=1h",
        "/search?q=pwned",
        "/tools?range=1h",
    ):
        assert_not_pwned(watched.open(path))
    watched.assert_quiet()
