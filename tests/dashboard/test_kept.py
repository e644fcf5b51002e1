"""What is kept in a browser: theme, columns, views, stars, tags, queries, density: `make test-dashboard`."""

from __future__ import annotations

import re

import pytest

from .conftest import Watched, until
from .hostile import hostile_id

pytestmark = pytest.mark.browser


# ---- every page, both widths, light and dark


def test_theme_is_kept(watched: Watched) -> None:
    page = watched.open("/")
    before = page.evaluate("document.documentElement.dataset.theme")
    page.click("[data-theme-toggle]")
    after = page.evaluate("document.documentElement.dataset.theme")
    assert {before, after} == {"light", "dark"}
    assert watched.open("/sessions").evaluate("document.documentElement.dataset.theme") == after
    watched.assert_quiet()


# ---- filters


def test_columns_are_chosen_and_kept(watched: Watched) -> None:
    page = watched.open("/sessions")
    assert page.locator(".col-cost").first.is_visible()
    page.click("text=Columns")
    page.uncheck("[data-columns] input[value=cost]")
    assert not page.locator("#rows .col-cost").first.is_visible()
    page = watched.open("/sessions")
    assert not page.locator("#rows .col-cost").first.is_visible()
    watched.assert_quiet()


HEADS = "[...document.querySelectorAll('#sessions thead th')].slice(2).map(one => one.textContent)"
# Of every row that there is, the names of its cells: all alike.
CELLS = """[...new Set([...document.querySelectorAll('#rows [data-row]')].map(row =>
    [...row.cells].slice(2).map(cell => cell.dataset.label).join()))].join(';')"""
USUAL = ["Models", "Started", "Duration", "Turns", "Tools", "Tokens", "Cost"]


def test_columns_are_moved_by_key_and_drag_and_kept(watched: Watched) -> None:
    page = watched.open("/sessions")
    assert page.evaluate(HEADS) == USUAL
    page.click("text=Columns")
    page.focus("[data-columns] input[value=cost]")
    page.keyboard.press("Alt+ArrowUp")
    page.keyboard.press("Alt+ArrowUp")
    assert page.evaluate("document.activeElement.value") == "cost"
    assert page.evaluate(HEADS) == ["Models", "Started", "Duration", "Turns", "Cost", "Tools", "Tokens"]
    page.locator("[data-column=models]").get_by_role("button", name="down").press("Enter")
    started = page.locator("[data-column=started]")
    page.locator("[data-column=tokens]").drag_to(started, target_position={"x": 9, "y": 3})
    moved = ["Tokens", "Started", "Models", "Duration", "Turns", "Cost", "Tools"]
    until(page, f"{HEADS}.join() === {','.join(moved)!r}")
    page.uncheck("[data-columns] input[value=tools]")
    cells = ",".join("Model" if name == "Models" else name for name in moved)
    assert page.evaluate(CELLS) == cells
    page.keyboard.press("Escape")
    assert not page.locator("[data-columns]").is_visible()
    # Rows that come later, another page, and the next time.
    until(page, "document.querySelectorAll('#rows [data-row]').length > 50", lambda: page.keyboard.press("End"))
    until(page, f"{CELLS} === {cells!r}")
    page.locator(".ranges label", has_text="30d").click()
    page.wait_for_url(re.compile("range=30d"))
    until(page, f"{HEADS}.join() === {','.join(moved)!r}")
    page = watched.open("/sessions")
    until(page, f"{HEADS}.join() === {','.join(moved)!r}")
    assert not page.locator("#rows .col-tools").first.is_visible()
    page.click("text=Columns")
    page.click("[data-columns-usual]")
    assert page.evaluate(HEADS) == USUAL
    assert page.locator("#rows .col-tools").first.is_visible()
    watched.assert_quiet()


def test_views_and_stars_are_kept(watched: Watched) -> None:
    page = watched.open("/sessions?q=client:codex")
    page.click("text=Views")
    page.fill("[data-save-view] input", "Codex only")
    with page.expect_navigation():
        page.click("[data-save-view] button")
    page.click("text=Views")
    assert page.locator(".view a", has_text="Codex only").get_attribute("href") == "/sessions?q=client:codex"
    page.locator("#rows [data-star]").first.click()
    page.wait_for_selector("#rows [data-star][aria-pressed=true]")
    page = watched.open("/sessions?marked=star")
    assert page.locator("#rows [data-row]").count() == 1
    page.locator("#rows [data-star]").first.click()
    page.wait_for_selector("#rows [data-star][aria-pressed=false]")
    watched.assert_quiet()


def test_tags_are_given_shown_and_looked_for(watched: Watched) -> None:
    page = watched.open(f"/sessions/{hostile_id(watched.url)}")
    page.click("[data-tags]")
    page.fill(".question input", "to show, kept")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.locator(".about .tag", has_text="to show").count() == 1
    page = watched.open("/sessions?marked=tag:kept")
    assert page.locator("#rows [data-row]").count() == 1
    page = watched.open(f"/sessions/{hostile_id(watched.url)}")
    page.click("[data-tags]")
    assert page.input_value(".question input") == "to show, kept"
    page.fill(".question input", "")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.locator(".about .tag", has_text="kept").count() == 0
    watched.assert_quiet()


def test_queries_are_kept_and_removed(watched: Watched) -> None:
    page = watched.open("/sql")
    page.fill("#statement", "SELECT 41 + 1 AS answer")
    page.click("[data-save-query]")
    page.fill(".question input", "The answer")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page = watched.open("/sql")
    page.click("text=The answer")
    page.wait_for_selector("[data-sql-result] td:has-text('42')")
    page.click("[data-remove-query]")
    page.wait_for_selector("[data-remove-query]", state="detached")
    assert watched.open("/sql").locator("text=The answer").count() == 0
    watched.assert_quiet()


def test_density_is_kept(watched: Watched) -> None:
    page = watched.open("/sessions")
    roomy = page.locator("#rows tr").first.bounding_box()
    page.click("[data-density-toggle]")
    page = watched.open("/sessions")
    dense = page.locator("#rows tr").first.bounding_box()
    assert roomy is not None
    assert dense is not None
    assert dense["height"] < 0.8 * roomy["height"]
    assert page.get_attribute("[data-density-toggle]", "aria-pressed") == "true"
    watched.assert_quiet()
