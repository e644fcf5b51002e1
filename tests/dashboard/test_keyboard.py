"""The dashboard by keyboard alone: `make test-dashboard`."""

from __future__ import annotations

import pytest

from .conftest import LIVE, Watched, until
from .hostile import hostile_id

pytestmark = pytest.mark.browser


def test_keyboard_walks_opens_and_comes_back(watched: Watched) -> None:
    page = watched.open("/sessions")
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator("#rows [data-row]").nth(1)
    assert "selected" in (second.get_attribute("class") or "")
    session_id = second.get_attribute("data-session")
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/sessions/{session_id}")
    until(page, LIVE)
    page.keyboard.press("[")
    page.wait_for_url(lambda url: session_id not in url and "/sessions/" in url)
    until(page, LIVE)
    page.keyboard.press("]")
    page.wait_for_url(f"**/sessions/{session_id}*")
    until(page, LIVE)
    page.keyboard.press("Escape")
    page.wait_for_url("**/sessions")
    until(page, LIVE)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("[data-help-dialog]").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("[data-help-dialog]").is_visible()
    watched.assert_quiet()


def test_palette_goes_to_pages_and_sessions(watched: Watched) -> None:
    page = watched.open("/")
    page.keyboard.press("Control+k")
    page.keyboard.type("heal")
    page.keyboard.press("Enter")
    page.wait_for_url("**/health")
    until(page, LIVE)
    session_id = hostile_id(watched.url)
    page.keyboard.press("Control+k")
    page.keyboard.type(session_id)
    page.wait_for_selector(".palette li small >> text=<img")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/sessions/{session_id}")
    watched.assert_quiet()


def test_everything_can_be_reached_without_a_mouse(watched: Watched) -> None:
    page = watched.open("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
