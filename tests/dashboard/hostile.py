"""Whether what was recorded has done anything but be shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .conftest import DIRECT, PATIENCE_S, SETTLED, until

if TYPE_CHECKING:
    from playwright.sync_api import Page


def hostile_id(url: str) -> str:
    """The session of tests.dashboard_store.hostile_script."""
    with DIRECT.open(f"{url}/api/v1/sessions?q=pwned&limit=1", timeout=PATIENCE_S) as answer:
        return str(json.load(answer)["items"][0]["session_id"])


def assert_not_pwned(page: Page) -> None:
    until(page, SETTLED)
    assert page.evaluate("window.pwned === undefined")
    assert page.evaluate("document.querySelectorAll('iframe, base, object, embed, main img, main script').length") == 0
    assert (
        page.evaluate("document.querySelectorAll('main style, main link, [onerror], [onload], [onfocus]').length") == 0
    )
