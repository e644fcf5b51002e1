"""Makes the pictures of docs/images: invented sessions that read like real ones, looked at in Chromium.

    python tools/dashboard_images.py [CHROMIUM]

Needs Playwright, Debian's chromium and Pillow. Nothing in the pictures was ever said by anybody.
"""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from PIL import Image
from playwright.sync_api import sync_playwright

from lunaroute.events import Event
from lunaroute.events.types import RequestRecorded, ResponseRecorded, ToolCallRecorded, ToolCallSummary
from lunaroute.simulator.seeded_session import SeededSession
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink

FOLDER = Path(__file__).parents[1] / "docs" / "images"
PORT = 18699
PROMPTS = (
    "The discount in the shopping cart is too high. Find out why, fix it and prove it.",
    "Add keyset paging to the orders endpoint, with tests.",
    "Why does the nightly export take forty minutes since Tuesday?",
    "Move the settings page to the new form components.",
    "Review this branch for race conditions before I merge it.",
    "Write a migration that splits `name` into first and last name without downtime.",
    "The login test is flaky on CI. Make it reliable, do not just retry it.",
    "Summarise what changed in the payment module since the last release.",
    "Replace the hand-written date parsing by the standard library.",
    "Explain how the cache is invalidated when a price changes.",
)
ANSWERS = (
    "The discount is applied **twice**: once per line in `cart_total`, and again on the sum. I'll look at both places.",
    "Found it. The loop multiplies by `1 - discount`, and its caller again:\n\n"
    "```python\ntotal = sum(line.price * (1 - discount) for line in lines)\nreturn total * (1 - discount)\n```",
    "All 42 tests pass now:\n\n- one place that knows the discount\n- a test that fails without the fix",
    "The query lost its index when the column became nullable. Two options, the second is cheaper.",
    "Let me run the tests before I touch anything.",
    "Done. The endpoint answers in **38 ms** at a million rows, it was 2.4 s.",
)
THOUGHTS = (
    "The request names a symptom, not a place. I should find where the value is computed before I form an opinion.",
    "Two hits matter: the function and the test that covers it. Reading both at once is cheaper.",
)
ARGUMENTS = {
    "Bash": {"command": "python -m pytest tests/test_cart.py -q", "description": "Run the tests of the cart"},
    "Read": {"file_path": "src/shop/cart.py"},
    "Edit": {
        "file_path": "src/shop/cart.py",
        "old_string": "    return total * (1 - discount)",
        "new_string": "    # The lines carry the discount already.\n    return total",
    },
    "Grep": {"pattern": "def cart_total", "path": "src"},
    "Write": {"file_path": "tests/test_discount.py", "content": "def test_discount_counts_once(): ..."},
    "Glob": {"pattern": "src/**/*.py"},
    "WebFetch": {"url": "https://example.com/changelog", "prompt": "What changed?"},
    "Task": {"description": "Look for other callers", "prompt": "Find every caller of cart_total."},
    "mcp__github__search": {"query": "is:pr label:payments"},
}
RESULT = "src/shop/cart.py:13:def cart_total(lines, discount):\ntests/test_cart.py:6:def test_total():"


def told(event: Event, dice: random.Random) -> Event:
    """The event with words of ours."""
    replace = msgspec.structs.replace
    if isinstance(event, RequestRecorded) and event.request_text:
        return replace(event, request_text=dice.choice(PROMPTS), project="~/code/shop")
    if isinstance(event, ResponseRecorded):
        calls = [worded(call) for call in event.stats.tool_calls]
        thought = dice.choice(THOUGHTS) if dice.random() < 0.4 else ""
        text = dice.choice(ANSWERS) if event.success else ""
        stats = replace(event.stats, tool_calls=calls)
        return replace(event, response_text=text, thinking_text=thought, stats=stats)
    if isinstance(event, ToolCallRecorded):
        return replace(event, arguments=arguments_of(event.tool_name), output_text=RESULT)
    return event


def worded(call: ToolCallSummary) -> ToolCallSummary:
    return msgspec.structs.replace(call, arguments=arguments_of(call.tool_name))


def arguments_of(tool: str) -> str:
    return msgspec.json.encode(ARGUMENTS[tool]).decode()


def make_store(home: Path) -> None:
    dice, now = random.Random(11), datetime.now(UTC)
    sinks = (JsonlSink(home / "sessions"), SqliteSink(home / "sessions" / "sessions.db", home / "sessions"))
    for sink in sinks:
        sink.open()
    starts = sorted(now - timedelta(days=60 * dice.random() ** 1.6, hours=1) for _ in range(420))
    for number, start in enumerate(starts):
        exchanges = min(120, max(2, round(dice.lognormvariate(2.2, 0.9))))
        session = SeededSession(f"picture-{number}", start, exchanges, random.Random(number))
        events = [told(event, dice) for event in session.events]
        # The newest ones are still at work.
        for sink in sinks:
            sink.write_batch(events[:-2] if number == len(starts) - 1 else events)
    for sink in sinks:
        sink.close()


def take(chromium: str, url: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
        page.goto(f"{url}/sessions?q=client:claude-code&order=requests")
        session = page.locator("[data-open]").nth(3).get_attribute("href")
        for name, address, scheme in (
            ("overview", "/?range=30d", "dark"),
            ("sessions", "/sessions?range=30d", "light"),
            ("session", f"{session}", "dark"),
            ("tokens", f"{session}?tab=tokens", "light"),
            ("latency", "/latency?range=30d", "dark"),
        ):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(f"{url}{address}")
            page.wait_for_timeout(1200)
            picture = Image.open(io.BytesIO(page.screenshot()))
            picture.save(FOLDER / f"{name}.webp", quality=82, method=6)
        browser.close()


def main() -> None:
    chromium = sys.argv[1] if len(sys.argv) > 1 else shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no chromium")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "sessions").mkdir(mode=0o700)
        make_store(home)
        command = [sys.executable, "-m", "lunaroute", "dashboard", f"--home={home}", f"--ui-port={PORT}"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            process.stderr.readline()
            take(chromium, f"http://127.0.0.1:{PORT}")
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    main()
