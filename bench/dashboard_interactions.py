"""How long one waits in a browser: first contentful paint of pages, and from a press of a key or button to what shows.

Chromium itself says when: from the press to the frame in which the change can be seen, be it a page that comes in the
place of another or a part of it. CPU time is that of browser and server together until then, whatever they did side by
side, and other programs on the machine change it little: on an idle machine one waits no longer than that. The second
figure goes on until the page is at rest, charts drawn.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import msgspec

from lunaroute.simulator.seeded_session import SeededSession
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LONG_SESSION_EXCHANGES: Final = 2000
_PATIENCE_MS = 60_000
_NOW = "performance.timeOrigin + performance.now()"
_NEW_PAGE = "main:not([data-was])"
_REST_MS = 300
# The frame after the one in which something has changed: by then it is on the screen.
_WHEN_SHOWN = """([selector, count]) => new Promise((shown, never) => {
  setTimeout(() => never(new Error(`${location}: never ${count} of ${selector}`)), 30000);
  const look = () => document.querySelectorAll(selector).length >= count
    ? requestAnimationFrame(() => requestAnimationFrame(() => shown(performance.timeOrigin + performance.now())))
    : setTimeout(look, 1);
  look();
})"""


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody does on a page; `act` gives when it began and when it could be seen, in milliseconds."""

    name: str
    address: str
    act: Callable[[Page], tuple[float, float]]


def make_long_session(home: Path) -> str:
    """A home with one session of LONG_SESSION_EXCHANGES; its id."""
    start = datetime.now(UTC) - timedelta(days=2)
    session = SeededSession("long", start, LONG_SESSION_EXCHANGES, random.Random(5))
    sessions_dir = home / "sessions"
    sessions_dir.mkdir(mode=0o700)
    sinks = (JsonlSink(sessions_dir), SqliteSink(sessions_dir / "sessions.db", sessions_dir))
    for sink in sinks:
        sink.open()
    for sink in sinks:
        sink.write_batch(session.events)
        sink.close()
    return session.events[0].session_id


def paint_times(browser: Browser, url: str, addresses: Sequence[str], rounds: int = 3) -> dict[str, float]:
    """First contentful paint of each, in milliseconds since the navigation began; the median of some."""
    found = {}
    for address in addresses:
        times = []
        for _ in range(rounds):
            page = _page(browser)
            page.goto(url + address)
            times.append(_painted(page) - page.evaluate("performance.timeOrigin"))
            page.context.close()
        found[address] = median(times)
    return found


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds."""

    median: float
    longest: float
    cpu: float
    """The median too."""
    cpu_at_rest: float


def interaction_times(
    browser: Browser, url: str, interactions: Sequence[Interaction], rounds: int = 7
) -> dict[str, Waited]:
    found = {}
    for one in interactions:
        times, cpu, cpu_at_rest = [], [], []
        page = _page(browser)
        for _ in range(rounds):
            page.goto(url + one.address)
            _settle(page)
            before = children_cpu_ms()
            began, seen = one.act(page)
            cpu.append(children_cpu_ms() - before)
            cpu_at_rest.append(_cpu_at_rest_ms() - before)
            times.append(seen - began)
        page.context.close()
        found[one.name] = Waited(
            median=median(times), longest=max(times), cpu=median(cpu), cpu_at_rest=median(cpu_at_rest)
        )
    return found


def children_cpu_ms() -> float:
    """What all processes that this one has started have used so far."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    ours, more = set[int](), {os.getpid()}
    while more:
        ours |= more
        more = {pid for pid, parent in parents.items() if parent in ours} - ours
    return sum(map(_own_cpu_ns, ours - {os.getpid()})) / 1e6


def _cpu_at_rest_ms() -> float:
    """Once next to nothing is used any more."""
    last = children_cpu_ms()
    while True:
        time.sleep(_REST_MS / 1000)
        now = children_cpu_ms()
        if now - last < _REST_MS / 20:
            return now
        last = now


def _own_cpu_ns(pid: int) -> int:
    used = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            used += int(thread.read_text().split()[0])
    return used


def on_lists(word: str) -> list[Interaction]:
    """On a store with very many sessions, in some of which `word` was said."""
    return [
        Interaction(name="overview: another span", address="/?range=24h", act=_press("[data-range][value='7d']")),
        Interaction(name="sessions: filter by model", address="/sessions", act=_filter("model:opus")),
        Interaction(name="sessions: filter by tool and cost", address="/sessions", act=_filter("tool:Bash cost:>0.5")),
        Interaction(name="sessions: words", address="/sessions", act=_filter(word)),
        Interaction(name="sessions: dearest first", address="/sessions", act=_choose("[data-param=order]", "cost")),
        Interaction(name="sessions: next page", address="/sessions", act=_scroll("#rows [data-row]", 51)),
        Interaction(name="sessions: open one", address="/sessions", act=_press("#rows [data-open]")),
        Interaction(name="models: another span", address="/models?range=7d", act=_press("[data-range][value='30d']")),
        Interaction(name="palette: open", address="/sessions", act=_key("Control+k", ".palette[open] li")),
        Interaction(name="palette: find sessions", address="/sessions", act=_palette(word)),
        Interaction(name="filter: names of a field", address="/sessions", act=_complete("model:op")),
        Interaction(name="star a session", address="/sessions?q=client:codex", act=_star()),
        Interaction(name="search: words", address="/search", act=_filter(word)),
    ]


