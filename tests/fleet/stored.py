"""The events that every store is given before it is asked, and a home in which SQLite has them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from lunaroute.events import Event
from lunaroute.simulator.seeded_session import SeededSession
from lunaroute.sinks.base import Sink
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens


class Database(Protocol):
    """A server that makes new databases."""

    def new_database(self) -> str:
        """Its URL."""


NOW = TEN_OCLOCK + timedelta(days=12)
_SEEDED = 40


def recorded_events() -> list[Event]:
    """Sessions of twelve days in two months: seeded ones, and what those do not have."""
    dice = random.Random(11)
    events: list[Event] = []
    for number in range(_SEEDED):
        start = TEN_OCLOCK + timedelta(days=12) * dice.random()
        events += SeededSession(f"seeded {number}", start, dice.randrange(1, 14), random.Random(number)).events
    for script in _scripts():
        events += script.events
    return events


def fill(sink: Sink, events: Sequence[Event], size: int = 500) -> None:
    """As a shipper would, some of it twice."""
    sink.open()
    try:
        for start in range(0, len(events), size):
            sink.write_batch(events[start : start + size])
        sink.write_batch(events[-300:])
        sink.sync()
    finally:
        sink.close()


def stored_in(server: Database, sink: Callable[..., Sink], events: Sequence[Event], **settings: Any) -> str:
    """The URL of a new database of this server with the events in it, all of them."""
    url = server.new_database()
    fill(sink(url, _refuse, **settings), events)
    return url


def _refuse(event: Event, reason: str) -> None:
    raise AssertionError((event, reason))


def make_index(home: Path, events: Sequence[Event]) -> Path:
    """`sessions.db` of this home."""
    sessions_dir = home / "sessions"
    fill(SqliteSink(sessions_dir / "sessions.db", sessions_dir), events)
    return sessions_dir / "sessions.db"


def _scripts() -> Iterator[SessionScript]:
    read, bash = Call("Read", "c1", '{"path": "notes.txt"}'), Call("Bash", "c2", '{"cmd": "make"}')
    old = SessionScript("old", TEN_OCLOCK + timedelta(hours=3), tags=["nightly", "größe"])
    old.turn("what do the notes say? Übermäßig naïve café", "Let me look.", calls=[read, bash], cost_usd=0.0123)
    old.result(read, "buy milk; then buy more milk").result(bash, "no such target", success=False)
    yield old.turn("", "They say: buy milk.", tokens=tokens(1300, 20), cost_usd=0.01).complete()
    failed = SessionScript("failed", TEN_OCLOCK, model="gpt-5", provider="openai", client="codex")
    yield failed.turn("100% sure_thing?", "", outcome="http_error", error="Overloaded", cost_usd=None).complete()
    yield SessionScript("live", TEN_OCLOCK + timedelta(hours=1), client=None).ask("are you there?")
    hostile = SessionScript("hostile", TEN_OCLOCK + timedelta(days=1), model="o'hara\\\"; --", client="a'b\\c?")
    yield hostile.turn("tab\tquote' back\\slash\nnew line ? 漢字 {x:String}", "done")
    long = SessionScript("long", TEN_OCLOCK + timedelta(days=10, hours=2))
    yield long.turn("word " * 3000 + "needle in the haystack", "found the needle").complete()
