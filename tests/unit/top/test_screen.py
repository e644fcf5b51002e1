"""The screen in a terminal of 80 by 24, as it is over ssh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lunaroute.config import Config
from lunaroute.dialects.so_far import Part
from lunaroute.live.bus import LiveBus
from lunaroute.live.wire import InFlight
from lunaroute.sinks.feed import FeedSink
from lunaroute.top.screen import TopApp
from tests.builders import Call, SessionScript
from tests.dashboard_store import add_events

LIMIT_S = 30.0


class _Streaming:
    """An exchange of this session in flight."""

    def __init__(self, script: SessionScript) -> None:
        self.version = 1
        self._script = script

    def summary(self) -> InFlight:
        return InFlight(
            request_id="r1",
            session_id=self._script.session_id,
            provider="anthropic",
            model="claude-opus-4-5-20251101",
            started_at="2026-11-22T10:00:00.000000Z",
            time_to_first_byte_ms=300,
            streaming_ms=2000,
            output_tokens=100,
            cost_usd=0.5,
        )

    def parts(self) -> list[Part]:
        return [Part("0", "text", None, ["[bold]It types[/bold] \x1b[31malong"])]


def _record(home: Path, *scripts: SessionScript) -> None:
    events = [event for script in scripts for event in script.events]
    add_events(home, events)
    feed = FeedSink(home / "feed")
    feed.open()
    feed.write_batch(events)
    feed.close()


def _shown(app: TopApp) -> str:
    """The screen's text, line by line."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


async def _until(app: TopApp, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, _shown(app)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
def test_sessions_tools_and_text_are_shown(tmp_path: Path, size: tuple[int, int]) -> None:
    now = datetime.now(UTC)
    streaming = SessionScript("streams", now - timedelta(minutes=2)).turn("first", "done", cost_usd=1.0).ask("second")
    call = Call("Bash", "call_1", '{"command":"make"}')
    calling = SessionScript("calls", now - timedelta(minutes=1)).turn("build it", "", calls=[call])
    given_up = SessionScript("gave-up", now - timedelta(minutes=1)).turn("x", "", calls=[Call("Write", "call_2", "{}")])
    given_up.turn("never mind", "fine")
    over = SessionScript("over", now - timedelta(minutes=3)).turn().complete()
    _record(tmp_path, streaming, calling, given_up, over)
    bus = LiveBus(Config(home=tmp_path).live_socket)
    bus.open()

    async def run() -> None:
        app = TopApp(Config(home=tmp_path))
        flights = {"r1": _Streaming(streaming)}

        async def pump() -> None:
            while True:
                if bus.is_due():
                    bus.send(flights, 0)
                await asyncio.sleep(0.01)

        pumping = asyncio.create_task(pump())
        async with app.run_test(size=size) as pilot:
            await _until(app, lambda: "● live" in _shown(app) and "Bash" in _shown(app) and "streaming" in _shown(app))
            shown = _shown(app)
            assert "3 sessions open" in shown
            assert "1 in flight" in shown
            assert "1 tool running" in shown
            [row] = [line for line in shown.splitlines() if "streaming" in line]
            assert row.split()[:3] == ["streaming", streaming.session_id[:13], "claude-cod"]
            assert row.split()[-2:] == ["50", "$1.5000"]
            assert "Write" not in shown
            assert over.session_id[:13] in shown  # in the newest events
            await pilot.press("enter")
            await _until(app, lambda: "[bold]It types[/bold]" in _shown(app))
            assert "\x1b" not in _shown(app)
            await pilot.press("e")
            await _until(app, lambda: "It types" not in _shown(app))
            flights.clear()
            bus.close()
            await _until(app, lambda: "no recorder" in _shown(app) and "0 in flight" in _shown(app))
            await pilot.press("p")
            await _until(app, lambda: "paused" in _shown(app))
            await pilot.press("q")
        pumping.cancel()

    asyncio.run(run())


def test_an_empty_home_is_no_obstacle(tmp_path: Path) -> None:
    async def run() -> None:
        app = TopApp(Config(home=tmp_path))
        async with app.run_test(size=(80, 24)):
            await _until(app, lambda: "no recorder" in _shown(app))
            assert "0 sessions open" in _shown(app)

    asyncio.run(run())
