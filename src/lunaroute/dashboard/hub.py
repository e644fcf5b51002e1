"""What happens right now, for all browsers together: one connection to the recorder, and one reader of the feed.

Nothing is queued for a listener: it has a position in the feed and a place in each open exchange's text, and takes what
is new when it can. The newest events are kept in memory, so that many listeners cost no more reading than one; who is
further behind reads them from the files.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice

import msgspec
from starlette.concurrency import run_in_threadpool

from lunaroute.config import Config
from lunaroute.dialects.so_far import Part
from lunaroute.live.watching import updates
from lunaroute.live.wire import Delta, Hello, InFlight, Update
from lunaroute.query.changes import watch
from lunaroute.query.feed import Extent, FedEvent, Feed

LOOK_EVERY_S = 0.4
"""For what the recorder does not tell of: the index changed by somebody else, a recorder that has just ended."""
_READ_EVENTS = 256
_KEPT_EVENTS = 2048
_KEPT_BYTES = 32 << 20


class HubFlight:
    """An exchange in flight, put together again from the recorder's updates."""

    def __init__(self, change: InFlight) -> None:
        self.version = 0
        self._summary = change
        self._parts: dict[str, tuple[Delta, list[str]]] = {}
        self.take(change)

    def take(self, change: InFlight) -> None:
        """The next change."""
        self.version += 1
        self._summary = msgspec.structs.replace(change, deltas=[])
        for delta in change.deltas:
            _, pieces = self._parts.get(delta.key, (delta, []))
            if delta.text:
                pieces.append(delta.text)
            self._parts[delta.key] = (delta, pieces)

    def summary(self) -> InFlight:
        return self._summary

    def parts(self) -> list[Part]:
        return [Part(key, delta.kind, delta.name, pieces) for key, (delta, pieces) in self._parts.items()]


class Hub:
    """Works while somebody listens. One event loop."""

    def __init__(self, config: Config, look_every_s: float = LOOK_EVERY_S) -> None:
        self.feed = Feed(config.feed_dir, config.sessions_dir)
        self.extent = Extent("", 0, 0)
        """Of the feed, as far as it was read."""
        self.flights: dict[str, HubFlight] = {}
        self.changes = 0
        """Of the index, by whoever wrote to it."""
        self.is_closed = False
        self._live_socket = config.live_socket
        self._look_every_s = look_every_s
        self._index = watch(config.database, config.query.store)
        self._listeners: set[asyncio.Event] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._reading = asyncio.Lock()
        self._recent: deque[FedEvent] = deque()
        self._recent_bytes = 0
        self._recent_from = 0
        """Every event from this position up to `end` is among the recent ones."""

    def close(self) -> None:
        """End all streams; a server that stops must not wait for them."""
        self.is_closed = True
        for listener in self._listeners:
            listener.set()

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something is new, for as long as the block lasts."""
        changed = asyncio.Event()
        self._listeners.add(changed)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._look())]
        try:
            yield changed
        finally:
            self._listeners.discard(changed)
            if not self._listeners:
                for task in self._tasks:
                    task.cancel()
                self._tasks = []
                self.flights = {}
                self._index.close()

    async def events(self, start: int) -> tuple[list[FedEvent], int]:
        """Some of the events from position `start` on, and the position to go on from. Raises OSError."""
        if start < self._recent_from:
            async with self._reading:
                return await run_in_threadpool(self.feed.read, start, _READ_EVENTS)
        found = list(islice((event for event in self._recent if event.position >= start), _READ_EVENTS))
        return found, found[-1].position + 1 if len(found) == _READ_EVENTS else self.extent.end

    def _changed(self) -> None:
        for listener in self._listeners:
            listener.set()

    async def _hear(self) -> None:
        """What the recorder tells."""
        async for update in updates(self._live_socket, Hello()):
            if update is None:
                if self.flights:
                    self.flights = {}
                    self._changed()
                continue
            if update.feed_end != self.extent.end:
                await self.look_now()  # first: an exchange's request comes before its text, and its text before its end
            self._take(update)
            self._changed()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            before = self.extent, self.changes
            await self.look_now()
            if before != (self.extent, self.changes):
                self._changed()

    def _take(self, update: Update) -> None:
        for request_id in update.ended:
            self.flights.pop(request_id, None)
        for change in update.exchanges:
            flight = self.flights.get(change.request_id)
            if flight is None:
                self.flights[change.request_id] = HubFlight(change)
            else:
                flight.take(change)

    async def look_now(self) -> None:
        """Take in what is new, as far as it can be read."""
        with suppress(OSError):  # the next look finds it
            await self.catch_up()

    async def catch_up(self) -> Extent:
        """Take in what is new; which positions there are then. Raises OSError."""
        async with self._reading:
            extent, self.changes = await run_in_threadpool(lambda: (self.feed.extent(), self._index.look()))
            position, is_same = self.extent.end, extent.epoch == self.extent.epoch
            if not is_same or not 0 <= extent.end - position <= _KEPT_EVENTS:
                # The first look, another feed, or far behind: what is there already is read by who wants it.
                self._recent.clear()
                self._recent_bytes = 0
                self._recent_from = position = extent.end
            while position < extent.end:
                events, after = await run_in_threadpool(self.feed.read, position, _READ_EVENTS)
                self._keep(events)
                if after == position:
                    break
                position = after
            self.extent = msgspec.structs.replace(extent, end=position)
            return self.extent

    def _keep(self, events: list[FedEvent]) -> None:
        self._recent.extend(events)
        self._recent_bytes += sum(len(event.line) for event in events)
        while len(self._recent) > _KEPT_EVENTS or (self._recent_bytes > _KEPT_BYTES and len(self._recent) > 1):
            dropped = self._recent.popleft()
            self._recent_bytes -= len(dropped.line)
            self._recent_from = dropped.position + 1


def without_texts(flights: Mapping[str, HubFlight]) -> dict[str, _Bare]:
    """The same exchanges for who wants no texts."""
    return {request_id: _Bare(flight) for request_id, flight in flights.items()}


class _Bare:
    def __init__(self, flight: HubFlight) -> None:
        self._flight = flight
        self.version = flight.version

    def summary(self) -> InFlight:
        return self._flight.summary()

    def parts(self) -> list[Part]:
        return []
