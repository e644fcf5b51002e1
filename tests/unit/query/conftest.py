"""A home with a few recorded sessions."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens


def record(home: Path, *scripts: SessionScript) -> None:
    sessions_dir = home / "sessions"
    for sink in (JsonlSink(sessions_dir), SqliteSink(sessions_dir / "sessions.db", sessions_dir)):
        sink.open()
        for script in scripts:
            sink.write_batch(script.events)
        sink.close()


@pytest.fixture
def scripts() -> dict[str, SessionScript]:
    """`old` is a completed agent run with tools, `failed` ended badly, `live` is still running."""
    read, bash = Call("Read", "c1", '{"path": "notes.txt"}'), Call("Bash", "c2", '{"cmd": "make"}')
    old = SessionScript("old", TEN_OCLOCK - timedelta(days=3), tags=["nightly"])
    old.turn("what do the notes say?", "Let me look.", tokens=tokens(1200, 80, 30), cost_usd=0.0123, calls=[read, bash])
    old.result(read, "buy milk").result(bash, "no such target", success=False)
    old.turn("", "They say: buy milk.", tokens=tokens(1300, 20), cost_usd=0.01).complete()
    failed = SessionScript("failed", TEN_OCLOCK, model="gpt-5", provider="openai", client="codex")
    failed.turn("100% sure?", "", outcome="http_error", error="Overloaded").complete()
    live = SessionScript("live", TEN_OCLOCK + timedelta(hours=1), client=None).ask("are you there?")
    return {"old": old, "failed": failed, "live": live}


@pytest.fixture
def home(tmp_path: Path, scripts: dict[str, SessionScript]) -> Path:
    record(tmp_path, *scripts.values())
    return tmp_path
