"""Homes for the tests of the dashboard: invented sessions of the last weeks, and one in which everything that a client
or a model can choose is hostile.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from lunaroute.events import Event
from lunaroute.events.types import RequestRecorded, ResponseRecorded, Started
from lunaroute.simulator.store import seed_store
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import Call, SessionScript, tokens

SESSIONS: Final = 60
PWNED: Final = "window.pwned=1"
PAYLOADS: Final = (
    f"<script>{PWNED}</script>",
    f'"><img src=x onerror="{PWNED}">',
    f"'><svg/onload={PWNED}>",
    f"</textarea></title></script><script>{PWNED}</script>",
    f"[click](javascript:{PWNED})",
    f'<a href="javascript:{PWNED}" onfocus="{PWNED}" autofocus>x</a>',
    "![pixel](https://evil.example/pixel.png)",
    "[out](//evil.example/) <iframe src='https://evil.example/'></iframe>",
    "<style>@import 'https://evil.example/x.css';</style>",
    '<link rel="stylesheet" href="https://evil.example/x.css"><base href="https://evil.example/">',
    f"<math><mtext><option><FAKE><option></option><mglyph><svg><mtext><style><img src=x onerror={PWNED}>",
    "{{ 7 * 7 }} {% raw %} ${7*7} <%= 7*7 %>",
    f"```html\n<script>{PWNED}</script>\n```\n\n    <script>{PWNED}</script>",
    f"x' hx-on:load='{PWNED}' data-hx-get='https://evil.example/' onmouseover='{PWNED}",
    "\u202egnp.exe \x1b[31mred\x07 \ufeff",
)


def make_home(home: Path, sessions: int = SESSIONS) -> Path:
    """Seeded sessions up to now; all numbers are the same for the same day."""
    seed_store(home, sessions, seed=7, until=datetime.now(UTC) - timedelta(minutes=1))
    return home


def add_scripts(home: Path, *scripts: SessionScript) -> None:
    add_events(home, [event for script in scripts for event in script.events])


def add_events(home: Path, events: list[Event]) -> None:
    """By the recorder's own sinks."""
    sessions_dir = home / "sessions"
    for sink in (JsonlSink(sessions_dir), SqliteSink(sessions_dir / "sessions.db", sessions_dir)):
        sink.open()
        sink.write_batch(events)
        sink.close()


def hostile_script() -> SessionScript:
    """A session of a turn for each payload."""
    now = datetime.now(UTC) - timedelta(minutes=30)
    script = SessionScript("hostile", now, model=PAYLOADS[0], client=PAYLOADS[1], tags=[PAYLOADS[2]])
    for number, payload in enumerate(PAYLOADS):
        call = Call(payload, f"call_{number}", msgspec.json.encode({"command": payload, "path": payload}).decode())
        body = msgspec.json.encode({"model": payload, "messages": [{"role": payload, "content": payload}]})
        script.turn(payload, payload, tokens=tokens(900, 40), cost_usd=0.01, calls=[call], request_json=body)
        script.result(call, payload, success=False)
    script.turn("again", "", outcome="http_error", error=PAYLOADS[1]).complete()
    script.events = [_hostile(event) for event in script.events]
    return script


def _hostile(event: Event) -> Event:
    replace = msgspec.structs.replace
    if isinstance(event, Started):
        metadata = replace(event.metadata, user_agent=PAYLOADS[0], api_version=PAYLOADS[1])
        return replace(event, metadata=metadata, conversation_id=PAYLOADS[2])
    if isinstance(event, RequestRecorded):
        return replace(event, project=PAYLOADS[0], agent=PAYLOADS[1], target=f"/v1/{PAYLOADS[0]}")
    if isinstance(event, ResponseRecorded):
        return replace(event, thinking_text=event.response_text, finish_reason=PAYLOADS[1])
    return event


def long_script(turns: int, body: bytes = b'{"messages":[]}') -> SessionScript:
    """One session of very many turns."""
    script = SessionScript("long", datetime.now(UTC) - timedelta(hours=2))
    for number in range(turns):
        call = Call("Bash", f"c{number}", '{"command": "make"}')
        script.turn(f"turn {number + 1}", "done", tokens=tokens(100 + number, 5), calls=[call], request_json=body)
        script.result(call, f"result {number + 1}")
    return script.turn("last words", "bye").complete()
