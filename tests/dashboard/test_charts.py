"""Charts in a browser: what a press asks for, their tables, a stretch of a timeline: `make test-dashboard`."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta

import pytest

from tests.dashboard_store import add_scripts, long_script

from .conftest import SETTLED, Dashboard, Looking, Watched, until

pytestmark = pytest.mark.browser


def test_a_press_on_a_day_asks_for_that_day(watched: Watched) -> None:
    page = watched.open("/?range=30d&q=client:codex+since:7d")
    until(page, SETTLED)
    page.locator(".chart .u-over").first.click()
    page.wait_for_url(re.compile(r"q=client%3Acodex\+since%3A"))
    day, next_day = re.findall(r"(?:since|until):(\d{4}-\d\d-\d\d)", page.input_value("[data-search]"))
    assert date.fromisoformat(next_day) - date.fromisoformat(day) == timedelta(days=1)
    # A span that is chosen afterwards counts.
    page.locator(".ranges label", has_text="24h").click()
    page.wait_for_url(re.compile("range=24h"))
    assert page.input_value("[data-search]") == "client:codex"
    watched.assert_quiet()


def test_a_drag_over_a_chart_asks_for_those_days(watched: Watched) -> None:
    page = watched.open("/models?range=30d")
    until(page, SETTLED)
    box = page.locator(".chart .u-over").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 40, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("since%3A"))
    first, last = re.findall(r"(?:since|until):(\d{4}-\d\d-\d\d)", page.input_value("[data-search]"))
    assert timedelta(days=10) < date.fromisoformat(last) - date.fromisoformat(first) < timedelta(days=25)
    watched.assert_quiet()


def test_a_press_on_an_hour_of_the_week_lists_its_sessions(watched: Watched) -> None:
    page = watched.open("/?range=90d")
    until(page, SETTLED)
    page.locator(".heat a.cell").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.matches('a.cell')")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/sessions\?.*weekday%3A"))
    assert "range=90d" in page.url
    weekday, hour = re.findall(r"(?:weekday|hour):(\w+)", page.input_value("[data-search]"))
    times = page.locator("#rows time").evaluate_all("all => all.map(one => one.dateTime)")
    assert {(f"{datetime.fromisoformat(one):%a}".lower(), one[11:13]) for one in times} <= {(weekday, hour)}
    watched.assert_quiet()


def test_each_chart_has_its_numbers_as_a_table(watched: Watched) -> None:
    page = watched.open("/?range=30d")
    until(page, SETTLED)
    buttons = page.locator("[data-as-table]")
    assert buttons.count() == page.locator(".chart").count() == 4
    buttons.first.press("Enter")
    rows = page.locator(".chart-table tbody tr")
    assert rows.count() > 5
    assert "$" in rows.first.inner_text()
    rows.first.locator("a").click()
    page.wait_for_url(re.compile("since%3A"))
    watched.assert_quiet()


def test_timeline_shows_a_stretch(looking: Looking, fresh: Dashboard) -> None:
    add_scripts(fresh.home, script := long_script(40))
    page = looking(fresh).open(f"/sessions/{script.session_id}?tab=timeline")
    until(page, "document.querySelector('[data-timeline]').dataset.drawn === 'true'")
    picture = "document.querySelector('[data-timeline] canvas').toDataURL()"
    whole = page.evaluate(picture)
    page.click("[data-zoom=in]")
    closer = page.evaluate(picture)
    page.focus("[data-timeline] canvas")
    page.keyboard.press("ArrowLeft")
    assert len({whole, closer, page.evaluate(picture)}) == 3
    page.keyboard.press("0")
    until(page, f"{picture} === {json.dumps(whole)}")
