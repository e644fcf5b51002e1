"""The rows of the index do not depend on how events are put into batches, nor on which session's come first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import pytest

from lunaroute.events import Event
from lunaroute.sinks.sqlite.migrations import migrate
from lunaroute.sinks.sqlite.store import write_events
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens

_TOOLS = ("Read", "Bash", "Edit")


def _sessions(dice: Random) -> list[list[Event]]:
    """Of 200 exchanges and more, with calls of one tool side by side, calls without a result, with two, and with one
    that stands in another session."""
    helper = SessionScript("helper", TEN_OCLOCK - timedelta(minutes=5)).turn("for others")
    scripts = [
        SessionScript(f"s{number}", TEN_OCLOCK + timedelta(minutes=40 * number), model=dice.choice(("opus", "haiku")))
        for number in range(8)
    ]
    for number, script in enumerate(scripts):
        for turn in range(28):
            _turn(dice, script, f"{number}_{turn}", helper)
        if number % 3:
            script.complete()
        else:
            script.ask("still waiting")
    return [helper.events, *(script.events for script in scripts)]


def _turn(dice: Random, script: SessionScript, name: str, helper: SessionScript) -> None:
    calls = [Call(dice.choice(_TOOLS), f"call_{name}_{at}", f'{{"n":{at}}}') for at in range(dice.randrange(6))]
    script.turn(
        f"question {name}",
        "answer" if dice.random() < 0.8 else "",
        tokens=tokens(dice.randrange(999), dice.randrange(99), dice.randrange(9)),
        cost_usd=dice.choice((None, dice.random())),
        calls=calls,
        latency_ms=dice.uniform(1, 5000),
        outcome=dice.choice(("completed", "completed", "upstream_cut")),
    )
    for call in calls:
        is_moved = dice.random() < 0.2  # then there is one: of two, the later one counts
        for _ in range(1 if is_moved else dice.choice((0, 1, 1, 1, 2))):
            success = dice.choice((True, False, None))
            script.result(call, f"output {name}", execution_ms=dice.uniform(0, 900), success=success)
            if is_moved:
                _move(script, helper)


def _move(script: SessionScript, helper: SessionScript) -> None:
    """The last event to another session."""
    event = script.events.pop()
    request_id = helper.events[1].request_id
    helper.events.append(
        msgspec.structs.replace(event, session_id=helper.session_id, request_id=request_id, seq=len(helper.events))
    )


def _in_any_order(dice: Random, sessions: list[list[Event]]) -> Iterator[Event]:
    waiting = [iter(events) for events in sessions]
    while waiting:
        one = dice.choice(waiting)
        for event in (next(one, None) for _ in range(dice.randrange(1, 9))):
            if event is None:
                waiting.remove(one)
                break
            yield event


def _rows(batches: list[list[Event]]) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        for batch in batches:
            write_events(connection, batch, _fail)
        connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, text_search, row)")
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: "*" for name in names if not name.startswith("text_search")}
        columns |= {"texts": "session_id, request_id, kind, content", "words": "*"}
        return {
            name: sorted(connection.execute(f"SELECT {what} FROM {name}"), key=repr) for name, what in columns.items()
        }


def _fail(event: Event, reason: str) -> None:
    raise AssertionError(f"{event.session_id} {event.seq}: {reason}")


@pytest.mark.parametrize("seed", range(6))
def test_rows_are_the_same_in_any_batches(seed: int) -> None:
    dice = Random(seed)
    sessions = _sessions(dice)
    together = _rows([[event for events in sessions for event in events]])
    assert len(together["session_stats"]) > 200
    assert len(together["tool_call_executions"]) > 400
    mixed = list(_in_any_order(dice, sessions))
    most = dice.choice((3, 40, 700))
    parts: list[list[Event]] = []
    while mixed:
        at = dice.randrange(1, most)
        parts.append(mixed[:at])
        mixed = mixed[at:]
    apart = _rows(parts)
    for table, rows in together.items():
        assert apart[table] == rows, table
