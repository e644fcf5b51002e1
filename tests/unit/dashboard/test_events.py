"""`/api/v1/events`: what a client asks for, what it is told, and what it is told that it missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from lunaroute.access.guard import TENANT
from lunaroute.config import Config
from lunaroute.dashboard.events import EventStream, Message, as_json, as_server_sent, read_wish
from lunaroute.dashboard.hub import Hub
from lunaroute.dashboard.live import Live
from lunaroute.live.wire import Delta, InFlight, Update
from lunaroute.sinks import feed as feed_module
from lunaroute.sinks.feed import FeedSink, segments
from tests.builders import SessionScript
from tests.dashboard_store import add_events

LIMIT_S = 30.0


def _record(home: Path, *scripts: SessionScript) -> None:
    events = [event for script in scripts for event in script.events]
    add_events(home, events)
    feed = FeedSink(home / "feed")
    feed.open()
    for event in events:
        feed.write_batch([event])
    feed.close()


def _connection(query: str, last_id: str = "", tenant: str | None = None) -> HTTPConnection:
    headers = [(b"last-event-id", last_id.encode())] if last_id else []
    scope = {"type": "http", "query_string": query.encode(), "headers": headers, TENANT: tenant}
    return HTTPConnection(scope)


def _told(
    home: Path, count: int, query: str, last_id: str = "", during: Callable[[Hub, int], None] = lambda _hub, _n: None
) -> list[Message]:
    """The first `count` messages; `during(hub, n)` is called before each."""

    async def listen() -> list[Message]:
        hub = Hub(Config(home=home), look_every_s=0.01)
        told: list[Message] = []
        stream = EventStream(hub, read_wish(_connection(query, last_id)))
        await stream.begin()
        async with aclosing(stream.messages()) as messages:
            while len(told) < count:
                during(hub, len(told))
                message = await asyncio.wait_for(anext(messages), LIMIT_S)
                if message is not None:
                    told.append(message)
        return told

    return asyncio.run(listen())


def test_events_are_as_in_the_files_or_only_their_facts(tmp_path: Path) -> None:
    script = SessionScript("one").turn("a question", "an answer", cost_usd=0.5)
    _record(tmp_path, script)
    whole = _told(tmp_path, 3, "after=first")
    assert [one.event for one in whole] == ["started", "request_recorded", "response_recorded"]
    assert json.loads(whole[2].data)["response_text"] == "an answer"
    facts = json.loads(_told(tmp_path, 3, "after=first&form=facts")[2].data)
    assert (facts["type"], facts["text"], facts["cost"]) == ("response_recorded", "an answer", 0.5)
    assert "request_json" not in facts
    assert [one.id for one in _told(tmp_path, 2, "", last_id=whole[0].id or "")] == [one.id for one in whole[1:]]


def test_a_filter_holds_for_events_and_for_what_is_in_flight(tmp_path: Path) -> None:
    one, two = SessionScript("one", model="claude-x").turn("a"), SessionScript("two", model="gpt-y").turn("b")
    _record(tmp_path, one, two)

    def begin(hub: Hub, number: int) -> None:
        if number == 3:
            _begin_flights(hub, one, two)

    told = _told(tmp_path, 4, "after=first&q=model:gpt", during=begin)
    assert {json.loads(message.data)["session_id"] for message in told} == {two.session_id}
    assert told[3].event == "in_flight"
    assert json.loads(told[3].data)["deltas"][0]["text"] == "two"


def _begin_flights(hub: Hub, *scripts: SessionScript) -> None:
    flights = [
        InFlight(
            request_id=script.name,
            session_id=script.session_id,
            provider="p",
            started_at="",
            model=script.model,
            deltas=[Delta(key="0", kind="text", text=script.name)],
        )
        for script in scripts
    ]
    hub._take(Update(exchanges=flights))
    hub._changed()


def test_a_tenant_hears_of_its_own_sessions_only(tmp_path: Path) -> None:
    ours = SessionScript("ours", tenant="research").turn("banjo")
    others = [
        SessionScript("theirs", tenant="sales").turn("xylophone"),
        SessionScript("alike", tenant="research-too").turn("xylophone"),
        SessionScript("nobody", tenant=None).turn("xylophone"),
    ]
    _record(tmp_path, *others, ours)
    unknown = SessionScript("unknown", tenant="research")  # no file says whose it is

    async def listen() -> tuple[list[Message], bytes]:
        hub = Hub(Config(home=tmp_path), look_every_s=0.01)
        told: list[Message] = []
        stream = EventStream(hub, read_wish(_connection("after=first", tenant="research")))
        await stream.begin()
        async with aclosing(stream.messages()) as messages:
            while len(told) < 4:
                message = await asyncio.wait_for(anext(messages), LIMIT_S)
                assert message is not None
                told.append(message)
                if len(told) == 3:
                    _begin_flights(hub, *others, unknown, ours)
            page = Live(hub).events(others[0].session_id, "research")
            heard = b""
            while b"in_flight" not in heard:
                heard += await asyncio.wait_for(anext(page), LIMIT_S)
            await page.aclose()  # type: ignore[attr-defined]
        return told, heard

    told, heard = asyncio.run(listen())
    assert {json.loads(message.data)["session_id"] for message in told} == {ours.session_id}
    assert told[3].event == "in_flight"
    assert ours.session_id.encode() in heard
    assert not [one for one in (*others, unknown) if one.session_id.encode() in heard]


@pytest.mark.parametrize("query", ["after=yesterday", "q=nothing:here", "form=short", "in_flight=2", "q=starred:true"])
def test_a_wrong_wish_is_an_answer(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/v1/events?{query}")
    assert answer.status_code == 400
    assert answer.json()["kind"] == "FilterError"


def test_what_another_feed_gave_out_is_no_place_in_this_one(tmp_path: Path) -> None:
    _record(tmp_path, SessionScript("one").turn())
    told = _told(tmp_path, 2, "", last_id="0123456789abcdef-7")
    assert told[0] == Message("resync", b'{"missed_events":null}')
    assert told[1].event == "started"


def test_who_was_away_for_too_long_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "SEGMENT_RECORDS", 4)
    monkeypatch.setattr(feed_module, "KEPT_SEGMENTS", 2)
    script = SessionScript("one").turn()
    _record(tmp_path, script)
    [last_id] = [one.id for one in _told(tmp_path, 1, "after=first")]
    for _ in range(8):
        script.turn()
    _record(tmp_path, script)
    told = _told(tmp_path, 2, "", last_id=last_id or "")
    assert told[0].event == "resync"
    first = segments(tmp_path / "feed")[0].first
    assert json.loads(told[1].data)["seq"] == first


def test_one_that_does_not_read_is_told_how_much_it_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "SEGMENT_RECORDS", 4)
    monkeypatch.setattr(feed_module, "KEPT_SEGMENTS", 2)
    script = SessionScript("one").turn()
    _record(tmp_path, script)

    def go_on(hub: Hub, number: int) -> None:
        if number == 3:
            for _ in range(8):
                script.turn()
            _record(tmp_path, script)

    told = _told(tmp_path, 5, "after=first&in_flight=0", during=go_on)
    first = segments(tmp_path / "feed")[0].first
    assert [one.event for one in told[:4]] == ["started", "request_recorded", "response_recorded", "resync"]
    assert json.loads(told[3].data) == {"missed_events": first - 3}
    assert json.loads(told[4].data)["seq"] == first


def test_nothing_goes_by_between_the_answer_and_the_stream(tmp_path: Path) -> None:
    """A client that is told that it is connected may act at once; what comes of it is told."""
    _record(tmp_path, SessionScript("before").turn())

    async def listen() -> Message | None:
        stream = EventStream(Hub(Config(home=tmp_path)), read_wish(_connection("")))
        await stream.begin()
        _record(tmp_path, SessionScript("then").turn("said at once"))
        async with aclosing(stream.messages()) as messages:
            return await asyncio.wait_for(anext(messages), LIMIT_S)

    message = asyncio.run(listen())
    assert message is not None
    assert message.event == "started"


def test_messages_in_both_forms() -> None:
    message = Message("started", b'{"a":1}', "x-1")
    assert as_server_sent(message) == b'id: x-1\nevent: started\ndata: {"a":1}\n\n'
    assert json.loads(as_json(message)) == {"id": "x-1", "event": "started", "data": {"a": 1}}
    assert as_server_sent(Message("ended", b"{}")) == b"event: ended\ndata: {}\n\n"
    assert as_server_sent(None).startswith(b":")
