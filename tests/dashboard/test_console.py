"""SQL in a browser, and hostile answers to what is asked there and in the palette: `make test-dashboard`."""

from __future__ import annotations

import json

import pytest

from .conftest import Watched, until

pytestmark = pytest.mark.browser


# ---- SQL


def test_console_asks_draws_and_keeps(watched: Watched) -> None:
    page = watched.open("/sql")
    page.fill("#statement", "SELECT day, sum(requests) AS requests FROM daily_stats GROUP BY day")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("[data-sql-result] td")
    page.wait_for_selector("[data-sql-chart] canvas")
    page.fill("#statement", "DELETE FROM sessions")
    page.click("text=Run")
    page.wait_for_selector("[data-sql-problem]:has-text('only reading')")
    watched.complaints = [one for one in watched.complaints if "400" not in one]  # the browser's own line about it
    watched.assert_quiet()


# ---- hostile answers of the API


def test_palette_and_console_show_hostile_text_as_text(watched: Watched) -> None:
    page = watched.open("/sql")
    page.fill("#statement", "SELECT first_text, model_used, user_agent, tags FROM sessions WHERE tags LIKE '%svg%'")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("[data-sql-result] td")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("pwned")
    until(page, "document.querySelectorAll('.palette li').length > 2")
    page.keyboard.press("Escape")
    page = watched.open("/models?range=1h")
    page.wait_for_selector(".u-legend")
    page = watched.open("/sessions")
    page.click("[data-search]")
    page.keyboard.type("tool:")
    page.wait_for_selector(".completions li")
    assert page.evaluate("window.pwned === undefined")
    assert json.loads(page.evaluate("JSON.stringify([...document.querySelectorAll('main img, iframe')].length)")) == 0
    watched.assert_quiet()
