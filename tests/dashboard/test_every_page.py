"""Every page of the dashboard in a browser, both widths, light and dark: `make test-dashboard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lunaroute.dashboard.pages.session import TABS
from lunaroute.dashboard.site import PAGES

from .conftest import NARROW, SETTLED, WIDE, Dashboard, Looking, until
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
