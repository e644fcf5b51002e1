"""`GET /api/v1/events`: what is recorded, and what is in flight, as it happens; by server-sent events or WebSocket.

    id: 4f1d…-1207                        of an event: the cursor to go on after
    event: response_recorded              the event's type; or:
           in_flight, ended, resync       what an open exchange says so far, that it is over, that something is missed
    data: {…}

Events come in the order in which they were recorded, each once. `Last-Event-ID`, which a browser sends by itself when
it connects again, or `after` in the query, goes on after the event it names; what was recorded in between is read from
the files. Nothing is queued for a client that does not read; it gets what it missed when it reads again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import msgspec
from starlette.requests import HTTPConnection

from lunaroute.access.guard import TENANT
from lunaroute.errors import FilterError
from lunaroute.live.catch_up import CatchUp
from lunaroute.live.wire import InFlight, Update
from lunaroute.query.event_filter import EventFacts, EventFilter, facts_of
from lunaroute.query.feed import Cursor, FedEvent, read_cursor
from lunaroute.query.grammar import parse_filter
from lunaroute.query.tenant import of_tenant

from .asked import read_asked
from .hub import Hub, HubFlight

SIGN_OF_LIFE_S = 15.0
_LOOK_EVERY_S = 0.02
_SHARE_OF_TIME = 0.2
"""Of the process, for one client's updates of exchanges in flight: with many of them, or many clients, they come less
often and are longer."""
_FORMS = ("whole", "facts")


class Message(msgspec.Struct, frozen=True):
    """One thing that a client is told."""

    event: str
    data: bytes
    """JSON."""
    id: str | None = None


class Wish(msgspec.Struct, frozen=True):
    """What a client asked for."""

    wanted: EventFilter
    cursor: Cursor | None
    """None = from now on."""
    from_first: bool
    form: str
    """`whole`: events as in the files; `facts`: only what can be filtered by, without bodies."""
    with_in_flight: bool


def read_wish(connection: HTTPConnection) -> Wish:
    """Raises FilterError."""
    tenant: str | None = connection.scope.get(TENANT)
    asked = read_asked(connection.query_params)
    wanted = parse_filter(asked.text, asked.now)
    after = connection.headers.get("last-event-id") or connection.query_params.get("after", "")
    cursor = read_cursor(after)
    if after and cursor is None and after != "first":
        raise FilterError(f"after={after[:60]}: must be the id of an event of this stream, or `first`")
    return Wish(
        # An event whose session is not known to be this tenant's is not.
        wanted=EventFilter(wanted if tenant is None else of_tenant(wanted, tenant)),
        cursor=cursor,
        from_first=after == "first",
        form=asked.choice("form", _FORMS, "whole"),
        with_in_flight=asked.choice("in_flight", ("1", "0"), "1") == "1",
    )


class EventStream:
    """What one client is told: begin() → messages()."""

    def __init__(self, hub: Hub, wish: Wish) -> None:
        self._hub = hub
        self._wish = wish
        self._position = 0
        self._epoch = ""
        self._misses = False
        self._catch_up = CatchUp()
        self._matches: dict[str, tuple[int, bool]] = {}
        """Exchange → (its version, whether it is wanted)."""

    async def begin(self) -> None:
        """Find the place from which on the client hears of everything; before it is told that it is connected, so that
        nothing that it then does goes by unheard. Raises OSError."""
        extent = await self._hub.catch_up()
        self._epoch = extent.epoch
        self._position, self._misses = extent.start_after(self._wish.cursor)
        if self._wish.from_first:
            self._position = extent.first

    async def messages(self) -> AsyncGenerator[Message | None]:
        """Without end, until the hub is closed; None = a sign of life. Raises OSError."""
        with self._hub.listening() as changed:
            await self._hub.look_now()
            if self._misses:
                yield _missed(None)
            heard_at = time.monotonic()
            while not self._hub.is_closed:
                changed.clear()
                is_quiet = True
                async for message in self._new():
                    is_quiet = False
                    yield message
                now = time.monotonic()
                if not is_quiet:
                    heard_at = now
                elif now - heard_at >= SIGN_OF_LIFE_S:
                    heard_at = now
                    yield None
                try:
                    await asyncio.wait_for(changed.wait(), SIGN_OF_LIFE_S)
                except TimeoutError:
                    continue

    async def _new(self) -> AsyncIterator[Message]:
        if self._hub.extent.epoch != self._epoch:
            if self._epoch:
                yield _missed(None)
            self._epoch, self._position = self._hub.extent.epoch, self._hub.extent.first
        while self._position < self._hub.extent.end:
            first = self._hub.extent.first
            if self._position < first:
                yield _missed(first - self._position)
                self._position = first
            events, self._position = await self._hub.events(self._position)
            for fed in events:
                if self._hub.feed.matches(self._wish.wanted, fed):
                    yield self._told(fed)
        if self._wish.with_in_flight:
            began = time.monotonic()
            update = self._catch_up.update(self._wanted_flights(), 0)
            if update is None:
                return
            for message in messages_of(update):
                yield message
            await asyncio.sleep(max(_LOOK_EVERY_S, (time.monotonic() - began) / _SHARE_OF_TIME))

    def _told(self, fed: FedEvent) -> Message:
        cursor = str(Cursor(self._epoch, fed.position))
        if self._wish.form == "whole" and fed.kind:
            return Message(fed.kind, fed.line, cursor)
        try:
            facts = facts_of(fed.event)
        except (ValueError, RecursionError):
            return Message("unreadable", msgspec.json.encode({"session_id": fed.session_id}), cursor)
        return Message(facts.type, msgspec.json.encode(facts), cursor)

    def _wanted_flights(self) -> Mapping[str, HubFlight]:
        flights = self._hub.flights
        wanted = self._wish.wanted
        if wanted.is_everything:
            return flights
        self._matches = {one: known for one, known in self._matches.items() if one in flights}
        return {one: flight for one, flight in flights.items() if self._is_wanted(one, flight)}

    def _is_wanted(self, request_id: str, flight: HubFlight) -> bool:
        version, is_wanted = self._matches.get(request_id, (-1, False))
        if version != flight.version:
            summary = flight.summary()
            started = self._hub.feed.beginning(summary.session_id)
            is_wanted = self._wish.wanted.holds(_facts_of_flight(summary), None, started)
            self._matches[request_id] = (flight.version, is_wanted)
        return is_wanted


def _missed(count: int | None) -> Message:
    """So many events are no longer there; None = nobody knows how many."""
    return Message("resync", msgspec.json.encode({"missed_events": count}))


def messages_of(update: Update) -> list[Message]:
    """What an update says."""
    ended = [Message("ended", msgspec.json.encode({"request_id": one})) for one in update.ended]
    return [*ended, *(Message("in_flight", msgspec.json.encode(one)) for one in update.exchanges)]


def _facts_of_flight(flight: InFlight) -> EventFacts:
    return EventFacts(
        timestamp=flight.started_at,
        session_id=flight.session_id,
        request_id=flight.request_id,
        type="in_flight",
        model=flight.model,
        cost=flight.cost_usd,
        input=flight.input_tokens,
        output=flight.output_tokens,
        ttft=flight.time_to_first_byte_ms,
    )


def as_server_sent(message: Message | None) -> bytes:
    """The message in the form of an event stream."""
    if message is None:
        return b": still here\n\n"
    cursor = b"" if message.id is None else f"id: {message.id}\n".encode()
    return b"%sevent: %s\ndata: %s\n\n" % (cursor, message.event.encode(), message.data)


def as_json(message: Message) -> bytes:
    """The message as one JSON object."""
    fields: dict[str, Any] = {"event": message.event, "data": msgspec.Raw(message.data)}
    return msgspec.json.encode(fields if message.id is None else {"id": message.id, **fields})
