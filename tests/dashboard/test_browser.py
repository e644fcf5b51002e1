"""The dashboard in a browser, in full: `make test-dashboard`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lunaroute.dashboard.pages.session import TABS
from lunaroute.dashboard.site import PAGES
from tests.builders import SessionScript
from tests.dashboard_store import add_events, add_scripts, long_script

from .conftest import LIVE, NARROW, SETTLED, WIDE, Dashboard, Looking, Watched, until
from .hostile import hostile_id

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "build" / "axe" / "package" / "axe.min.js"
SHOWN = [address for _, address, _ in PAGES]
SEARCHED = [*SHOWN, "/search?q=ba*", "/sessions?q=nobody-said-this"]


def _addresses(url: str) -> list[str]:
    session = f"/sessions/{hostile_id(url)}"
    return [
        *SEARCHED,
        f"/compare?a={hostile_id(url)}&b={hostile_id(url)}",
        *(f"{session}?tab={tab}" for tab, _ in TABS),
    ]


# ---- every page, both widths, light and dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1440", "390"])
def test_every_page_fits_and_is_accessible(
    looking: Looking, dashboard: Dashboard, size: tuple[int, int], scheme: str
) -> None:
    watched = looking(dashboard, size, scheme)
    found = []
    for address in _addresses(dashboard.url):
        page = watched.open(address)
        until(page, SETTLED)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], address
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        found += [f"{address}: {one}" for one in (_serious(page) if AXE.exists() else [])]
    watched.assert_quiet()
    assert found == []
    if not AXE.exists():
        pytest.skip(f"every page fits; {AXE.name} is missing: make test-dashboard brings it")


def _serious(page: Page) -> list[str]:
    # As a script of the page's own origin it would be one more file to serve; evaluated, no policy is in its way.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    results = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary'][:200]}"
        for one in results["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


def test_theme_is_kept(watched: Watched) -> None:
    page = watched.open("/")
    before = page.evaluate("document.documentElement.dataset.theme")
    page.click("[data-theme-toggle]")
    after = page.evaluate("document.documentElement.dataset.theme")
    assert {before, after} == {"light", "dark"}
    assert watched.open("/sessions").evaluate("document.documentElement.dataset.theme") == after
    watched.assert_quiet()


# ---- filters


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


# ---- keyboard


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


# ---- one session


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


# ---- live


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
