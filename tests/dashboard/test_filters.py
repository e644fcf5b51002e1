"""Filters in a browser, and going from page to page by them: `make test-dashboard`."""

from __future__ import annotations

import re

import pytest

from .conftest import LIVE, Watched, until

pytestmark = pytest.mark.browser


def test_filter_stands_in_the_address_and_narrows(watched: Watched) -> None:
    page = watched.open("/sessions")
    page.fill("[data-search]", "client:codex")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=client%3Acodex"))
    names = page.locator("#rows .sub span:first-child").all_inner_texts()
    assert set(names) == {"codex"}
    page.locator(".ranges label", has_text="24h").click()
    page.wait_for_url(re.compile("range=24h"))
    assert "q=client%3Acodex" in page.url
    page.go_back()
    until(page, "document.querySelector('[data-range]:checked').value === 'all'")
    assert page.input_value("[data-search]") == "client:codex"
    page.go_forward()
    until(page, "document.querySelector('[data-range]:checked').value === '24h'")
    watched.assert_quiet()


def test_pages_come_without_being_loaded_anew(watched: Watched) -> None:
    page = watched.open("/sessions")
    page.evaluate("window.notReloaded = true")
    page.keyboard.press("End")
    until(page, "scrollY > 200")
    scrolled = page.evaluate("scrollY")
    page.locator("#rows [data-open]").nth(40).click()
    page.wait_for_selector("article.session")
    assert page.evaluate("scrollY") == 0
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.get_attribute("#nav [aria-current]", "href") == "/sessions"
    page.click(".tabs a:has-text('Tokens')")
    page.wait_for_selector(".u-legend")
    page.click("#nav a:has-text('SQL')")
    page.fill("#statement", "SELECT 1 AS one, 2 AS two")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("[data-sql-result] td")
    assert "SQL" in page.title()
    for place in ("tab=tokens", "/sessions/", "/sessions"):
        page.go_back()
        page.wait_for_url(lambda url, place=place: place in url)
    page.wait_for_selector("#rows [data-row]")
    until(page, f"scrollY > {scrolled} / 2")
    assert page.evaluate("window.notReloaded")
    watched.assert_quiet()


def test_a_page_that_cannot_be_had_is_loaded(watched: Watched) -> None:
    page = watched.open("/sessions")
    page.evaluate("window.notReloaded = true")
    page.route("**/models", lambda one: one.abort() if one.request.resource_type == "fetch" else one.continue_())
    page.click("#nav a:has-text('Models')")
    page.wait_for_url("**/models")
    until(page, LIVE)
    assert "Models" in page.inner_text("main h1")
    assert not page.evaluate("window.notReloaded === true")


def test_fields_and_names_are_completed(watched: Watched) -> None:
    page = watched.open("/sessions")
    page.click("[data-search]")
    page.keyboard.type("mod")
    page.wait_for_selector(".completions li")
    page.keyboard.press("Tab")
    assert page.input_value("[data-search]") == "model:"
    page.keyboard.type("haiku")
    page.wait_for_selector(".completions li >> text=claude-haiku-4-5")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("[data-search]") == "model:claude-haiku-4-5 "
    watched.assert_quiet()


def test_a_mistake_is_told_in_the_page(watched: Watched) -> None:
    page = watched.page
    page.goto(f"{watched.url}/sessions?q=modle:opus")
    assert "did you mean 'model'?" in page.inner_text(".problem")
    assert page.input_value("[data-search]") == "modle:opus"


def test_rows_go_on_while_one_scrolls(watched: Watched) -> None:
    page = watched.open("/sessions")
    assert page.locator("#rows [data-row]").count() == 50
    until(page, "document.querySelectorAll('#rows [data-row]').length > 50", lambda: page.keyboard.press("End"))
    watched.assert_quiet()