def on_session(session_id: str) -> list[Interaction]:
    """On one very long session."""
    base = f"/sessions/{session_id}"
    tabs = ("timeline", "tokens", "tools", "diff", "raw", "transcript")
    return [
        Interaction(name="long session: open from the list", address="/sessions", act=_press("#rows [data-open]")),
        *(
            Interaction(
                name=f"long session: to {tab}",
                address=f"{base}?tab={before}",
                act=_press(f".tabs a[href$='tab={tab}']"),
            )
            for before, tab in zip(("transcript", *tabs), tabs, strict=False)
        ),
        Interaction(name="long session: more turns", address=base, act=_scroll(".turn", 21)),
        Interaction(name="long session: unfold all tools", address=base, act=_unfold()),
    ]


def _page(browser: Browser) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce").new_page()
    page.set_default_timeout(_PATIENCE_MS)
    return page


def _settle(page: Page) -> None:
    page.wait_for_selector("[data-live].on")
    page.wait_for_selector("[data-chart]:empty", state="detached")
    page.wait_for_timeout(150)


def _painted(page: Page) -> float:
    """When the page that was loaded could first be seen."""
    page.wait_for_load_state("load")
    return float(
        page.evaluate(
            """() => new Promise((told) => {
              const look = () => { const [paint] = performance.getEntriesByName('first-contentful-paint');
                if (paint) told(performance.timeOrigin + paint.startTime); else setTimeout(look, 5); };
              look(); })"""
        )
    )


def _visits(page: Page, act: str, argument: object = None) -> tuple[float, float]:
    began = page.evaluate(
        f"(given) => {{ document.querySelector('main').dataset.was = ''; const began = {_NOW}; {act}; return began; }}",
        argument,
    )
    return float(began), float(page.evaluate(_WHEN_SHOWN, [_NEW_PAGE, 1]))


def _press(selector: str) -> Callable[[Page], tuple[float, float]]:
    return lambda page: _visits(page, "document.querySelector(given).click()", selector)


def _filter(text: str) -> Callable[[Page], tuple[float, float]]:
    act = "const field = document.querySelector('[data-search]'); field.value = given; field.form.requestSubmit()"
    return lambda page: _visits(page, act, text)


def _choose(selector: str, value: str) -> Callable[[Page], tuple[float, float]]:
    act = (
        "const one = document.querySelector(given[0]); one.value = given[1];"
        " one.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    return lambda page: _visits(page, act, [selector, value])


def _scroll(selector: str, count: int) -> Callable[[Page], tuple[float, float]]:
    def act(page: Page) -> tuple[float, float]:
        began = page.evaluate(
            f"() => {{ const began = {_NOW}; scrollTo(0, document.body.scrollHeight); return began; }}"
        )
        return float(began), float(page.evaluate(_WHEN_SHOWN, [selector, count]))

    return act


def _key(key: str, selector: str) -> Callable[[Page], tuple[float, float]]:
    def act(page: Page) -> tuple[float, float]:
        page.evaluate(
            f"() => addEventListener('keydown', () => {{ window.began = {_NOW}; }}, {{capture: true, once: true}})"
        )
        page.keyboard.press(key)
        shown = page.evaluate(_WHEN_SHOWN, [selector, 1])
        return float(page.evaluate("window.began")), float(shown)

    return act


def _typed(selector: str, text: str, shown: str, count: int) -> Callable[[Page], tuple[float, float]]:
    """The last letter counts; those before it are there already."""

    def act(page: Page) -> tuple[float, float]:
        page.fill(selector, text)
        began = page.evaluate(
            f"(given) => {{ const field = document.querySelector(given), began = {_NOW}; field.focus();"
            " field.dispatchEvent(new Event('input', {bubbles: true})); return began; }",
            selector,
        )
        return float(began), float(page.evaluate(_WHEN_SHOWN, [shown, count]))

    return act


def _palette(text: str) -> Callable[[Page], tuple[float, float]]:
    def act(page: Page) -> tuple[float, float]:
        page.keyboard.press("Control+k")
        page.wait_for_selector(".palette[open]")
        began = page.evaluate(
            f"(given) => {{ const field = document.querySelector('[data-palette-input]'), began = {_NOW};"
            " field.value = given; field.dispatchEvent(new Event('input', {bubbles: true})); return began; }",
            text,
        )
        return float(began), float(page.evaluate(_WHEN_SHOWN, [".palette li", 3]))

    return act


def _complete(text: str) -> Callable[[Page], tuple[float, float]]:
    return _typed("[data-search]", text, ".completions:not([hidden]) li", 1)


def _star() -> Callable[[Page], tuple[float, float]]:
    def act(page: Page) -> tuple[float, float]:
        was = page.get_attribute("#rows [data-star]", "aria-pressed")
        now = "false" if was == "true" else "true"
        began = page.evaluate(
            f"() => {{ const began = {_NOW}; document.querySelector('#rows [data-star]').click(); return began; }}"
        )
        return float(began), float(page.evaluate(_WHEN_SHOWN, [f"#rows tr:first-child [aria-pressed={now}]", 1]))

    return act


def _unfold() -> Callable[[Page], tuple[float, float]]:
    def act(page: Page) -> tuple[float, float]:
        began = page.evaluate(
            f"() => {{ const began = {_NOW}; document.querySelector('[data-unfold*=call]').click(); return began; }}"
        )
        return float(began), float(page.evaluate(_WHEN_SHOWN, [".call[open]", 5]))

    return act
